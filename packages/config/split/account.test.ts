// The proof has to fail where something is lost, changed, made up or left in the open: here, because the results were tampered with.

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { proveNothingLost } from './account.ts'
import type { Layer } from './classify.ts'
import { buildFiles } from './layers.ts'
import { readOriginalEnvironment } from './read-environment.ts'
import { readOriginal } from './read-original.ts'
import { settle } from './settle.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(directory, name), text)
  return join(directory, name)
}

const settled = settle('original', {
  config: readOriginal(
    file(
      'old.yml',
      `
computer: { name: a, phone: 0031, path: "\${HERE}/x" }
redis: { password: "\${REDIS_PASSWORD}" }
tts: {}
list: [1, "1"]
`,
    ),
    '--from',
  ),
  environment: readOriginalEnvironment(
    file('old.env', 'HERE=/here\nREDIS_PASSWORD=fake-password\nTELECLAUDE_LOG_LEVEL=WARNING\n'),
    '--env',
  ),
  people: null,
})
const files = buildFiles(settled)

function prove(layer: Layer, from: string | RegExp, to: string): void {
  const text = files.texts[layer].replace(from, to)
  assert.notEqual(text, files.texts[layer])
  proveNothingLost(settled, { ...files, texts: { ...files.texts, [layer]: text } })
}

test('the results as they are account for everything', () => {
  proveNothingLost(settled, files)
})

test('a value that is gone, changed, of another kind, made up or in the open is noticed, and not repeated', () => {
  const cases: readonly (readonly [Layer, string | RegExp, string, RegExp])[] = [
    ['config', /host: a\n/, '', /1 value not found again \(config computer\.name\)/],
    ['config', 'host: a', 'host: b', /1 value not found again \(config computer\.name\)/],
    ['config', '0031', '31', /not found again \(config computer\.phone\)/],
    ['config', '0031', '"0031"', /not found again \(config computer\.phone\)/],
    ['config', '[ 1, "1" ]', '[ 1, 1 ]', /not found again \(config list\[1\]\)/],
    ['config', '[ 1, "1" ]', '[ 1, "1", 2 ]', /1 value from nowhere \(config \["legacy","list",2\]\)/],
    ['config', '/here/x', '/there/x', /not found again \(config computer\.path\)/],
    ['config', 'log_level: warn', 'log_level: info', /not found again \(environment TELECLAUDE_LOG_LEVEL\)/],
    ['config', 'secret: redis_password', 'secret: other', /not found again \(config redis\.password\)/],
    [
      'secrets',
      'fake-password',
      'fake-passwort',
      /2 values not found again \(environment REDIS_PASSWORD, config redis\.password\)/,
    ],
    ['secrets', /redis_password: .*\n/, '{}\n', /2 values not found again/],
    ['personal', 'tts: {}', 'tts: []', /not found again \(config tts\)/],
    ['personal', 'tts: {}', 'tts: {}\n  more: 1', /from nowhere \(personal \["legacy","more"\]\)/],
    ['config', 'host: a', 'host: a\nmore: is fake-password', /1 value with a secret in the open \(config \["more"\]\)/],
  ]
  for (const [layer, from, to, says] of cases) {
    assert.throws(
      () => prove(layer, from, to),
      (error) => {
        assert.ok(error instanceof Error)
        assert.match(error.message, says)
        assert.match(error.message, /nothing was written$/)
        assert.ok(!error.message.includes('fake-pass'))
        return true
      },
    )
  }
})
