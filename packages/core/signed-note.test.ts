import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  addSignatures,
  cosignatureV1,
  ed25519,
  formatNote,
  formatVerifierKey,
  keyIdOf,
  maxNoteLength,
  maxNoteSignatures,
  type NoteKey,
  openNote,
  parseNote,
  parseSignatureLine,
  parseVerifierKey,
  type Signer,
  signText,
  signTextAt,
  verifierKeyOf,
} from './signed-note.ts'

// From golang.org/x/mod/sumdb/note, where the format comes from: package documentation and note_test.go.
const peterKey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const enochKey = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
const peterSecret = 'AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const peterLine =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM='
const enochLine =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ='

const keyOf = (vkey: string): NoteKey => parseVerifierKey(vkey) ?? assert.fail(vkey)
const [peter, enoch] = [keyOf(peterKey), keyOf(enochKey)]

/** An Ed25519 private key from its 32 bytes. */
function privateKey(seed: Uint8Array) {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex')
  return createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' })
}
const peterSigner: Signer = { name: 'PeterNeumann', key: privateKey(Buffer.from(peterSecret, 'base64').subarray(1)) }
const newSigner = (name: string): Signer => ({ name, key: generateKeyPairSync('ed25519').privateKey })

test("a verifier key is read and written as Go's are, and is of its own id", () => {
  for (const vkey of [
    peterKey,
    enochKey,
    'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8',
    'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
  ])
    assert.equal(formatVerifierKey(keyOf(vkey)), vkey)
  assert.equal(keyIdOf(peter), 0xc74f20a3)
  assert.deepEqual([peter.name, peter.algorithm, peter.publicKey.length], ['PeterNeumann', ed25519, 32])
})

test('no part of a verifier key is one, nor one with any other character', () => {
  for (let from = 0; from <= peterKey.length; from += 1)
    for (let to = from + 1; to <= peterKey.length; to += 1) {
      const part = peterKey.slice(from, to)
      if (part !== peterKey) assert.equal(parseVerifierKey(part), null, part)
    }
  for (const [n, character] of [...peterKey].entries()) {
    const next = String.fromCharCode(character.charCodeAt(0) + 1)
    const other = peterKey.slice(0, n) + next + peterKey.slice(n + 1)
    assert.equal(parseVerifierKey(other), null, other)
  }
  for (const other of [
    // Keys of a wrong length and of an unknown algorithm, with the ids that these have.
    'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
    'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW',
    peterKey.replace('c74f20a3', 'C74F20A3'),
    ` ${peterKey}`,
    `${peterKey}\n`,
    `${peterKey}+`,
    `PRIVATE+KEY+PeterNeumann+c74f20a3+${peterSecret}`,
    '',
  ])
    assert.equal(parseVerifierKey(other), null, other)
})

test('a text is signed as Go signs it', () => {
  assert.equal(signText(text, peterSigner), peterLine)
  assert.equal(formatVerifierKey(verifierKeyOf(peterSigner, ed25519)), peterKey)
  assert.equal(
    formatNote(text, [peterLine, enochLine]),
    `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

${peterLine}
${enochLine}
`,
  )
})

test('signatures of known keys are told apart from those of others', () => {
  const note = formatNote(text, [peterLine, enochLine])
  const signers = (...keys: NoteKey[]) => {
    const opened = openNote(note, keys)
    return opened.fault ?? opened.signatures.map(({ key, timeS }) => [key.name, timeS])
  }
  assert.deepEqual(signers(peter), [['PeterNeumann', null]])
  assert.deepEqual(signers(enoch, peter), [
    ['PeterNeumann', null],
    ['EnochRoot', null],
  ])
  assert.equal(signers(), 'unsigned')
  assert.equal(signers({ ...peter, name: 'PeterNeuman' }), 'unsigned')
  // The key's bytes are another's: so is its id.
  assert.equal(signers({ ...peter, publicKey: enoch.publicKey }), 'unsigned')
})

