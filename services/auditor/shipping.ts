// From the database to the sink, one batch at a time. What is shipped was checked: each entry follows the one before, is
// canonical, and the file's last entry is still the same in the database. The cursor follows the sink, never the other way.

import { identifyAuditEntry } from '@teleclaude/core/audit.ts'
import type { InstanceLock, Store, StoredAuditEntry } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { AuditAlarm, entries } from './alarm.ts'
import type { AuditFile } from './audit-file.ts'

export const sinkName = 'file'
const batchEntries = 1000

export type Shipping = {
  readonly store: Store
  readonly lock: InstanceLock
  readonly file: AuditFile
  readonly host: string
  readonly log: Logger
}

/** Ships up to one batch and returns how many entries that were; 0 says that the sink has everything.
 *  @throws AuditAlarm after everything before the first wrong entry was shipped */
export async function shipBatch({ store, lock, file, host, log }: Shipping): Promise<number> {
  // The head is read before the entries: those up to it are there by then.
  const [cursor, head] = await Promise.all([store.audit.readCursor(host, sinkName), store.audit.headSeq(host)])
  const last = await file.lastEntry(cursor)
  const lastSeq = last?.seq ?? 0
  if (lastSeq < cursor) {
    const again = entries(lastSeq + 1, cursor)
    log.error({ from: lastSeq + 1, to: cursor }, `${file.path} has lost ${again}, which it had: writing them again`)
  }
  // From the file's last entry on, which has to be there still.
  const found = await store.audit.read(host, { afterSeq: Math.max(0, lastSeq - 1), limit: batchEntries })
  if (last !== null) requireSame(last, found[0], head)
  const { good, fault } = checkEntries(host, lastSeq, last === null ? found : found.slice(1), head)
  if (good.length > 0) {
    // The store asks for itself; the file can't.
    lock.requireHeld()
    await file.append(good)
  }
  const shippedSeq = lastSeq + good.length
  if (shippedSeq > cursor) await store.audit.moveCursor(host, sinkName, shippedSeq)
  if (fault !== null) throw new AuditAlarm(fault)
  return good.length
}

function requireSame(last: StoredAuditEntry, stored: StoredAuditEntry | undefined, head: number): void {
  if (head < last.seq || stored?.seq !== last.seq) {
    const missing = head < last.seq ? entries(head + 1, last.seq) : `entry ${last.seq}`
    throw new AuditAlarm(
      `cannot go on with the audit log: the database has no ${missing} any more, which the file holds; ` +
        'it was set back or changed: keep the file, and find out who did that',
    )
  }
  if (Buffer.compare(stored.bytes, last.bytes) !== 0) {
    throw new AuditAlarm(
      `cannot go on with the audit log: ${entries(last.seq, last.seq)} of the database is not what the file holds; ` +
        'one of them was changed: keep both, and compare them (auditor verify)',
    )
  }
}

/** The entries up to the first that is wrong, and what is wrong there. */
function checkEntries(
  host: string,
  lastSeq: number,
  found: readonly StoredAuditEntry[],
  head: number,
): { readonly good: readonly StoredAuditEntry[]; readonly fault: string | null } {
  for (const [index, { seq, bytes }] of found.entries()) {
    const fault = findFault(host, lastSeq + 1 + index, seq, bytes)
    if (fault !== null) return { good: found.slice(0, index), fault: `cannot ship the audit log: ${fault}` }
  }
  const isMissing = found.length === 0 && head > lastSeq
  const missing = `${entries(lastSeq + 1, head)} should be in the database, and are not`
  return { good: found, fault: isMissing ? `cannot ship the audit log: ${missing}` : null }
}

/** What is wrong with the stored entry that should be the one with this number, or null. */
export function findFault(host: string, expectedSeq: number, seq: number, bytes: Uint8Array): string | null {
  if (seq !== expectedSeq) return `${entries(expectedSeq, seq - 1)} should be in the database, and are not`
  const entry = identifyAuditEntry(bytes)
  if (entry === null) return `entry ${seq} of the database is not what an entry looks like: it was changed`
  if (entry.host !== host || entry.seq !== seq)
    return `entry ${seq} of the database says that it is entry ${entry.seq} of ${entry.host}: it was changed`
  return null
}
