// The golden files are what Claude Code 2.1.197 and Codex 0.169.0 took: the one ran each hook, the other called each trusted.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { claudeSettings, codexOptions } from './hooks.ts'

const program = `/usr/bin/node '/opt/it'\\''s "here"/hook.mjs'`
const rest = '/run/teleclaude/api.sock 2>/dev/null || :'

function golden(name: string): string {
  return readFileSync(new URL(`./golden/${name}`, import.meta.url), 'utf8')
}

test('the settings of Claude Code', () => {
  assert.equal(claudeSettings(`${program} claude-code ${rest}`), golden('claude-settings.json'))
})

test('the options of Codex', () => {
  const options = codexOptions(`${program} codex ${rest}`)
  assert.equal(options.map((option) => `${option}\n`).join(''), golden('codex-options.txt'))
})