test('where one signature of a known key is false, the note is false', () => {
  const changed = text.replace('think', 'thinc')
  assert.equal(openNote(formatNote(changed, [peterLine]), [peter]).fault, 'bad-signature')
  assert.equal(openNote(formatNote(text, [peterLine, enochLine]), [peter, enoch]).fault, null)
  const forged = enochLine.replace('Zmd1', 'Zmd2').replace('5n2t', '5n2u')
  assert.equal(openNote(formatNote(text, [peterLine, forged]), [peter, enoch]).fault, 'bad-signature')
  assert.equal(openNote(formatNote(text, [peterLine, forged]), [peter]).fault, null)
  // Another's signature under the name and id of a known key, and one that is too long.
  const underPeter = (bytes: Uint8Array) =>
    `— PeterNeumann ${Buffer.concat([Buffer.from('c74f20a3', 'hex'), bytes]).toString('base64')}`
  const enochBytes = parseSignatureLine(enochLine)?.signature ?? assert.fail()
  assert.equal(openNote(formatNote(text, [underPeter(enochBytes)]), [peter]).fault, 'bad-signature')
  assert.equal(openNote(formatNote(text, [underPeter(new Uint8Array(1))]), [peter]).fault, 'bad-signature')
  assert.equal(openNote(formatNote(text, [peterLine, underPeter(enochBytes)]), [peter]).fault, 'bad-signature')
  // Verified, and unknown, more than once.
  assert.equal(openNote(formatNote(text, [peterLine, peterLine, enochLine, enochLine]), [peter]).fault, null)
})

test('what is no note, to the letter, is refused', () => {
  const note = formatNote(text, [peterLine])
  assert.equal(openNote(note, [peter]).fault, null)
  const [base64 = ''] = peterLine.split(' ').slice(-1)
  for (const other of [
    '',
    '\n',
    '\n\n',
    text,
    `${text}\n`,
    note.slice(0, -1),
    `${note}\n`,
    `${note}Unexpected line.\n`,
    `\u0001${note}`,
    note.replace('If', 'I\tf'),
    note.replaceAll('\n', '\r\n'),
    `\ud800${note}`,
    formatNote(text, [`- PeterNeumann ${base64}`]),
    formatNote(text, [`— Peter Neumann ${base64}`]),
    formatNote(text, [`— Peter\u2003Neumann ${base64}`]),
    formatNote(text, [`— Peter+Neumann ${base64}`]),
    formatNote(text, [`—  ${base64}`]),
    formatNote(text, [`— PeterNeumann  ${base64}`]),
    formatNote(text, [`— PeterNeumann ${base64} `]),
    formatNote(text, [`—PeterNeumann ${base64}`]),
    formatNote(text, ['— PeterNeumann']),
    formatNote(text, ['— PeterNeumann ']),
    formatNote(text, [`— PeterNeumann ${base64.slice(0, -1)}`]),
    formatNote(text, [`— PeterNeumann ${base64.replace('AM=', 'AN=')}`]),
    formatNote(text, ['— PeterNeumann x08gow==']),
    formatNote(text, [`— ${'n'.repeat(256)} ${base64}`]),
    // One malformed line spoils the note, whoever signed.
    formatNote(text, [peterLine, '— EnochRoot !']),
    formatNote(
      text,
      Array.from({ length: maxNoteSignatures + 1 }, () => peterLine),
    ),
    formatNote(`${'long\n'.repeat(maxNoteLength / 5)}`, [peterLine]),
  ])
    assert.equal(openNote(other, [peter]).fault, 'malformed', JSON.stringify(other.slice(0, 200)))
})

test('a note takes empty lines in its text, and as many signatures as are allowed', () => {
  // The example of https://c2sp.org/signed-note.
  const poem = `Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.
`
  const line =
    '— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc='
  const parsed = parseNote(formatNote(poem, [line])) ?? assert.fail()
  assert.equal(parsed.text, poem)
  assert.deepEqual(
    parsed.signatures.map(({ name, keyId, signature }) => [name, keyId.toString(16), signature.length]),
    [['quasimodo.example/salvatore', '367ba04b', 64]],
  )
  const many = Array.from({ length: maxNoteSignatures - 1 }, () => line)
  assert.equal(openNote(formatNote(poem, [...many, signText(poem, peterSigner)]), [peter]).fault, null)
})

