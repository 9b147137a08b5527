// A drill: copies of an export of the audit log are tampered with in every way that is listed here, and the verifier has to find
// each. Nothing touches the log itself. What only a thief of the log's key can do is done to a copy under keys of the drill's own,
// with the same entries and checkpoints: the real key stays where it is.

import { generateKeyPairSync } from 'node:crypto'
import canonicalize from 'canonicalize'
import { z } from 'zod'
import { type ExportHeader, type ExportLine, formatExportLine, parseExportLine } from './audit-export.ts'
import type { AuditFault } from './audit-fault.ts'
import type { KeyChange } from './audit-keys.ts'
import { type Anchors, type AuditReport, verifyAuditExport } from './audit-verify.ts'
import { encodeBase64 } from './base64.ts'
import { auditorNameOf, cosign, originOf, parseCheckpoint, signCheckpoint } from './checkpoint.ts'
import { emptyFrontier, leafHash, TreeBuilder } from './merkle.ts'
import {
  cosignatureV1,
  ed25519,
  formatVerifierKey,
  type NoteAlgorithm,
  parseNote,
  type Signer,
  verifierKeyOf,
} from './signed-note.ts'

export type DrillLog = {
  /** The whole export. */
  readonly lines: readonly ExportLine[]
  /** Entries that a checkpoint is over; where somebody elsewhere holds one, entries that that is over. */
  readonly covered: number
  /** Those who sign for the log, by epoch: of the drill's own copy, its thief has them; else nobody. */
  readonly signers: ReadonlyMap<number, Signer>
}

export type Tampering = {
  readonly name: string
  /** What is done, for people to read. */
  readonly says: string
  /** What it takes. */
  readonly takes: 'database' | 'log-key'
  /** The log is of one piece afterwards: only an auditor that cosigned, or somebody who has an earlier checkpoint, can tell. */
  readonly needsAuditor: boolean
  /** Null where the log is too short for it. */
  readonly tamper: (log: DrillLog) => readonly ExportLine[] | null
}

export type DrillResult = Pick<Tampering, 'name' | 'says' | 'takes'> & {
  /** `no-auditor`: it would not be found, for nothing was cosigned and no earlier checkpoint is known. */
  readonly outcome: 'found' | 'missed' | 'no-auditor' | 'not-tried'
  readonly faults: readonly AuditFault[]
}

export type DrillReport = {
  /** Of the log as it is. Nothing is tried where something is wrong with it already, but that no checkpoint is over its end. */
  readonly log: AuditReport
  readonly results: readonly DrillResult[]
  /** Something was tried, and nothing was missed. What only an auditor would find does not count as found. */
  readonly holds: boolean
}

/** Tampers with copies of this export, whose lines are all kept in memory. */
export async function drill(lines: readonly string[], anchors: Anchors): Promise<DrillReport> {
  const log = await verifyAuditExport(lines, anchors)
  const parsed = lines.map(parseExportLine).filter((line) => line !== null)
  const header = parsed.find((line) => line.type === 'log')
  if (!isSound(log) || header === undefined) return { log, results: [], holds: false }
  const held = Math.max(log.cosigned?.size ?? 0, log.since ?? 0)
  const covered = held > 0 ? held : log.signed
  const real: DrillLog = { lines: parsed, covered, signers: new Map() }
  const realAnchors = { keys: anchors.keys, since: noteOf(parsed, held) ?? anchors.since }

  const practice = takeOver(parsed, header)
  const stolen: DrillLog = { ...practice, covered }
  const stolenAnchors = { keys: keysOf(practice), since: noteOf(practice.lines, held) }
  if (!isSound(await verifyAuditExport(practice.lines.map(formatExportLine), stolenAnchors)))
    throw new Error('cannot drill: the copy of the log under keys of the drill does not verify')

  const results: DrillResult[] = []
  for (const tampering of tamperings) {
    const [copy, known] = tampering.takes === 'log-key' ? [stolen, stolenAnchors] : [real, realAnchors]
    results.push(await tryOne(tampering, copy, known))
  }
  return { log, results, holds: results.every(({ outcome }) => outcome !== 'missed') }
}

async function tryOne(tampering: Tampering, log: DrillLog, anchors: Anchors): Promise<DrillResult> {
  const { name, says, takes, needsAuditor, tamper } = tampering
  const changed = tamper(log)
  if (changed === null) return { name, says, takes, outcome: 'not-tried', faults: [] }
  const report = await verifyAuditExport(changed.map(formatExportLine), anchors)
  const missed = needsAuditor && anchors.since === null ? 'no-auditor' : 'missed'
  return { name, says, takes, outcome: isSound(report) ? missed : 'found', faults: report.faults }
}

