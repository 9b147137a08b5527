// Signed notes (https://c2sp.org/signed-note): a text with signatures that stand beneath it, for checkpoints of the audit log.
// A note comes from wherever, so nothing in it counts before a key that the reader knows has signed it.

import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto'
import { decodeBase64, encodeBase64 } from './base64.ts'

/** What a key signs: 1, the note's text; 4, when it saw that text, as a cosigner of a log
 *  (https://c2sp.org/tlog-cosignature). A key of the one never takes a signature of the other. */
export const ed25519 = 1
export const cosignatureV1 = 4
export type NoteAlgorithm = typeof ed25519 | typeof cosignatureV1

/** A public key that is known by a name. */
export type NoteKey = { readonly name: string; readonly publicKey: Uint8Array; readonly algorithm: NoteAlgorithm }

/** Somebody who signs: an Ed25519 private key, under a name. */
export type Signer = { readonly name: string; readonly key: KeyObject }

/** One signature line, of whoever: it says which key it claims to be of. */
export type NoteSignature = {
  readonly name: string
  readonly keyId: number
  /** What the algorithm of the key makes of it. */
  readonly signature: Uint8Array
}

export type Note = {
  /** Ends with a newline. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
}

/** A signature that holds, of a key that is known. */
export type KnownSignature = {
  readonly key: NoteKey
  /** When a cosigner saw the text, in seconds since 1970. */
  readonly timeS: number | null
}

/** Notes longer than this, in UTF-16 code units, or with more signatures, are none: the specification wants at least 16 taken,
 *  of up to 5 kB. */
export const maxNoteLength = 256 * 1024
export const maxNoteSignatures = 64
const maxNameLength = 255

const publicKeyBytes = 32
const signatureBytes = 64
const timeBytes = 8
const keyIdBytes = 4
/** Those below U+0020 but the newline: https://c2sp.org/signed-note, section Format. */
const controlCharacter = /(?![\n\x7f-\x9f])\p{Cc}/u
const spaceOrPlus = /[\p{White_Space}\p{Cc}\ufeff+]/u
const linePrefix = '\u2014 '

/** The first four bytes, big-endian, of the SHA-256 of name, newline, algorithm and public key. */
export function keyIdOf({ name, publicKey, algorithm }: NoteKey): number {
  const input = Buffer.concat([Buffer.from(`${name}\n`, 'utf8'), Buffer.from([algorithm]), publicKey])
  return hash('sha256', input, 'buffer').readUInt32BE(0)
}

/** `NAME+KEYID+KEY`: the name, eight hex digits, and the base 64 of algorithm and public key. */
export function formatVerifierKey(key: NoteKey): string {
  const keyId = keyIdOf(key)
    .toString(16)
    .padStart(2 * keyIdBytes, '0')
  return `${key.name}+${keyId}+${encodeBase64(Buffer.concat([Buffer.from([key.algorithm]), key.publicKey]))}`
}

/** Null for what is no verifier key, one whose id is not its own, and one of another algorithm. */
export function parseVerifierKey(text: string): NoteKey | null {
  const [, name, keyId, base64] = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text) ?? []
  if (name === undefined || keyId === undefined || base64 === undefined || !isName(name)) return null
  const bytes = decodeBase64(base64)
  const algorithm = bytes?.[0]
  if (bytes?.length !== 1 + publicKeyBytes || (algorithm !== ed25519 && algorithm !== cosignatureV1)) return null
  const key: NoteKey = { name, publicKey: Uint8Array.from(bytes.subarray(1)), algorithm }
  return keyIdOf(key) === Number.parseInt(keyId, 16) ? key : null
}

/** The key that verifies what the signer signs.
 *  @throws RangeError for a name that can't be one, and a key that is not Ed25519 */
export function verifierKeyOf(signer: Signer, algorithm: NoteAlgorithm): NoteKey {
  if (!isName(signer.name))
    throw new RangeError('cannot sign a note: the key has no name, or one with a space or a plus')
  const { kty, crv, x } = createPublicKey(signer.key).export({ format: 'jwk' })
  if (kty !== 'OKP' || crv !== 'Ed25519' || x === undefined) {
    throw new RangeError(`cannot sign a note as ${signer.name}: its key is not Ed25519`)
  }
  return { name: signer.name, publicKey: Uint8Array.from(Buffer.from(x, 'base64url')), algorithm }
}

/** Null for what is no signed note, to the letter. */
export function parseNote(note: string): Note | null {
  if (note.length > maxNoteLength || !note.isWellFormed() || controlCharacter.test(note)) return null
  const end = note.lastIndexOf('\n\n')
  if (end < 0 || !note.endsWith('\n')) return null
  const lines = note.slice(end + 2, -1).split('\n')
  if (lines.length > maxNoteSignatures) return null
  const signatures: NoteSignature[] = []
  for (const line of lines) {
    const signature = parseSignatureLine(line)
    if (signature === null) return null
    signatures.push(signature)
  }
  return { text: note.slice(0, end + 1), signatures }
}

