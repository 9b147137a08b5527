// Checkpoints as the database keeps them: the log's own note, and beside it what auditors say of it.

import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import { auditorNameOf, openCheckpoint, originOf } from '@teleclaude/core/checkpoint.ts'
import { addSignatures, parseVerifierKey } from '@teleclaude/core/signed-note.ts'
import type { StoredCheckpoint } from '@teleclaude/store/audit-contract.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import { z } from 'zod'

/** The note with all cosignatures beneath it. */
export function cosignedNote({ note, cosignatures }: StoredCheckpoint): string {
  return addSignatures(
    note,
    cosignatures.map(({ line }) => line),
  )
}

/** Whether that key of the log has signed it, and the host's auditor, by its own key, has cosigned it: a row that says so is not
 *  enough. */
export function isCosigned(
  stored: StoredCheckpoint,
  {
    host,
    logKeys,
    auditorKey,
  }: { readonly host: string; readonly logKeys: readonly string[]; readonly auditorKey: string },
): boolean {
  const auditor = parseVerifierKey(auditorKey)
  if (auditor === null || auditor.name !== auditorNameOf(host)) return false
  const keys = logKeys.map(parseVerifierKey).filter((key) => key !== null)
  const opened = openCheckpoint(cosignedNote(stored), [...keys, auditor], originOf(host))
  return opened.fault === null && opened.checkpoint.size === stored.size && opened.cosignedBy.length > 0
}

/** A key of the log, as the `key.changed` that began its epoch says. */
export type LogKeyEntry = {
  readonly epoch: number
  /** In the form of C2SP signed-note. */
  readonly vkey: string
  readonly previous: string | null
  /** Whether it came in the place of one that nobody has any more. */
  readonly lost: boolean
  /** The entry's own number: the first of its epoch. */
  readonly fromSeq: number
}

const keysAtOnce = 100

/** Of a log, all keys that it says it had, oldest first. @throws StoreError 'audit-broken' for an entry that names none */
export async function listLogKeys(store: Pick<Store, 'audit'>, host: string): Promise<readonly LogKeyEntry[]> {
  const keys: LogKeyEntry[] = []
  for (let beforeSeq: number | undefined; ; beforeSeq = keys.at(-1)?.fromSeq) {
    const page = await readKeys(store, host, beforeSeq, keysAtOnce)
    keys.push(...page)
    if (page.length < keysAtOnce) return keys.reverse()
  }
}

/** Null where the log has none yet. @throws StoreError as listLogKeys */
export async function newestLogKey(store: Pick<Store, 'audit'>, host: string): Promise<LogKeyEntry | null> {
  const [newest] = await readKeys(store, host, undefined, 1)
  return newest ?? null
}

const keyDetail = z.looseObject({
  epoch: z.int().min(1),
  publicKey: z.string(),
  previous: z.string().nullable(),
  lost: z.boolean(),
})

/** Newest first. */
async function readKeys(
  store: Pick<Store, 'audit'>,
  host: string,
  beforeSeq: number | undefined,
  limit: number,
): Promise<readonly LogKeyEntry[]> {
  const before = beforeSeq === undefined ? {} : { beforeSeq }
  const found = await store.audit.find(host, { scope: { kind: 'all' }, action: 'key.changed', ...before, limit })
  return found.map(({ seq, bytes }) => {
    const detail = keyDetail.safeParse(parseAuditEntry(bytes)?.detail)
    if (!detail.success) throw new StoreError('audit-broken', `cannot read the log's keys: entry ${seq} names none`)
    const { epoch, publicKey: vkey, previous, lost } = detail.data
    return { epoch, vkey, previous, lost, fromSeq: seq }
  })
}
