// What the row of a log's head says, the same for both engines.

import { decodeFrontier, emptyFrontier, type Hash } from '@teleclaude/core/merkle.ts'
import type { AuditHead } from './audit-contract.ts'
import { StoreError } from './contract.ts'

export type HeadRow = { readonly seq: number; readonly epoch: number; readonly tree: Uint8Array | null }
export type Leaf = { readonly seq: number; readonly hash: Hash }

/** Null where the tree has to be made of all entries.
 *  @param row null where the log has no entry yet
 *  @throws StoreError 'audit-broken' */
export function readStoredHead(host: string, row: HeadRow | null): AuditHead | null {
  if (row === null) return { epoch: 0, frontier: emptyFrontier }
  if (row.tree === null) return null
  try {
    return { epoch: row.epoch, frontier: decodeFrontier(row.seq, row.tree) }
  } catch (cause) {
    throw new StoreError('audit-broken', `cannot use the audit log of ${host}: its head holds no tree of its size`, {
      cause,
    })
  }
}

/** The leaves that come after the first `size`, which have to be there.
 *  @throws StoreError 'audit-broken' where the next one is not */
export function requireLeaves(host: string, size: number, leaves: readonly Leaf[]): readonly Leaf[] {
  const missing = leaves.length === 0 ? 0 : leaves.findIndex(({ seq }, at) => seq !== size + at + 1)
  if (missing === -1) return leaves
  throw new StoreError('audit-broken', `cannot use the audit log of ${host}: entry ${size + missing + 1} is missing`)
}