/** Nothing is wrong but what is of every log that goes on: its last entries may have no checkpoint over them yet. */
function isSound({ faults }: AuditReport): boolean {
  return faults.every(({ kind }) => kind === 'uncovered')
}

export const tamperings: readonly Tampering[] = [
  {
    name: 'flip-byte',
    says: 'one bit of one entry is another: it still looks like an entry',
    takes: 'database',
    needsAuditor: false,
    tamper: flipByte,
  },
  {
    name: 'delete-entry',
    says: 'an entry is deleted',
    takes: 'database',
    needsAuditor: false,
    tamper: (log) => deleteEntry(log, false),
  },
  {
    name: 'close-gap',
    says: 'an entry is deleted, and those after it are numbered anew',
    takes: 'database',
    needsAuditor: false,
    tamper: (log) => deleteEntry(log, true),
  },
  {
    name: 'swap-entries',
    says: 'two entries change places and numbers',
    takes: 'database',
    needsAuditor: false,
    tamper: swapEntries,
  },
  {
    name: 'cut-tail',
    says: 'the last entries are cut off, with every checkpoint over them',
    takes: 'database',
    needsAuditor: true,
    tamper: cutTail,
  },
  {
    name: 'restore-backup',
    says: "yesterday's log is put back and goes on differently, signed with the log's stolen key",
    takes: 'log-key',
    needsAuditor: true,
    tamper: restoreBackup,
  },
  {
    name: 'fork',
    says: "one entry is another, and the tree and all checkpoints over it are made anew with the log's stolen key",
    takes: 'log-key',
    needsAuditor: true,
    tamper: forkLog,
  },
  {
    name: 'unannounced-key',
    says: 'a checkpoint is signed with a new key that no entry announces',
    takes: 'database',
    needsAuditor: false,
    tamper: signUnannounced,
  },
  {
    name: 'announced-key',
    says: 'an entry announces a new key and says that the one before is lost: that does not hand over to it',
    takes: 'database',
    needsAuditor: false,
    tamper: announceKey,
  },
  {
    name: 'rewrite',
    says: "all of the log is written anew under the attacker's own keys, with one entry changed",
    takes: 'database',
    needsAuditor: true,
    tamper: rewriteLog,
  },
]

function flipByte(log: DrillLog): readonly ExportLine[] | null {
  const seq = middleOf(log, 1)
  if (seq === null) return null
  return sealEnd(
    log.lines.map((line) => {
      if (line.type !== 'entry' || line.seq !== seq) return line
      const bytes = Buffer.from(line.entry, 'base64')
      // The last digit of its time, of which every value is one.
      const at = bytes.indexOf('Z"', bytes.indexOf('"at":"')) - 1
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      return { ...line, entry: encodeBase64(bytes) }
    }),
  )
}

function deleteEntry(log: DrillLog, closeGap: boolean): readonly ExportLine[] | null {
  const gone = middleOf(log, 1)
  if (gone === null) return null
  const left = log.lines.filter((line) => line.type !== 'entry' || line.seq !== gone)
  if (!closeGap) return sealEnd(left)
  return sealEnd(
    left.map((line) =>
      line.type === 'entry' && line.seq > gone ? writeEntry({ ...readEntry(line), seq: line.seq - 1 }) : line,
    ),
  )
}

function swapEntries(log: DrillLog): readonly ExportLine[] | null {
  const seq = middleOf(log, 2)
  const [one, other] = [seq, (seq ?? 0) + 1].map((n) =>
    log.lines.find((line) => line.type === 'entry' && line.seq === n),
  )
  if (seq === null || one?.type !== 'entry' || other?.type !== 'entry') return null
  return sealEnd(
    log.lines.map((line) => {
      if (line === one) return writeEntry({ ...readEntry(other), seq })
      if (line === other) return writeEntry({ ...readEntry(one), seq: seq + 1 })
      return line
    }),
  )
}

function cutTail(log: DrillLog): readonly ExportLine[] | null {
  const size = backupSize(log)
  return size === null ? null : sealEnd(cutAt(log.lines, size))
}

function restoreBackup(log: DrillLog): readonly ExportLine[] | null {
  const size = backupSize(log)
  return size === null ? null : changeFrom(log, (seq) => seq > size)
}

function forkLog(log: DrillLog): readonly ExportLine[] | null {
  const changed = middleOf(log, 1)
  return changed === null ? null : changeFrom(log, (seq) => seq === changed)
}

