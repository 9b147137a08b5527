// Verifies a whole audit log from an export of it, trusting nobody who kept it: each entry, their order, the tree over them, who
// signed it and who cosigned it. Reads a line at a time and keeps no more than the tree's frontier and the keys; never stops at
// what it finds.

import { parseAuditEntry } from './audit.ts'
import { type ExportHeader, type ExportLine, parseExportLine } from './audit-export.ts'
import { type AuditFault, AuditFaults } from './audit-fault.ts'
import { AuditLogKeys } from './audit-keys.ts'
import { decodeBase64, encodeBase64 } from './base64.ts'
import { type Checkpoint, openCheckpoint, originOf, parseCheckpoint } from './checkpoint.ts'
import { emptyFrontier, equalHashes, leafHash, TreeBuilder } from './merkle.ts'
import {
  cosignatureV1,
  ed25519,
  keyIdOf,
  type NoteKey,
  type NoteSignature,
  parseNote,
  parseSignatureLine,
  parseVerifierKey,
  verifySignature,
} from './signed-note.ts'

/** What whoever verifies knows from elsewhere. */
export type Anchors = {
  /** Keys that are trusted, of the log and of auditors. Where there is none of a kind, those that the export names are. */
  readonly keys: readonly NoteKey[]
  /** An earlier checkpoint, as a signed note: the log has to hold all that it had then. */
  readonly since: string | null
}

export type AuditReport = {
  /** Null where the export does not say. */
  readonly host: string | null
  /** The last entry's number. */
  readonly size: number
  /** In base 64. */
  readonly root: string
  /** Nothing was found to be changed. */
  readonly intact: boolean
  /** Nothing was found to be cut off, and a checkpoint is over all of it. */
  readonly complete: boolean
  /** Where the keys are from. Those that an export itself names show no more than that it is of one piece. */
  readonly trust: { readonly log: 'given' | 'export'; readonly auditor: 'given' | 'export' | 'none' }
  /** How many checkpoints hold. */
  readonly checkpoints: number
  /** Entries under the newest of them. */
  readonly signed: number
  /** The newest of them that is cosigned, and when it was, in seconds since 1970: who has not the auditor's key can't have changed
   *  entries up to there since. */
  readonly cosigned: { readonly size: number; readonly timeS: number } | null
  /** The size of the earlier checkpoint; null where none was given, or none that can be read. */
  readonly since: number | null
  readonly faults: readonly AuditFault[]
  /** How many more there are. */
  readonly faultsLeftOut: number
}

export async function verifyAuditExport(
  lines: Iterable<string> | AsyncIterable<string>,
  anchors: Anchors,
): Promise<AuditReport> {
  const verifier = new AuditVerifier(anchors)
  for await (const line of lines) verifier.read(line)
  return verifier.report()
}

class AuditVerifier {
  readonly #anchors: Anchors
  readonly #faults = new AuditFaults()
  readonly #tree = TreeBuilder.from(emptyFrontier)
  #linesRead = 0
  #ended = false

  #host: string | null = null
  #keys = new AuditLogKeys('', [], this.#faults)
  #auditors: readonly NoteKey[] = []
  #since: Checkpoint | null = null

  /** The number of the last entry. */
  #seq = 0
  #checkpoints = 0
  /** The size of the newest checkpoint that holds. */
  #signed = 0
  /** And of the newest that the log's key signed, over whatever: none was cut off before it. */
  #covered = 0
  #cosigned: { size: number; timeS: number } | null = null
  /** The first size after that at which the root was not what it had to be: whatever is wrong is up to there. */
  #differs: number | null = null
  /** The largest sizes of checkpoints that came before their last entry did. */
  readonly #ahead = { signed: 0, cosigned: 0 }

  constructor(anchors: Anchors) {
    this.#anchors = anchors
  }

