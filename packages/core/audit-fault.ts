// What can be wrong with an audit log, and the list of what was found, which stays short whatever is wrong.

/** What a fault takes away: that nothing was changed, that nothing was cut off, or both. */
const breaks = {
  /** The export is not what one looks like. */
  form: 'both',
  /** No entry in canonical form. */
  entry: 'intact',
  /** An entry of another host's log. */
  host: 'intact',
  /** Entries are missing between others. */
  gap: 'both',
  /** An entry stands in the place of another, or twice. */
  order: 'intact',
  /** The database finds an entry by something else than it says. */
  index: 'intact',
  /** The epoch falls, or changes without an entry that says so. */
  epoch: 'intact',
  /** A key that nobody announced, handed the log over to, or trusts. */
  key: 'intact',
  /** A checkpoint that the log's key has not signed. */
  signature: 'intact',
  /** One that the auditor has not cosigned, where a line says so. */
  cosignature: 'intact',
  /** The entries are not those that a checkpoint was signed over. */
  root: 'intact',
  /** They are not those that the auditor cosigned, or that the earlier checkpoint was over. */
  fork: 'both',
  /** They are not those that the export says it ends with. */
  end: 'intact',
  /** Entries that a checkpoint is over, or the export's end, are not there. */
  cut: 'complete',
  /** Entries that the auditor cosigned, or that the earlier checkpoint was over, are not there. */
  rollback: 'complete',
  /** The earlier checkpoint is none of this log. */
  anchor: 'both',
  /** No checkpoint is over the last entries. */
  uncovered: 'complete',
} as const satisfies Readonly<Record<string, 'intact' | 'complete' | 'both'>>
export type AuditFaultKind = keyof typeof breaks

export type AuditFault = {
  readonly kind: AuditFaultKind
  /** The first and the last entry that it may be about; `to` is null where nobody can tell. */
  readonly from: number
  readonly to: number | null
  /** For people to read, after the range of entries. Repeats nothing that stands in them. */
  readonly says: string
}

/** No report has more. */
export const maxAuditFaults = 100

/** Faults in the order in which they are found; of neighbours that say the same, one. */
export class AuditFaults {
  readonly #list: AuditFault[] = []
  /** Where in the list the last one is that says this. */
  readonly #places = new Map<string, number>()
  #leftOut = 0

  get list(): readonly AuditFault[] {
    return this.#list
  }

  get leftOut(): number {
    return this.#leftOut
  }

  add(kind: AuditFaultKind, from: number, to: number | null, says: string): void {
    const key = `${kind}: ${says}`
    const place = this.#places.get(key)
    const before = place === undefined ? undefined : this.#list[place]
    if (place !== undefined && before !== undefined && (before.to === null || from <= before.to + 1)) {
      const last = before.to === null || to === null ? null : Math.max(before.to, to)
      this.#list[place] = { kind, from: Math.min(before.from, from), to: last, says }
    } else if (this.#list.length < maxAuditFaults) {
      this.#places.set(key, this.#list.push({ kind, from, to, says }) - 1)
    } else {
      this.#leftOut += 1
    }
  }

  has(kind: AuditFaultKind): boolean {
    return this.#list.some((fault) => fault.kind === kind)
  }

  /** Whether any takes this away. Those that were left out take away what one in the list does not: there is no telling. */
  break(what: 'intact' | 'complete'): boolean {
    return this.#leftOut > 0 || this.#list.some(({ kind }) => breaks[kind] === what || breaks[kind] === 'both')
  }
}
