// How an entry is written where it is shipped to: as its own exact bytes, or in the words of a schema.

import type { SinkConfig } from '@teleclaude/config/sinks.ts'
import { type ParsedAuditEntry, parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { toOcsf } from './ocsf.ts'

/** As JSON on one line. */
export type RenderEntry = (entry: StoredAuditEntry) => string

export const renderers: Readonly<Record<SinkConfig['format'], RenderEntry>> = {
  native: ({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  ocsf: (entry) => JSON.stringify(toOcsf(entry)),
}

/** Of entries that were checked. @throws TypeError for others */
export function identify(entry: StoredAuditEntry): ParsedAuditEntry {
  const parsed = parseAuditEntry(entry.bytes)
  if (parsed === null) throw new TypeError(`entry ${entry.seq} is none, and was never checked`)
  return parsed
}
