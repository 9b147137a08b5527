import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { auditorNameOf, originOf } from '@teleclaude/core/checkpoint.ts'
import { cosignatureV1, ed25519, formatVerifierKey, verifierKeyOf } from '@teleclaude/core/signed-note.ts'
import { Failure } from '../failure.ts'
import { formatKeys, readKeysFile } from './keys-file.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))

function write(text: string): string {
  const file = join(directory, 'keys')
  writeFileSync(file, text)
  return file
}

function vkey(name: string, algorithm: typeof ed25519 | typeof cosignatureV1): string {
  return formatVerifierKey(verifierKeyOf({ name, key: generateKeyPairSync('ed25519').privateKey }, algorithm))
}

test('the keys that are printed are those that are read', () => {
  const log = [1, 2].map((epoch) => ({ epoch, vkey: vkey(originOf('h'), ed25519), fromSeq: epoch * 10 }))
  const auditor = vkey(auditorNameOf('h'), cosignatureV1)
  const { vkeys, keys } = readKeysFile(write(formatKeys({ host: 'h', keys: { log, auditor } })))
  assert.deepEqual(vkeys, [...log.map((key) => key.vkey), auditor])
  assert.deepEqual(
    keys.map(({ algorithm }) => algorithm),
    [ed25519, ed25519, cosignatureV1],
  )
})

test('a file without a key, or with anything else, is none', () => {
  const key = vkey('n', ed25519)
  for (const text of ['', '# only words\n', `${key}\nmore\n`, `${key.slice(0, -4)}\n`, '\x1b[2J\n']) {
    assert.throws(() => readKeysFile(write(text)), Failure, JSON.stringify(text))
  }
  assert.throws(() => readKeysFile(write('\x1b[2J\n')), /␛\[2J is no public key/)
  assert.throws(() => readKeysFile(join(directory, 'nowhere')), /cannot read .*nowhere/)
})