function signUnannounced(log: DrillLog): readonly ExportLine[] | null {
  const { header, size, epoch } = endOf(log.lines)
  const at = log.lines.findLastIndex((line) => line.type === 'checkpoint')
  if (header === undefined || at < 0) return null
  const thief = newSigner(originOf(header.host))
  const key = { epoch: epoch + 1, vkey: vkeyOf(thief, ed25519), fromSeq: size }
  const lines = log.lines.toSpliced(log.lines.indexOf(header), 1, withKeys(header, [...header.keys.log, key]))
  return signAnew(lines, { from: at, signer: () => thief })
}

function announceKey(log: DrillLog): readonly ExportLine[] | null {
  const { header, size, epoch } = endOf(log.lines)
  const last = log.lines.findLast((line) => line.type === 'entry')
  const previous = header?.keys.log.at(-1)?.vkey
  if (header === undefined || last?.type !== 'entry' || previous === undefined) return null
  const thief = newSigner(originOf(header.host))
  const vkey = vkeyOf(thief, ed25519)
  const detail: KeyChange = { epoch: epoch + 1, publicKey: vkey, previous, lost: true }
  const entry = writeEntry({ ...readEntry(last), action: 'key.changed', detail, epoch: epoch + 1, seq: size + 1 })
  const key = { epoch: epoch + 1, vkey, fromSeq: size + 1 }
  const body = log.lines.filter((line) => line.type !== 'log' && line.type !== 'end')
  const lines = [withKeys(header, [...header.keys.log, key]), ...body, entry, noCheckpoint, end]
  return signAnew(lines, { from: lines.length - 2, signer: () => thief })
}

function rewriteLog(log: DrillLog): readonly ExportLine[] | null {
  const { header } = endOf(log.lines)
  return header === undefined ? null : forkLog({ ...takeOver(log.lines, header), covered: log.covered })
}

/** A copy of the log under new keys, of it and of the auditor where something is cosigned: entries that announce keys announce
 *  the new ones, and who has the copy has them all. */
function takeOver(lines: readonly ExportLine[], header: ExportHeader): Omit<DrillLog, 'covered'> & { auditor: Signer } {
  const auditor = newSigner(auditorNameOf(header.host))
  const signers = new Map(header.keys.log.map(({ epoch }) => [epoch, newSigner(originOf(header.host))]))
  const vkeyAt = (epoch: number): string | null => {
    const signer = signers.get(epoch)
    return signer === undefined ? null : vkeyOf(signer, ed25519)
  }
  const keys = header.keys.log.map((key) => ({ ...key, vkey: vkeyAt(key.epoch) ?? key.vkey }))
  const renamed = lines.map((line) => {
    if (line.type === 'log') return { ...line, keys: { log: keys, auditor: vkeyOf(auditor, cosignatureV1) } }
    const entry = line.type === 'entry' ? readEntry(line) : null
    if (entry?.action !== 'key.changed') return line
    const { epoch = 0 } = entry
    const detail = { ...entry.detail, publicKey: vkeyAt(epoch), previous: vkeyAt(epoch - 1) }
    return writeEntry({ ...entry, detail })
  })
  return { lines: signAnew(renamed, { from: 0, signer: (epoch) => signers.get(epoch), auditor }), signers, auditor }
}

/** The log with entries changed, and all that is over them signed anew by who has its keys, but not the auditor's. */
function changeFrom(log: DrillLog, which: (seq: number) => boolean): readonly ExportLine[] | null {
  const lines = log.lines.map((line) => {
    if (line.type !== 'entry' || !which(line.seq)) return line
    const entry = readEntry(line)
    return entry.action === 'key.changed' ? line : writeEntry({ ...entry, detail: { ...entry.detail, tampered: true } })
  })
  const first = lines.findIndex((line, n) => line !== log.lines[n])
  return first < 0 ? null : signAnew(lines, { from: first, signer: (epoch) => log.signers.get(epoch) })
}

/** Stands where a checkpoint is to be signed. */
const noCheckpoint: ExportLine = { type: 'checkpoint', note: '', cosignatures: [] }
const end: ExportLine = { type: 'end', size: 0, root: '' }
/** When the drill's auditor cosigns. */
const drillTimeS = 1

/** Signs the checkpoints from a line on anew, over the entries that are there, with the key of the epoch of each; the first one of
 *  an epoch with that of the epoch before too. Without an auditor there is no cosignature. */