/** Of one line, without its newline; null for what is none. */
export function parseSignatureLine(line: string): NoteSignature | null {
  if (line.length > maxNoteLength || !line.startsWith(linePrefix)) return null
  const [name, base64, ...more] = line.slice(linePrefix.length).split(' ')
  if (name === undefined || base64 === undefined || more.length > 0 || !isName(name)) return null
  const bytes = decodeBase64(base64)
  if (bytes === null || bytes.length <= keyIdBytes) return null
  return { name, keyId: bytes.readUInt32BE(0), signature: Uint8Array.from(bytes.subarray(keyIdBytes)) }
}

/** A signature line beneath the text, without its newline, by key 1.
 *  @throws RangeError for what can't be the text of a note: it has to end with a newline */
export function signText(text: string, signer: Signer): string {
  requireText(text)
  const signature = sign(null, Buffer.from(text, 'utf8'), signer.key)
  return formatSignatureLine(verifierKeyOf(signer, ed25519), signature)
}

/** A line that says when the signer saw the text, as a cosigner. What a cosigner states of a log is more than that: see
 *  `cosign` in checkpoint.ts. */
export function signTextAt(text: string, signer: Signer, timeS: number): string {
  requireText(text)
  if (!Number.isSafeInteger(timeS) || timeS < 0) throw new RangeError(`${timeS} is no time in seconds since 1970`)
  const time = Buffer.alloc(timeBytes)
  time.writeBigUInt64BE(BigInt(timeS))
  const signature = sign(null, timedMessage(text, timeS), signer.key)
  return formatSignatureLine(verifierKeyOf(signer, cosignatureV1), Buffer.concat([time, signature]))
}

/** The signed note of a text and the signature lines beneath it. */
export function formatNote(text: string, lines: readonly string[]): string {
  return `${text}\n${lines.map((line) => `${line}\n`).join('')}`
}

/** The same note with more signature lines. */
export function addSignatures(note: string, lines: readonly string[]): string {
  return note + lines.map((line) => `${line}\n`).join('')
}

export type OpenedNote =
  | { readonly fault: null; readonly text: string; readonly signatures: readonly KnownSignature[] }
  /** `bad-signature`: one that says it is of a known key, and is not. `unsigned`: no known key has signed. */
  | { readonly fault: 'malformed' | 'bad-signature' | 'unsigned' }

/** The text of a note that at least one of the keys signed. Signatures of other keys count for nothing. */
export function openNote(note: string, keys: readonly NoteKey[]): OpenedNote {
  const parsed = parseNote(note)
  if (parsed === null) return { fault: 'malformed' }
  const signatures: KnownSignature[] = []
  for (const signature of parsed.signatures) {
    const named = keys.filter((key) => key.name === signature.name && keyIdOf(key) === signature.keyId)
    if (named.length === 0) continue
    // Ids are short: two keys may have the same, and then either may have signed.
    const found = named.map((key) => verifySignature(parsed.text, signature, key)).find((known) => known !== null)
    if (found === undefined || found === null) return { fault: 'bad-signature' }
    signatures.push(found)
  }
  return signatures.length === 0 ? { fault: 'unsigned' } : { fault: null, text: parsed.text, signatures }
}

/** Null where the signature is not this key's, of this text. */
export function verifySignature(
  text: string,
  { name, keyId, signature }: NoteSignature,
  key: NoteKey,
): KnownSignature | null {
  if (name !== key.name || keyId !== keyIdOf(key)) return null
  switch (key.algorithm) {
    case ed25519: {
      if (signature.length !== signatureBytes) return null
      return verifyBytes(Buffer.from(text, 'utf8'), signature, key) ? { key, timeS: null } : null
    }
    case cosignatureV1: {
      if (signature.length !== timeBytes + signatureBytes) return null
      const timeS = Number(Buffer.from(signature).readBigUInt64BE(0))
      if (!Number.isSafeInteger(timeS)) return null
      return verifyBytes(timedMessage(text, timeS), signature.subarray(timeBytes), key) ? { key, timeS } : null
    }
  }
}

/** https://c2sp.org/tlog-cosignature, Ed25519 signed message: its first line keeps it from passing for a note's text. */
function timedMessage(text: string, timeS: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timeS}\n${text}`, 'utf8')
}

const keyObjects = new WeakMap<NoteKey, KeyObject>()

function verifyBytes(message: Uint8Array, signature: Uint8Array, key: NoteKey): boolean {
  let object = keyObjects.get(key)
  if (object === undefined) {
    const x = Buffer.from(key.publicKey).toString('base64url')
    object = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
    keyObjects.set(key, object)
  }
  return verify(null, message, object, signature)
}

function formatSignatureLine(key: NoteKey, signature: Uint8Array): string {
  const keyId = Buffer.alloc(keyIdBytes)
  keyId.writeUInt32BE(keyIdOf(key))
  return `${linePrefix}${key.name} ${encodeBase64(Buffer.concat([keyId, signature]))}`
}

function isName(name: string): boolean {
  return name !== '' && name.length <= maxNameLength && name.isWellFormed() && !spaceOrPlus.test(name)
}

function requireText(text: string): void {
  if (!text.endsWith('\n') || text.length > maxNoteLength || !text.isWellFormed() || controlCharacter.test(text)) {
    throw new RangeError(
      'cannot sign a text: it is no text of a note, which ends with a newline and has no control characters',
    )
  }
}
