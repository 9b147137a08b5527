// What an auditor exists to notice: database and file do not say the same, or either of them is no audit log. Nothing is
// skipped, mended or overwritten then; a person has to look.

export class AuditAlarm extends Error {
  override readonly name = 'AuditAlarm'
  readonly code = 'audit-alarm'
}

/** `entry 4`, `entries 4 to 9` */
export function entries(from: number, to: number): string {
  return from === to ? `entry ${from}` : `entries ${from} to ${to}`
}
