import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  auditorNameOf,
  type Checkpoint,
  cosign,
  formatCheckpoint,
  openCheckpoint,
  originOf,
  parseCheckpoint,
  signCheckpoint,
  verifyCosignature,
} from './checkpoint.ts'
import { emptyRoot } from './merkle.ts'
import {
  addSignatures,
  cosignatureV1,
  ed25519,
  formatNote,
  type NoteKey,
  openNote,
  parseSignatureLine,
  parseVerifierKey,
  type Signer,
  signText,
  verifierKeyOf,
} from './signed-note.ts'

const keyOf = (vkey: string): NoteKey => parseVerifierKey(vkey) ?? assert.fail(vkey)

// Of Go's checksum database, as it was served.
const sumKey = keyOf('sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8')
const sumNotes = [
  `go.sum database tree
15081221
BoMMe1wd25Tco0mYGROkyqxHZWx+hcSCtMV315Lu6Lg=

— sum.golang.org Az3grilD7vQqTrv66jRgKM84Y80KTprrSt4bKmiOPxgmS5ZVBTeCl6dUvjYnN13R+C8j0jGY1WnUADGMkok3U0m2Zgo=
— test.example.com qTGhC3917mAr6hGh+T55tNjxaej/D/GQivJZRIj7XGdAcQOTqfMWIPgp/v/904LEduN/h2sSRtHUJXUL4b9Gm7Bz4Qc=
— test.example.com /Pa7Y/dUvWMAAAAAQVwkQVi81ArPV7BIaQYrMIxyzY0m8a4BdeeBhSKd3PviPK4/3Sd+NKSc5N7PDTCfAkUSVniN+R2oKIggA4iiDQ==
`,
  `go.sum database tree
58253265
lIyLAEe4zJUQAda6pFFg3yPOf7j1SgfMEDrpgoX39JU=

— sum.golang.org Az3grkvBHbFcpEFQ3BhGlktgB7pcswIW+ez91eWY6rNPtWfAey8bJO2rVoG2yO5zXvgiaikWVHqon+e14JhA+WXvpAY=
`,
]

