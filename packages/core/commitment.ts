// A sensitive text stands in the audit log only as a salted commitment: who has salt and text can show that they are what was
// recorded, and where the salt is erased nobody can find the text by guessing, while the log still verifies.

import { createHmac, timingSafeEqual } from 'node:crypto'

/** Random, one for each text, and kept beside it. */
export const commitmentSaltBytes = 32
const commitmentForm = /^sha256:[0-9a-f]{64}$/

/** `sha256:` and the hex of HMAC-SHA256 over the text in UTF-8, with the salt as its key.
 *  @throws RangeError for a salt of another length, and for a text with a lone surrogate: UTF-8 would replace that, and two
 *  texts would share a commitment */
export function commitText(salt: Uint8Array, text: string): string {
  if (salt.length !== commitmentSaltBytes) {
    throw new RangeError(`cannot commit to a text: its salt has ${salt.length} bytes instead of ${commitmentSaltBytes}`)
  }
  if (!text.isWellFormed()) throw new RangeError('cannot commit to a text: it is not valid Unicode')
  return `sha256:${createHmac('sha256', salt).update(text, 'utf8').digest('hex')}`
}

/** Whether it has the form of one. */
export function isCommitment(text: string): boolean {
  return commitmentForm.test(text)
}

/** Whether the commitment is to this text with this salt. */
export function commitmentHolds(commitment: string, salt: Uint8Array, text: string): boolean {
  if (!isCommitment(commitment) || salt.length !== commitmentSaltBytes || !text.isWellFormed()) return false
  return timingSafeEqual(Buffer.from(commitment, 'latin1'), Buffer.from(commitText(salt, text), 'latin1'))
}