test('a text that a note can not hold is not signed, nor by a key that can not sign notes', () => {
  for (const wrong of ['', 'no newline', 'tab\there\n', '\ud800\n', 'x'.repeat(maxNoteLength).concat('\n')])
    assert.throws(() => signText(wrong, peterSigner), RangeError)
  for (const name of ['', 'two words', 'a+b', 'line\nbreak', '\u0085', '\ud800', 'n'.repeat(256)])
    assert.throws(() => signText(text, { ...peterSigner, name }), RangeError)
  const { privateKey: rsa } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  assert.throws(() => verifierKeyOf({ name: 'rsa', key: rsa }, ed25519), RangeError)
  for (const timeS of [-1, 0.5, Number.NaN, 2 ** 53])
    assert.throws(() => signTextAt(text, peterSigner, timeS), RangeError)
})

const names = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
  .filter((name) => !/[\p{White_Space}\p{Cc}+]/u.test(name))
const noteTexts = fc
  .array(fc.string({ unit: 'grapheme' }).map((line) => line.replace(/\p{Cc}/gu, '')))
  .map((lines) => `${lines.join('\n')}\n`)

test('what is signed opens, for the keys that signed it, as they signed it', () => {
  fc.assert(
    fc.property(names, names, noteTexts, fc.maxSafeNat(), (name, other, words, timeS) => {
      const [log, auditor] = [newSigner(name), newSigner(other)]
      const keys = [verifierKeyOf(log, ed25519), verifierKeyOf(auditor, cosignatureV1)]
      for (const key of keys) assert.deepEqual(keyOf(formatVerifierKey(key)), key)
      const note = addSignatures(formatNote(words, [signText(words, log)]), [signTextAt(words, auditor, timeS)])
      const opened = openNote(note, keys)
      assert.ok(opened.fault === null)
      assert.equal(opened.text, words)
      assert.deepEqual(
        opened.signatures.map((known) => [known.key, known.timeS]),
        [
          [keys[0], null],
          [keys[1], timeS],
        ],
      )
    }),
    { numRuns: 50 },
  )
})

test('a note with any character changed, gone or added opens for nobody', () => {
  const signer = newSigner('log.example/1')
  const key = verifierKeyOf(signer, ed25519)
  const note = formatNote(text, [signText(text, signer)])
  const place = fc.integer({ min: 0, max: note.length - 1 })
  fc.assert(
    fc.property(place, fc.nat(1), fc.string({ unit: 'binary', maxLength: 2 }), (at, gone, instead) => {
      const other = note.slice(0, at) + instead + note.slice(at + gone)
      fc.pre(other !== note)
      assert.notEqual(openNote(other, [key]).fault, null)
    }),
    { numRuns: 500 },
  )
})

test('a signature of one algorithm is none of the other, by the same key under the same name', () => {
  const signer = newSigner('both')
  const [plain, timed] = [verifierKeyOf(signer, ed25519), verifierKeyOf(signer, cosignatureV1)]
  assert.notEqual(keyIdOf(plain), keyIdOf(timed))
  // Who is brought to sign this text as a note has not cosigned the checkpoint within.
  const checkpoint = 'log.example\n1\nAAAA\n'
  const bytes = parseSignatureLine(signText(`cosignature/v1\ntime 7\n${checkpoint}`, signer))?.signature
  assert.ok(bytes)
  const keyId = Buffer.alloc(4)
  keyId.writeUInt32BE(keyIdOf(plain))
  for (const signature of [bytes, Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, 7]), bytes])]) {
    const line = `— both ${Buffer.concat([keyId, signature]).toString('base64')}`
    assert.notEqual(openNote(formatNote(checkpoint, [line]), [plain, timed]).fault, null)
  }
  assert.equal(openNote(formatNote(checkpoint, [signText(checkpoint, signer)]), [timed]).fault, 'unsigned')
  assert.equal(openNote(formatNote(checkpoint, [signTextAt(checkpoint, signer, 7)]), [plain]).fault, 'unsigned')
})
