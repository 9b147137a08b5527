// A proof that one entry is in the audit log, as a file: it verifies offline, with nothing but the public keys of the log and, if
// wanted, of its auditor. It may bring texts that the entry holds only a commitment to.

import { z } from 'zod'
import { type ParsedAuditEntry, parseAuditEntry } from './audit.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { openCheckpoint, originOf } from './checkpoint.ts'
import { commitmentHolds } from './commitment.ts'
import { type Hash, leafHash, verifyInclusion } from './merkle.ts'
import { type NoteKey, parseVerifierKey } from './signed-note.ts'

/** In UTF-16 code units: more than the longest entry, with its texts, needs. */
export const maxProofFileLength = 2 * 1024 * 1024

/** The highest tree has so many levels. */
const maxProofHashes = 53

export const proofFileSchema = z.strictObject({
  v: z.literal(1),
  /** The exact bytes, in base 64, as are all bytes here. */
  entry: z.string(),
  /** Counted from 0: one less than the entry's number. */
  index: z.int().min(0),
  /** Of the checkpoint. */
  size: z.int().min(1),
  proof: z.array(z.string()).max(maxProofHashes),
  /** A signed note, with the cosignatures that it has. */
  checkpoint: z.string(),
  texts: z.record(z.string(), z.strictObject({ salt: z.string(), text: z.string() })),
})
export type ProofFile = z.infer<typeof proofFileSchema>

export function makeProofFile(o: {
  readonly entry: Uint8Array
  readonly seq: number
  readonly size: number
  readonly proof: readonly Hash[]
  readonly checkpoint: string
  readonly texts: readonly { readonly name: string; readonly salt: Uint8Array; readonly text: string }[]
}): ProofFile {
  return {
    v: 1,
    entry: encodeBase64(o.entry),
    index: o.seq - 1,
    size: o.size,
    proof: o.proof.map(encodeBase64),
    checkpoint: o.checkpoint,
    texts: Object.fromEntries(o.texts.map(({ name, salt, text }) => [name, { salt: encodeBase64(salt), text }])),
  }
}

export type ProofReport = {
  /** The entry is in the log that a given key signed. No more: what was cosigned, `cosignedBy` says. */
  readonly holds: boolean
  /** For people to read. Repeats nothing that stands in the file. */
  readonly faults: readonly string[]
  /** What the entry says; null for what is none. To be believed only where the proof holds. */
  readonly entry: ParsedAuditEntry | null
  /** Of the keys given, by name. */
  readonly signedBy: readonly string[]
  /** The same of auditors' keys, with the time in seconds since 1970. */
  readonly cosignedBy: readonly { readonly name: string; readonly timeS: number }[]
  /** Those that are what the entry holds commitments to. */
  readonly texts: Readonly<Record<string, string>>
}

/** Verifies the text of a proof file with these keys, in the form of C2SP signed-note: the log's, and auditors'. */
export function verifyProofFile(file: string, vkeys: readonly string[]): ProofReport {
  const faults: string[] = []
  const keys = vkeys.map(parseVerifierKey).filter((key) => key !== null)
  if (keys.length < vkeys.length) faults.push('a key that was given is none')
  const proof = parseProofFile(file)
  if (proof === null) return failed([...faults, 'the file is no proof'])
  const bytes = decodeBase64(proof.entry)
  const entry = bytes === null ? null : parseAuditEntry(bytes)
  if (bytes === null || entry === null) return failed([...faults, 'the entry is not in canonical form'])
  if (entry.seq !== proof.index + 1) faults.push('the entry says that it is another')
  const signed = verifyCheckpoint({ proof, bytes, origin: originOf(entry.host), keys })
  const { texts, faults: textFaults } = verifyTexts(proof, entry)
  faults.push(...signed.faults, ...textFaults)
  return { holds: faults.length === 0, faults, entry, signedBy: signed.signedBy, cosignedBy: signed.cosignedBy, texts }
}

function verifyCheckpoint(o: {
  readonly proof: ProofFile
  readonly bytes: Uint8Array
  readonly origin: string
  readonly keys: readonly NoteKey[]
}): Pick<ProofReport, 'faults' | 'signedBy' | 'cosignedBy'> {
  const { proof, bytes, origin, keys } = o
  const opened = openCheckpoint(proof.checkpoint, keys, origin)
  if (opened.fault !== null) return { faults: [checkpointFaults[opened.fault]], signedBy: [], cosignedBy: [] }
  const { size, root } = opened.checkpoint
  const faults: string[] = []
  if (size !== proof.size) faults.push('the checkpoint is of another size than the proof')
  const path = proof.proof.map(decodeBase64).filter((hash) => hash !== null)
  const whole = path.length === proof.proof.length
  if (!whole || !verifyInclusion({ index: proof.index, size, leaf: leafHash(bytes), proof: path, root }))
    faults.push('the entry is not in the log that the checkpoint is of')
  return {
    faults,
    signedBy: opened.signedBy.map(({ name }) => name),
    cosignedBy: opened.cosignedBy.map(({ key, timeS }) => ({ name: key.name, timeS })),
  }
}

const checkpointFaults = {
  malformed: 'the checkpoint is no signed checkpoint',
  'other-log': "the checkpoint is of another log than the entry's host",
  'bad-signature': 'a signature under the checkpoint is false',
  unsigned: 'no key of the log that was given has signed the checkpoint',
} as const

function verifyTexts(proof: ProofFile, entry: ParsedAuditEntry): Pick<ProofReport, 'faults' | 'texts'> {
  const faults: string[] = []
  const texts: [string, string][] = []
  for (const [name, { salt, text }] of Object.entries(proof.texts)) {
    const commitment = Object.hasOwn(entry.detail, name) ? entry.detail[name] : null
    const bytes = decodeBase64(salt)
    if (bytes !== null && typeof commitment === 'string' && commitmentHolds(commitment, bytes, text))
      texts.push([name, text])
    else faults.push('a text is not the one that the entry holds a commitment to')
  }
  return { faults, texts: Object.fromEntries(texts) }
}

function parseProofFile(text: string): ProofFile | null {
  if (text.length > maxProofFileLength) return null
  try {
    const parsed = proofFileSchema.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : null
  } catch {
    // No JSON.
    return null
  }
}

function failed(faults: readonly string[]): ProofReport {
  return { holds: false, faults, entry: null, signedBy: [], cosignedBy: [], texts: {} }
}