  /** The export's next line, without its newline. */
  read(text: string): void {
    this.#linesRead += 1
    const line = parseExportLine(text)
    const next = this.#seq + 1
    if (line === null) this.#faults.add('form', next, next, 'a line is none of an export')
    else if (this.#ended) this.#faults.add('form', next, null, 'something follows the end')
    else if ((line.type === 'log') !== (this.#linesRead === 1))
      this.#faults.add('form', next, null, 'what log it is has to be said first, and once')
    else this.#take(line)
  }

  report(): AuditReport {
    const size = this.#seq
    if (this.#host === null) this.#faults.add('form', 1, null, 'it is not said what log it is')
    if (!this.#ended) this.#faults.add('cut', size + 1, null, 'the export has no end')
    if (this.#ahead.cosigned > size)
      this.#faults.add('rollback', size + 1, this.#ahead.cosigned, 'the auditor cosigned them, and they are not there')
    else if (this.#ahead.signed > size)
      this.#faults.add('cut', size + 1, this.#ahead.signed, 'a checkpoint is over them, and they are not there')
    if (this.#since !== null && this.#since.size > size)
      this.#faults.add(
        'rollback',
        size + 1,
        this.#since.size,
        'the earlier checkpoint is over them, and they are not there',
      )
    // Of a log without entries nothing is shown, and somebody may have cut it off at the very beginning.
    if (this.#covered < size || size === 0)
      this.#faults.add('uncovered', this.#covered + 1, size === 0 ? null : size, 'no checkpoint is over them')
    this.#keys.judge(this.#trusted(ed25519), size)
    return {
      host: this.#host,
      size,
      root: encodeBase64(this.#tree.root()),
      intact: !this.#faults.break('intact'),
      complete: !this.#faults.break('complete'),
      trust: {
        log: this.#trusted(ed25519).length > 0 ? 'given' : 'export',
        auditor: this.#trusted(cosignatureV1).length > 0 ? 'given' : this.#auditors.length > 0 ? 'export' : 'none',
      },
      checkpoints: this.#checkpoints,
      signed: this.#signed,
      cosigned: this.#cosigned,
      since: this.#since?.size ?? null,
      faults: [...this.#faults.list],
      faultsLeftOut: this.#faults.leftOut,
    }
  }

  #take(line: ExportLine): void {
    switch (line.type) {
      case 'log':
        this.#takeHeader(line)
        break
      case 'entry':
        this.#takeEntry(line.seq, line.entry)
        break
      case 'checkpoint':
        this.#takeCheckpoint(line.note, line.cosignatures)
        break
      case 'fault':
        this.#faults.add('index', line.seq, line.seq, 'the database finds them by something else than they say')
        break
      case 'end':
        this.#takeEnd(line.size, line.root)
        break
    }
  }

  #takeHeader({ host, keys }: ExportHeader): void {
    this.#host = host
    this.#keys = new AuditLogKeys(host, keys.log, this.#faults)
    const named = keys.auditor === null ? null : parseVerifierKey(keys.auditor)
    if (keys.auditor !== null && named?.algorithm !== cosignatureV1)
      this.#faults.add('key', 1, null, "the export names a key as the auditor's that is none")
    const trusted = this.#trusted(cosignatureV1)
    this.#auditors = trusted.length > 0 ? trusted : named?.algorithm === cosignatureV1 ? [named] : []
    this.#openSince()
    this.#holdToSince()
  }

  #openSince(): void {
    const note = this.#anchors.since
    if (note === null) return
    const keys = [...this.#trusted(ed25519), ...this.#keys.named, ...this.#auditors]
    if (openCheckpoint(note, keys, this.#origin()).fault !== null)
      this.#faults.add('anchor', 1, null, 'the earlier checkpoint is none of this log, or its key has not signed it')
    // Whoever signed it, whoever verifies believes it: entries that it is not over are faults as well.
    this.#since = parseCheckpoint(parseNote(note)?.text ?? '')
  }

  #takeEntry(place: number, base64: string): void {
    const bytes = decodeBase64(base64)
    const entry = bytes === null ? null : parseAuditEntry(bytes)
    if (entry === null) this.#faults.add('entry', place, place, 'it is no entry in canonical form')
    else if (entry.seq !== place) this.#faults.add('order', place, place, 'it says that it is another')
    const seq = entry?.seq ?? place
    if (seq > this.#seq + 1) this.#faults.add('gap', this.#seq + 1, seq - 1, 'they are missing')
    if (seq <= this.#seq) this.#faults.add('order', seq, seq, 'it stands after later ones')
    this.#seq = Math.max(this.#seq, seq)
    this.#tree.append(leafHash(bytes ?? new Uint8Array()))
    if (entry !== null) {
      if (entry.host !== this.#host) this.#faults.add('host', seq, seq, "it is of another host's log")
      this.#keys.follow(entry)
    }
    this.#holdToSince()
  }

  #takeCheckpoint(note: string, lines: readonly string[]): void {
    const parsed = parseNote(note)
    const checkpoint = parsed === null ? null : parseCheckpoint(parsed.text)
    if (parsed === null || checkpoint === null || checkpoint.origin !== this.#origin()) {
      this.#faultOver('signature', this.#seq, 'what stands for a checkpoint over them is none of this log')
      return
    }
    const { size, root } = checkpoint
    const timeS = this.#cosignedAt(parsed.text, size, [...parsed.signatures, ...lines.map(parseSignatureLine)])
    if (size !== this.#seq) {
      this.#takeMisplaced(note, size, timeS !== null)
      return
    }
    const opened = openCheckpoint(note, this.#keys.signing, this.#origin())
    const { current } = this.#keys
    // What only a key signed that hands over to the current one shows no more than that it does.
    const counts = opened.fault === null && current !== null && opened.signedBy.includes(current)
    if (counts) this.#covered = size
    if (opened.fault !== null)
      this.#faultOver('signature', size, "the log's key has not signed the checkpoint over them")
    if (!equalHashes(root, this.#tree.root())) {
      if (timeS === null) this.#differ('root', size, 'they are not those that the checkpoint was over')
      else this.#differ('fork', size, 'they are not those that the auditor cosigned')
    } else if (opened.fault === null) {
      this.#keys.handOver(opened.signedBy)
      if (!counts) return
      this.#checkpoints += 1
      this.#signed = size
      this.#differs = null
      if (timeS !== null) this.#cosigned = { size, timeS }
    }
  }

  /** When an auditor cosigned this text, at the earliest, in seconds since 1970; null where none did. */
  #cosignedAt(text: string, size: number, signatures: readonly (NoteSignature | null)[]): number | null {
    let earliest: number | null = null
    for (const signature of signatures) {
      const key = this.#auditors.find((one) => one.name === signature?.name && keyIdOf(one) === signature.keyId)
      if (signature !== null && key === undefined) continue
      const timeS = signature === null || key === undefined ? null : verifySignature(text, signature, key)?.timeS
      if (timeS === null || timeS === undefined)
        this.#faultOver('cosignature', size, 'the auditor has not cosigned the checkpoint over them, as it says')
      else earliest = Math.min(earliest ?? timeS, timeS)
    }
    return earliest
  }

  #takeMisplaced(note: string, size: number, cosigned: boolean): void {
    const keys = [...this.#keys.signing, ...this.#keys.named]
    const signed = openCheckpoint(note, keys, this.#origin()).fault === null
    if (size > this.#seq && cosigned) this.#ahead.cosigned = Math.max(this.#ahead.cosigned, size)
    if (size > this.#seq && signed) this.#ahead.signed = Math.max(this.#ahead.signed, size)
    if (!signed && !cosigned)
      this.#faultOver('signature', size, "the log's key has not signed the checkpoint over them")
    else this.#faults.add('form', Math.max(size, 1), Math.max(size, 1), 'a checkpoint stands elsewhere than after it')
  }

  #takeEnd(size: number, root: string): void {
    this.#ended = true
    if (size > this.#seq) this.#faults.add('cut', this.#seq + 1, size, 'the export says that it has them')
    else if (size < this.#seq) this.#faults.add('end', size + 1, this.#seq, 'the export says that it has not got them')
    else if (root !== encodeBase64(this.#tree.root()))
      this.#differ('end', size, 'they are not those that the export says it has')
  }

  /** Where the earlier checkpoint ended, the root has to be what it was. */
  #holdToSince(): void {
    const since = this.#since
    if (since !== null && since.size === this.#seq && !equalHashes(since.root, this.#tree.root()))
      this.#differ('fork', since.size, 'they are not those that the earlier checkpoint is over')
  }

  /** The root at this size is not what it had to be. */
  #differ(kind: AuditFault['kind'], size: number, says: string): void {
    this.#differs ??= size
    this.#faultOver(kind, this.#differs, says)
  }

  /** Of entries after those that are known to be good, up to this one. */
  #faultOver(kind: AuditFault['kind'], size: number, says: string): void {
    const to = Math.max(size, 1)
    this.#faults.add(kind, Math.min(this.#signed + 1, to), to, says)
  }

  #trusted(algorithm: NoteKey['algorithm']): readonly NoteKey[] {
    return this.#anchors.keys.filter((key) => key.algorithm === algorithm)
  }

  #origin(): string {
    return originOf(this.#host ?? '')
  }
}
