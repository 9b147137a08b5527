import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeProofFile, maxProofFileLength, type ProofFile, verifyProofFile } from './audit-proof.ts'
import { cosign } from './checkpoint.ts'
import { commitText } from './commitment.ts'
import { inclusionProof, type Subtree, TreeBuilder } from './merkle.ts'
import { addSignatures, formatVerifierKey } from './signed-note.ts'
import { TestAuditLog } from './test-audit-log.ts'

const salt = Buffer.alloc(32, 7)
const reason = 'their build hangs; they asked me to look'

/** Nine entries, of which the sixth holds a commitment to a reason; a checkpoint over all, cosigned. */
function nine() {
  const log = new TestAuditLog()
  log.rotate()
  for (let seq = 2; seq <= 9; seq += 1)
    log.append(
      seq === 6 ? 'access.opened' : 'session.started',
      seq === 6 ? { minutes: 30, reason: commitText(salt, reason) } : {},
    )
  const note = log.checkpoint()
  return { log, checkpoint: addSignatures(note, [cosign(note, log.auditor, 1_769_853_700)]) }
}
const { log, checkpoint } = nine()
const [logKey = assert.fail()] = log.logKeys.map(formatVerifierKey)
const auditorKey = formatVerifierKey(log.auditorKey)

async function proofOf(seq: number): Promise<ProofFile> {
  const read = async (wanted: readonly Subtree[]) =>
    wanted.map(({ level, index }) => {
      const tree = TreeBuilder.from({ size: 0, hashes: [] })
      for (const leaf of log.leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)) tree.append(leaf)
      return tree.root()
    })
  return makeProofFile({
    entry: log.entries[seq - 1] ?? assert.fail(),
    seq,
    size: log.size,
    proof: await inclusionProof(seq - 1, log.size, read),
    checkpoint,
    texts: seq === 6 ? [{ name: 'reason', salt, text: reason }] : [],
  })
}
const sixth = await proofOf(6)
const verify = (file: object, keys: readonly string[] = [logKey, auditorKey]) =>
  verifyProofFile(JSON.stringify(file), keys)

test('a proof holds with the public keys alone, and says who signed and cosigned what the entry says', async () => {
  for (let seq = 1; seq <= log.size; seq += 1) {
    const report = verify(await proofOf(seq))
    assert.deepEqual([report.holds, report.faults, report.entry?.seq], [true, [], seq])
    assert.deepEqual(report.signedBy, ['teleclaude.audit/build-box'])
    assert.deepEqual(report.cosignedBy, [{ name: 'teleclaude.auditor/build-box', timeS: 1_769_853_700 }])
  }
  const report = verify(sixth)
  assert.deepEqual(
    [report.entry?.action, report.entry?.detail.minutes, report.texts],
    ['access.opened', 30, { reason }],
  )
})

test('without the key of the log a proof shows nothing, and without that of the auditor no cosignature', () => {
  assert.deepEqual([verify(sixth, [logKey]).holds, verify(sixth, [logKey]).cosignedBy], [true, []])
  assert.equal(verify(sixth, [auditorKey]).holds, false)
  assert.equal(verify(sixth, []).holds, false)
  assert.equal(verify(sixth, [logKey, 'nonsense']).holds, false)
  const other = new TestAuditLog()
  other.rotate()
  assert.equal(verify(sixth, other.logKeys.map(formatVerifierKey)).holds, false)
})

test('a text is the one that the entry holds a commitment to, or the proof does not hold', () => {
  for (const texts of [
    { reason: { salt: salt.toString('base64'), text: `${reason}.` } },
    { reason: { salt: Buffer.alloc(32, 8).toString('base64'), text: reason } },
    { reason: { salt: '', text: reason } },
    { other: { salt: salt.toString('base64'), text: reason } },
    { minutes: { salt: salt.toString('base64'), text: '30' } },
    { constructor: { salt: salt.toString('base64'), text: reason } },
  ]) {
    const report = verify({ ...sixth, texts })
    assert.deepEqual([report.holds, report.texts, report.faults.length], [false, {}, 1])
  }
  // Erased: the proof holds, and brings none.
  assert.deepEqual([verify({ ...sixth, texts: {} }).holds, verify({ ...sixth, texts: {} }).texts], [true, {}])
})

test('what is not the entry, its place, its way up or its checkpoint does not hold', async () => {
  const fifth = await proofOf(5)
  const other = new TestAuditLog('other-box')
  other.rotate(log.signers[0])
  for (const wrong of [
    { ...sixth, entry: fifth.entry },
    { ...sixth, entry: Buffer.from('{}').toString('base64') },
    { ...sixth, entry: `${sixth.entry}\n` },
    { ...sixth, index: 4 },
    { ...sixth, index: 6 },
    { ...sixth, size: 8 },
    { ...sixth, proof: fifth.proof },
    { ...sixth, proof: sixth.proof.slice(1) },
    { ...sixth, proof: [...sixth.proof, sixth.proof[0]] },
    { ...sixth, proof: sixth.proof.with(0, 'nonsense') },
    { ...sixth, proof: [] },
    { ...sixth, checkpoint: checkpoint.replace('\n9\n', '\n10\n') },
    { ...sixth, checkpoint: checkpoint.split('\n\n')[0] },
    { ...sixth, checkpoint: other.checkpoint() },
    { ...sixth, checkpoint: '' },
  ])
    assert.equal(verify(wrong).holds, false, JSON.stringify(wrong).slice(0, 100))
})

test('what is no proof file is refused', () => {
  for (const wrong of [
    null,
    [],
    {},
    { ...sixth, v: 2 },
    { ...sixth, more: 1 },
    { ...sixth, index: -1 },
    { ...sixth, index: '5' },
  ])
    assert.deepEqual(verifyProofFile(JSON.stringify(wrong), [logKey]).faults, ['the file is no proof'])
  for (const wrong of ['', '{', JSON.stringify(sixth).padEnd(maxProofFileLength + 1)])
    assert.equal(verifyProofFile(wrong, [logKey]).holds, false)
  assert.equal(verify({ ...sixth, proof: Array.from({ length: 54 }, () => sixth.proof[0]) }).holds, false)
})

test('a proof with any character changed holds no more, or says the same', () => {
  const file = JSON.stringify(sixth)
  const before = verifyProofFile(file, [logKey])
  fc.assert(
    fc.property(fc.nat(file.length - 1), fc.string({ minLength: 1, maxLength: 1 }), (at, instead) => {
      const report = verifyProofFile(file.slice(0, at) + instead + file.slice(at + 1), [logKey])
      if (report.holds) assert.deepEqual(report, before)
    }),
    { numRuns: 500 },
  )
})
