import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { DirectoryError } from '@teleclaude/config/directories.ts'
import { codexOptions } from './hooks.ts'
import { removeSettingsFile } from './settings-file.ts'
import { statusArguments } from './status.ts'

const socketPath = '/run/teleclaude/api.sock'
const realHome = process.env.HOME
let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  process.env.HOME = home
})
afterEach(() => {
  process.env.HOME = realHome
  rmSync(home, { recursive: true })
})

function start(words: readonly [string, ...string[]], sessionId: string = crypto.randomUUID()) {
  const file = join(home, '.teleclaude/run/agents', `${sessionId}.json`)
  return { sessionId, file, args: statusArguments(words, { sessionId, socketPath }) }
}

test('Claude Code gets a settings file that is its session’s and its owner’s alone, before what was typed', () => {
  const { sessionId, file, args } = start(['claude', '--model', 'opus', 'fix it'])
  assert.deepEqual(args, ['--settings', file, '--model', 'opus', 'fix it'])
  assert.equal(statSync(file).mode & 0o7777, 0o600)
  for (const path of ['.teleclaude', '.teleclaude/run', '.teleclaude/run/agents']) {
    assert.equal(statSync(join(home, path)).mode & 0o7777, 0o700)
  }
  const { hooks } = JSON.parse(readFileSync(file, 'utf8'))
  const { command } = hooks.Stop[0].hooks[0]
  assert.match(command, /^\/\S+ \/\S+\/bin\/hook\.mjs claude-code \/run\/teleclaude\/api\.sock 2>\/dev\/null \|\| :$/)
  removeSettingsFile(sessionId)
  assert.ok(!existsSync(file))
  removeSettingsFile(sessionId)
})

test('Codex gets options, and nothing is written', () => {
  const { args } = start(['codex', 'resume', '--last'])
  const options = args.slice(0, -2)
  assert.deepEqual(args.slice(-2), ['resume', '--last'])
  const { command } = /command="(?<command>[^"]*)"/.exec(options[1] ?? '')?.groups ?? {}
  assert.match(command ?? '', /\/bin\/hook\.mjs codex \/run\/teleclaude\/api\.sock 2>\/dev\/null \|\| :$/)
  assert.deepEqual(options, codexOptions(command ?? ''))
  assert.ok(!existsSync(join(home, '.teleclaude')))
})

test('any other command keeps its arguments, and nothing is written', () => {
  assert.deepEqual(start(['claude', 'mcp', 'list']).args, ['mcp', 'list'])
  assert.deepEqual(start(['bash', '-l']).args, ['-l'])
  assert.ok(!existsSync(join(home, '.teleclaude')))
})

test('what sessions have left behind whose runner is gone is removed', () => {
  const gone = start(['claude'])
  const running = start(['claude'])
  const starting = start(['claude'])
  mkdirSync(join(home, '.teleclaude/spool', running.sessionId), { recursive: true })
  for (const { file } of [gone, running]) utimesSync(file, 0, 0)
  const next = start(['claude'])
  assert.deepEqual(
    [gone, running, starting, next].map(({ file }) => existsSync(file)),
    [false, true, true, true],
  )
})

test('nothing is written where others could put something in its place', () => {
  start(['claude'])
  for (const path of ['.teleclaude', '.teleclaude/run', '.teleclaude/run/agents']) {
    chmodSync(join(home, path), 0o777)
    assert.throws(() => start(['claude']), DirectoryError)
    chmodSync(join(home, path), 0o700)
  }
  const { sessionId } = start(['claude'])
  assert.throws(() => start(['claude'], sessionId), { code: 'EEXIST' })
})
