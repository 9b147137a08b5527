// What an auditor exists to notice: the log is not what it was, or what is shipped is not the log. Nothing is skipped, mended or
// overwritten then; a person has to look.

import type { AlarmKind } from '@teleclaude/store/audit-contract.ts'
import { oneLine } from './one-line.ts'

/** The entries that it is about. */
export type EntryRange = { readonly from: number; readonly to: number }

export class AuditAlarm extends Error {
  override readonly name = 'AuditAlarm'
  readonly code = 'audit-alarm'
  readonly kind: AlarmKind
  readonly range: EntryRange | null

  constructor(kind: AlarmKind, range: EntryRange | null, message: string) {
    // Of the database, which may say anything.
    super(oneLine(message))
    this.kind = kind
    this.range = range
  }
}

/** `entry 4`, `entries 4 to 9` */
export function entries(from: number, to: number): string {
  return from === to ? `entry ${from}` : `entries ${from} to ${to}`
}

export function missing(from: number, to: number): AuditAlarm {
  return new AuditAlarm('gap', { from, to }, `${entries(from, to)} should be in the database, and are not`)
}
