// The keys that sign an audit log, one after the other: each begins an epoch with an entry that announces it, and counts where
// the key before it has signed a checkpoint over that entry, or where whoever verifies trusts it from elsewhere.

import type { ParsedAuditEntry } from './audit.ts'
import type { ExportHeader } from './audit-export.ts'
import type { AuditFaults } from './audit-fault.ts'
import { originOf } from './checkpoint.ts'
import { ed25519, formatVerifierKey, type NoteKey, parseVerifierKey } from './signed-note.ts'

type Epoch = {
  readonly fromSeq: number
  readonly key: NoteKey | null
  /** The key of the epoch before. */
  readonly before: NoteKey | null
  /** Its entry says that the key before is lost: anybody can say so. */
  readonly isLost: boolean
  /** That one has signed a checkpoint over the entry that announces this one; the first key has nobody to do so. */
  handedOver: boolean
}

/** A key can be handed over to while no more than this many others came after it. */
const maxWaiting = 16

/** What a `key.changed` entry says in its detail. */
export type KeyChange = {
  readonly epoch: number
  /** In the form of C2SP signed-note, like `previous`. */
  readonly publicKey: string
  /** Null in the log's first epoch. */
  readonly previous: string | null
  /** That one is gone, and will not hand over. */
  readonly lost: boolean
}

export class AuditLogKeys {
  readonly #origin: string
  readonly #faults: AuditFaults
  /** What the export names, by epoch. */
  readonly #named = new Map<number, { readonly key: NoteKey | null; readonly fromSeq: number }>()
  readonly #epochs = new Map<number, Epoch>()
  #epoch = 0
  /** Those that wait to be handed over to. */
  #waiting: readonly Epoch[] = []

  constructor(host: string, named: ExportHeader['keys']['log'], faults: AuditFaults) {
    this.#origin = originOf(host)
    this.#faults = faults
    for (const { epoch, vkey, fromSeq } of named) {
      const key = this.#parse(vkey)
      if (key === null) faults.add('key', fromSeq, null, 'the export names a key that is none of this log')
      if (this.#named.has(epoch)) faults.add('key', fromSeq, null, 'the export names two keys for one epoch')
      this.#named.set(epoch, { key, fromSeq })
    }
  }

  /** That of the epoch of the last entry. */
  get current(): NoteKey | null {
    return this.#epochs.get(this.#epoch)?.key ?? null
  }

  /** Those that may sign a checkpoint now: the current one, and those that have to hand over yet. */
  get signing(): readonly NoteKey[] {
    return [this.current, ...this.#waiting.map(({ before }) => before)].filter((key) => key !== null)
  }

  /** Those that the export names. */
  get named(): readonly NoteKey[] {
    return [...this.#named.values()].map(({ key }) => key).filter((key) => key !== null)
  }

  /** The log's next entry. */
  follow({ seq, epoch, action, detail }: ParsedAuditEntry): void {
    const changes = action === 'key.changed'
    if (!changes && epoch === this.#epoch) return
    if (epoch < this.#epoch) {
      this.#faults.add('epoch', seq, seq, 'its epoch is an earlier one')
    } else if (!changes || epoch !== this.#epoch + 1 || detail.epoch !== epoch) {
      this.#faults.add('epoch', seq, seq, 'its epoch is another than that before it, and no entry begins it')
      // What follows is judged by the epoch that it says it is in: it has been said once what is wrong.
      if (epoch > this.#epoch)
        this.#begin({ epoch, fromSeq: seq, key: this.#named.get(epoch)?.key ?? null, isLost: false })
    } else {
      const key = this.#parse(detail.publicKey)
      const named = this.#named.get(epoch)
      if (key === null) this.#faults.add('key', seq, seq, 'the key that it announces is none of this log')
      else if (!sameKey(named?.key ?? null, key) || named?.fromSeq !== seq)
        this.#faults.add('key', seq, seq, 'the key that it announces is not the one that the export names')
      const previous = this.current === null ? null : formatVerifierKey(this.current)
      if (detail.previous !== previous) this.#faults.add('key', seq, seq, 'the key that it replaces was not in use')
      this.#begin({ epoch, fromSeq: seq, key, isLost: detail.lost === true })
    }
  }

  /** These keys signed a checkpoint over all entries up to here, which holds. */
  handOver(signedBy: readonly NoteKey[]): void {
    for (const epoch of this.#waiting) epoch.handedOver = signedBy.some((key) => sameKey(key, epoch.before))
    this.#waiting = this.#waiting.filter(({ handedOver }) => !handedOver)
  }

  /** When the log has been read, up to this entry: whether the keys that signed it are those that whoever verifies trusts. Without
   *  any, those that the export names are. */
  judge(trusted: readonly NoteKey[], lastSeq: number): void {
    for (const [epoch, { fromSeq }] of this.#named)
      if (!this.#epochs.has(epoch))
        this.#faults.add('key', fromSeq, null, 'no entry announces the key that the export names')
    const epochs = [...this.#epochs.values()]
    let counts = trusted.length === 0
    for (const [n, { fromSeq, key, handedOver, isLost }] of epochs.entries()) {
      const to = (epochs[n + 1]?.fromSeq ?? lastSeq + 1) - 1
      if (trusted.some((one) => sameKey(one, key))) counts = true
      else if (!handedOver) {
        counts = false
        const unsigned = 'the key before theirs has not signed that it comes next'
        const lost = 'the key before theirs is said to be lost, and theirs is not among the keys that are trusted'
        this.#faults.add('key', fromSeq, to, isLost ? lost : unsigned)
      }
    }
    const [first] = epochs
    if (first !== undefined && !counts && !this.#faults.has('key'))
      this.#faults.add('key', first.fromSeq, lastSeq, 'none of the trusted keys stands for the key that signed them')
  }

  #begin({ epoch, ...begins }: Pick<Epoch, 'fromSeq' | 'key' | 'isLost'> & { readonly epoch: number }): void {
    const begun: Epoch = { ...begins, before: this.current, handedOver: this.#epochs.size === 0 }
    if (!begun.handedOver) this.#waiting = [...this.#waiting, begun].slice(-maxWaiting)
    this.#epochs.set(epoch, begun)
    this.#epoch = epoch
  }

  /** A key has the log's own name. */
  #parse(vkey: unknown): NoteKey | null {
    const key = typeof vkey === 'string' ? parseVerifierKey(vkey) : null
    return key?.algorithm === ed25519 && key.name === this.#origin ? key : null
  }
}

function sameKey(one: NoteKey | null, other: NoteKey | null): boolean {
  return one !== null && other !== null && formatVerifierKey(one) === formatVerifierKey(other)
}