// Of a staging log of Certificate Transparency that public witnesses cosign; its first signature is of a type that we don't have.
const witnessed = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`
const arche = 'arche2025h1.staging.ct.transparency.dev'
const archeKey = keyOf(`${arche}+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f`)
const witnessKeys = [
  keyOf('transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM'),
  keyOf('remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2'),
  keyOf('witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv'),
]

test("a public log's checkpoints open with its key", () => {
  for (const [note, size, root] of [
    [sumNotes[0], 15_081_221, 'BoMMe1wd25Tco0mYGROkyqxHZWx+hcSCtMV315Lu6Lg='],
    [sumNotes[1], 58_253_265, 'lIyLAEe4zJUQAda6pFFg3yPOf7j1SgfMEDrpgoX39JU='],
  ] as const) {
    const opened = openNote(note ?? '', [sumKey])
    assert.ok(opened.fault === null)
    const checkpoint = parseCheckpoint(opened.text) ?? assert.fail()
    assert.deepEqual([checkpoint.origin, checkpoint.size], ['go.sum database tree', size])
    assert.equal(Buffer.from(checkpoint.root).toString('base64'), root)
    assert.equal(formatCheckpoint(checkpoint), opened.text)
    // Its key has another name than the log: ours never have, so that a key of one log is none of another.
    assert.equal(openCheckpoint(note ?? '', [sumKey], checkpoint.origin).fault, 'unsigned')
  }
})

test("public witnesses' cosignatures hold, with the time at which they saw the checkpoint", () => {
  const opened = openCheckpoint(witnessed, [archeKey, ...witnessKeys], arche)
  assert.ok(opened.fault === null)
  assert.deepEqual(opened.signedBy, [archeKey])
  assert.deepEqual(
    opened.cosignedBy.map(({ key, timeS }) => [key.name, timeS]),
    witnessKeys.map(({ name }) => [name, 0x6a122120]),
  )
  for (const key of witnessKeys) {
    const line = witnessed.split('\n').find((one) => one.startsWith(`— ${key.name} `)) ?? ''
    assert.equal(verifyCosignature(witnessed, line, key)?.timeS, 0x6a122120)
    assert.equal(verifyCosignature(witnessed.replace('1432088532', '1432088531'), line, key), null)
  }
  assert.equal(openCheckpoint(witnessed, witnessKeys, arche).fault, 'unsigned')
  assert.equal(openCheckpoint(witnessed, [archeKey, ...witnessKeys], 'example.com/another').fault, 'other-log')
  const later = witnessed.replace('AAAABqEiEgPl', 'AAAABqEiEhPl')
  assert.equal(openCheckpoint(later, [archeKey, ...witnessKeys], arche).fault, 'bad-signature')
})

test('a cosignature is laid out as its specification shows', () => {
  // The example of https://c2sp.org/tlog-cosignature: its time is that of the message shown there.
  const line =
    '— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA=='
  const { name, keyId, signature } = parseSignatureLine(line) ?? assert.fail()
  assert.deepEqual([name, keyId.toString(16), signature.length], ['witness.example.com/w1', '8d66cf3f', 8 + 64])
  assert.equal(Buffer.from(signature).readBigUInt64BE(0), 1_679_315_147n)
})

test('what is no checkpoint is refused', () => {
  const root = Buffer.from(emptyRoot).toString('base64')
  const text = `example.com/behind-the-sofa\n20852163\n${root}\n`
  assert.equal(parseCheckpoint(text)?.size, 20_852_163)
  assert.deepEqual(parseCheckpoint(`${text}an extension\n— another\n`), parseCheckpoint(text))
  assert.equal(parseCheckpoint(`a log\n0\n${root}\n`)?.size, 0)
  for (const other of [
    '',
    '\n\n\n',
    text.slice(0, -1),
    `\n${text}`,
    `${text}\n`,
    `${text}\nan extension\n`,
    `20852163\n${root}\n`,
    `log\n-1\n${root}\n`,
    `log\n+1\n${root}\n`,
    `log\n01\n${root}\n`,
    `log\n1 \n${root}\n`,
    `log\n1.0\n${root}\n`,
    `log\n1e3\n${root}\n`,
    `log\n0x1\n${root}\n`,
    `log\n\u0661\n${root}\n`,
    `log\n9007199254740992\n${root}\n`,
    `log\n18446744073709551615\n${root}\n`,
    `log\n1\n${root.slice(0, -4)}\n`,
    `log\n1\n${root.slice(0, -1)}\n`,
    `log\n1\n${root} \n`,
    `log\n1\n${Buffer.concat([emptyRoot, emptyRoot]).toString('base64')}\n`,
    `log\n1\n${Buffer.from(emptyRoot).toString('hex')}\n`,
  ])
    assert.equal(parseCheckpoint(other), null, JSON.stringify(other))
})

const newSigner = (name: string): Signer => ({ name, key: generateKeyPairSync('ed25519').privateKey })
const origin = originOf('build-box')
const log = newSigner(origin)
const auditor = newSigner(auditorNameOf('build-box'))
const logKey = verifierKeyOf(log, ed25519)
const auditorKey = verifierKeyOf(auditor, cosignatureV1)
const keys = [logKey, auditorKey]
const checkpoints = fc.record({
  origin: fc.constant(origin),
  size: fc.maxSafeNat(),
  root: fc.uint8Array({ minLength: 32, maxLength: 32 }),
})

test('what the log signs and the auditor cosigns opens as it was', () => {
  fc.assert(
    fc.property(checkpoints, fc.maxSafeNat(), (checkpoint, timeS) => {
      const note = signCheckpoint(checkpoint, log)
      const line = cosign(note, auditor, timeS)
      const opened = openCheckpoint(addSignatures(note, [line]), keys, origin)
      assert.ok(opened.fault === null)
      assert.deepEqual(opened.checkpoint, { ...checkpoint })
      assert.deepEqual([opened.signedBy, opened.cosignedBy], [[logKey], [{ key: auditorKey, timeS }]])
      assert.deepEqual(verifyCosignature(note, line, auditorKey), { key: auditorKey, timeS })
      const others = [{ ...logKey, name: originOf('other-box') }, auditorKey]
      assert.notEqual(openCheckpoint(note, keys, originOf('other-box')).fault, null)
      assert.notEqual(openCheckpoint(note, others, origin).fault, null)
    }),
    { numRuns: 50 },
  )
})

test('a cosignature is of one checkpoint and one cosigner', () => {
  fc.assert(
    fc.property(checkpoints, checkpoints, fc.maxSafeNat(), (one, other, timeS) => {
      fc.pre(formatCheckpoint(one) !== formatCheckpoint(other))
      const line = cosign(signCheckpoint(one, log), auditor, timeS)
      const note = signCheckpoint(other, log)
      assert.equal(verifyCosignature(note, line, auditorKey), null)
      assert.equal(openCheckpoint(addSignatures(note, [line]), keys, origin).fault, 'bad-signature')
      // Unless its key is not known: then it says nothing.
      assert.equal(openCheckpoint(addSignatures(note, [line]), [logKey], origin).fault, null)
      const stranger = verifierKeyOf({ ...auditor, key: log.key }, cosignatureV1)
      assert.equal(verifyCosignature(signCheckpoint(one, log), line, stranger), null)
      // The log's own signature is no cosignature, nor has the auditor signed for the log.
      assert.equal(verifyCosignature(note, signText(formatCheckpoint(other), log), logKey), null)
      assert.equal(openCheckpoint(formatNote(formatCheckpoint(one), [line]), keys, origin).fault, 'unsigned')
    }),
    { numRuns: 50 },
  )
})

test('what would be no checkpoint is neither signed nor cosigned', () => {
  const good: Checkpoint = { origin, size: 1, root: emptyRoot }
  for (const wrong of [
    { ...good, size: -1 },
    { ...good, size: 1.5 },
    { ...good, size: 2 ** 53 },
    { ...good, root: new Uint8Array(31) },
    { ...good, origin: '' },
    { ...good, origin: 'two\nlines' },
    { ...good, origin: 'log\n7' },
    { ...good, origin: `log\n1\n${Buffer.from(emptyRoot).toString('base64')}` },
    { ...good, origin: 'tab\t' },
  ])
    assert.throws(() => signCheckpoint(wrong, log), RangeError, JSON.stringify(wrong))
  assert.throws(() => cosign(formatNote('just a text\n', [signText('just a text\n', log)]), auditor, 1), RangeError)
  assert.throws(() => cosign(formatCheckpoint(good), auditor, 1), RangeError)
})

test('a note that is signed and no checkpoint does not open as one', () => {
  const text = 'just a text\n'
  assert.equal(openCheckpoint(formatNote(text, [signText(text, log)]), keys, origin).fault, 'malformed')
  assert.equal(openCheckpoint('', keys, origin).fault, 'malformed')
})
