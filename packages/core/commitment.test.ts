import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { commitmentHolds, commitText, isCommitment } from './commitment.ts'

const salts = fc.uint8Array({ minLength: 32, maxLength: 32 })
const texts = fc.string({ unit: 'binary' })

test('a commitment is HMAC-SHA256 under the salt', () => {
  // RFC 4231, test case 1: its key of 20 bytes, padded with zeros as HMAC itself pads a short key.
  const salt = Buffer.concat([Buffer.alloc(20, 0x0b), Buffer.alloc(12)])
  assert.equal(commitText(salt, 'Hi There'), 'sha256:b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7')
})

test('a commitment holds for its salt and text, and for no others', () => {
  fc.assert(
    fc.property(salts, salts, texts, texts, (salt, otherSalt, text, otherText) => {
      const commitment = commitText(salt, text)
      assert.ok(isCommitment(commitment) && commitmentHolds(commitment, salt, text))
      assert.equal(commitmentHolds(commitment, salt, otherText), otherText === text)
      assert.equal(commitmentHolds(commitment, otherSalt, text), Buffer.compare(otherSalt, salt) === 0)
    }),
  )
})

test('what is no commitment, no salt and no Unicode text is refused', () => {
  const salt = Buffer.alloc(32, 7)
  const commitment = commitText(salt, 'why')
  for (const wrong of [
    '',
    'sha256:',
    commitment.toUpperCase(),
    `${commitment}0`,
    commitment.slice(7),
    `${commitment}\n`,
  ])
    assert.ok(!isCommitment(wrong) && !commitmentHolds(wrong, salt, 'why'), wrong)
  assert.ok(!commitmentHolds(commitment, salt.subarray(1), 'why'))
  assert.ok(!commitmentHolds(commitText(salt, '\ufffd'), salt, '\ud800'))
  assert.throws(() => commitText(salt.subarray(1), 'why'), RangeError)
  assert.throws(() => commitText(salt, '\ud800'), RangeError)
})