function signAnew(
  lines: readonly ExportLine[],
  o: {
    readonly from: number
    readonly signer: (epoch: number) => Signer | undefined
    readonly auditor?: Signer
  },
): readonly ExportLine[] {
  const tree = TreeBuilder.from(emptyFrontier)
  let epoch = 0
  let before: Signer | undefined
  return lines.map((line, n) => {
    if (line.type === 'entry') {
      const entry = readEntry(line)
      tree.append(leafHash(Buffer.from(line.entry, 'base64')))
      if (entry.action === 'key.changed') before = o.signer(epoch)
      epoch = entry.epoch ?? 0
    }
    if (line.type === 'end') return { ...line, size: tree.size, root: encodeBase64(tree.root()) }
    const signer = o.signer(epoch)
    if (line.type !== 'checkpoint' || n < o.from || signer === undefined) return line
    const checkpoint = { origin: signer.name, size: tree.size, root: tree.root() }
    const note = signCheckpoint(checkpoint, signer, ...(before === undefined || before === signer ? [] : [before]))
    before = undefined
    const cosigned = o.auditor !== undefined && line.cosignatures.length > 0
    return { type: 'checkpoint', note, cosignatures: cosigned ? [cosign(note, o.auditor, drillTimeS)] : [] }
  })
}

/** With an end that fits the entries that are there. */
function sealEnd(lines: readonly ExportLine[]): readonly ExportLine[] {
  return signAnew(lines, { from: 0, signer: () => undefined })
}

function cutAt(lines: readonly ExportLine[], size: number): readonly ExportLine[] {
  return lines.flatMap((line) => {
    if (line.type === 'log')
      return withKeys(
        line,
        line.keys.log.filter(({ fromSeq }) => fromSeq <= size),
      )
    if (line.type === 'entry') return line.seq <= size ? line : []
    return line.type === 'checkpoint' && sizeOf(line) > size ? [] : line
  })
}

/** Of the largest checkpoint that is not over all that one elsewhere is. */
function backupSize(log: DrillLog): number | null {
  const sizes = log.lines.flatMap((line) => (line.type === 'checkpoint' ? sizeOf(line) : []))
  return sizes.findLast((size) => size < log.covered) ?? (log.covered > 1 ? log.covered - 1 : null)
}

/** The number of an entry in the middle of those that are covered, with as many as are wanted from there that announce no key. */
function middleOf(log: DrillLog, wanted: number): number | null {
  const plain = log.lines.flatMap((line) =>
    line.type === 'entry' && line.seq <= log.covered && readEntry(line).action !== 'key.changed' ? line.seq : [],
  )
  const runs = plain.filter((seq, n) => plain[n + wanted - 1] === seq + wanted - 1)
  return runs[Math.floor(runs.length / 2)] ?? null
}

function endOf(lines: readonly ExportLine[]) {
  const header = lines.find((line) => line.type === 'log')
  const last = lines.findLast((line) => line.type === 'entry')
  return { header, size: last?.seq ?? 0, epoch: last === undefined ? 0 : (readEntry(last).epoch ?? 0) }
}

function noteOf(lines: readonly ExportLine[], size: number): string | null {
  const found = lines.find((line) => line.type === 'checkpoint' && sizeOf(line) === size)
  return size > 0 && found?.type === 'checkpoint' ? found.note : null
}

function sizeOf({ note }: Extract<ExportLine, { type: 'checkpoint' }>): number {
  return parseCheckpoint(parseNote(note)?.text ?? '')?.size ?? 0
}

const entrySchema = z.looseObject({
  epoch: z.int().optional(),
  seq: z.int(),
  action: z.string(),
  detail: z.looseObject({}),
})
type Entry = z.infer<typeof entrySchema>

/** Of an entry that was found to be one. */
function readEntry({ entry }: Extract<ExportLine, { type: 'entry' }>): Entry {
  return entrySchema.parse(JSON.parse(Buffer.from(entry, 'base64').toString('utf8')))
}

function writeEntry(entry: Entry): Extract<ExportLine, { type: 'entry' }> {
  const text = canonicalize(entry) ?? ''
  return { type: 'entry', seq: entry.seq, entry: Buffer.from(text, 'utf8').toString('base64') }
}

function withKeys(header: ExportHeader, log: ExportHeader['keys']['log']): ExportHeader {
  return { ...header, keys: { ...header.keys, log } }
}

function keysOf({ signers, auditor }: { readonly signers: ReadonlyMap<number, Signer>; readonly auditor: Signer }) {
  return [
    ...[...signers.values()].map((signer) => verifierKeyOf(signer, ed25519)),
    verifierKeyOf(auditor, cosignatureV1),
  ]
}

function vkeyOf(signer: Signer, algorithm: NoteAlgorithm): string {
  return formatVerifierKey(verifierKeyOf(signer, algorithm))
}

function newSigner(name: string): Signer {
  return { name, key: generateKeyPairSync('ed25519').privateKey }
}
