// Checkpoints of the audit log (https://c2sp.org/tlog-checkpoint): signed notes that say how many entries the log has and what
// their root is. The log's key signs them; the auditor cosigns those that it found to hold all that it saw before.

import { decodeBase64, encodeBase64 } from './base64.ts'
import { type Hash, hashBytes } from './merkle.ts'
import {
  cosignatureV1,
  ed25519,
  formatNote,
  type NoteKey,
  openNote,
  parseNote,
  parseSignatureLine,
  type Signer,
  signText,
  signTextAt,
  verifySignature,
} from './signed-note.ts'

export type Checkpoint = {
  /** Which log it is of. */
  readonly origin: string
  /** How many entries: that of the last one. */
  readonly size: number
  readonly root: Hash
}

/** Of the host's log, and the name of the keys that sign it. */
export function originOf(host: string): string {
  return `teleclaude.audit/${host}`
}

/** Of the key with which a host's auditor cosigns. */
export function auditorNameOf(host: string): string {
  return `teleclaude.auditor/${host}`
}

/** The text that is signed. */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${encodeBase64(root)}\n`
}

/** Null for a text that is none. Lines that others' logs add after the third are taken, and say nothing. */
export function parseCheckpoint(text: string): Checkpoint | null {
  if (!text.endsWith('\n')) return null
  const lines = text.slice(0, -1).split('\n')
  const [origin, digits, base64] = lines
  if (origin === undefined || digits === undefined || base64 === undefined || lines.includes('')) return null
  const size = /^(?:0|[1-9][0-9]{0,15})$/.test(digits) ? Number(digits) : Number.NaN
  const root = decodeBase64(base64)
  if (!Number.isSafeInteger(size) || root?.length !== hashBytes) return null
  return { origin, size, root: Uint8Array.from(root) }
}

/** The note, signed. Several signers, the one before and the new one, hand the log over to a new key.
 *  @throws RangeError for a root of another length, a size that is none, an origin that is no line of text */
export function signCheckpoint(checkpoint: Checkpoint, ...signers: readonly [Signer, ...Signer[]]): string {
  const text = formatCheckpoint(checkpoint)
  const parsed = parseCheckpoint(text)
  // An origin of several lines would otherwise pass for another log's checkpoint.
  if (parsed === null || formatCheckpoint(parsed) !== text) {
    throw new RangeError('cannot sign a checkpoint: it is not of one origin, a size and a root')
  }
  return formatNote(
    text,
    signers.map((signer) => signText(text, signer)),
  )
}

/** When a cosigner saw a checkpoint, in seconds since 1970. */
export type Cosignature = { readonly key: NoteKey; readonly timeS: number }

export type OpenedCheckpoint =
  | {
      readonly fault: null
      readonly checkpoint: Checkpoint
      /** Of the log's keys, at least one. */
      readonly signedBy: readonly NoteKey[]
      readonly cosignedBy: readonly Cosignature[]
    }
  /** `malformed`: no checkpoint, or no signed note. `other-log`: of another origin. `bad-signature`: one that says it is of a
   *  known key, and is not. `unsigned`: none of the log's keys has signed, whoever has cosigned. */
  | { readonly fault: 'malformed' | 'other-log' | 'bad-signature' | 'unsigned' }

/** A checkpoint of this log, which at least one of the log's keys signed. Keys are those of the log and of cosigners together:
 *  their algorithm says which they are. One of a log has the log's origin as its name, or else it is another log's, and counts for
 *  nothing here; so do signatures of keys that are not given. */
export function openCheckpoint(note: string, keys: readonly NoteKey[], origin: string): OpenedCheckpoint {
  const opened = openNote(
    note,
    keys.filter(({ algorithm, name }) => algorithm === cosignatureV1 || name === origin),
  )
  if (opened.fault !== null) return opened
  const checkpoint = parseCheckpoint(opened.text)
  if (checkpoint === null) return { fault: 'malformed' }
  if (checkpoint.origin !== origin) return { fault: 'other-log' }
  const signedBy = new Set<NoteKey>()
  const cosignedBy: Cosignature[] = []
  for (const { key, timeS } of opened.signatures) {
    if (key.algorithm === ed25519) signedBy.add(key)
    else if (timeS !== null) cosignedBy.push({ key, timeS })
  }
  if (signedBy.size === 0) return { fault: 'unsigned' }
  return { fault: null, checkpoint, signedBy: [...signedBy], cosignedBy }
}

/** A signature line for the checkpoint in a note, without its newline. The cosigner states by it that this is the largest tree of
 *  this log that it ever saw, and holds every one that it saw before: whoever calls has made sure of that, and has written it down.
 *  @throws RangeError for what is no checkpoint */
export function cosign(note: string, cosigner: Signer, timeS: number): string {
  const text = parseNote(note)?.text
  if (text === undefined || parseCheckpoint(text) === null) {
    throw new RangeError('cannot cosign: it is no signed checkpoint')
  }
  return signTextAt(text, cosigner, timeS)
}

/** Whether, and when, the key cosigned the checkpoint in the note, by a signature line that is not in it; else null. Says nothing
 *  of the note's own signatures. */
export function verifyCosignature(note: string, line: string, key: NoteKey): Cosignature | null {
  const text = parseNote(note)?.text
  const signature = parseSignatureLine(line)
  if (text === undefined || parseCheckpoint(text) === null || signature === null) return null
  if (key.algorithm !== cosignatureV1) return null
  const known = verifySignature(text, signature, key)
  return known === null || known.timeS === null ? null : { key, timeS: known.timeS }
}
