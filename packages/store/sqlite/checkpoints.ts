// The tree of the audit log and what was signed of it, in SQLite.

import { type Hash, leafHash, type Subtree } from '@teleclaude/core/merkle.ts'
import { z } from 'zod'
import type { StoredCheckpoint } from '../audit-contract.ts'
import { checkpointRow, cosignatureRow } from '../audit-rows.ts'
import { partsOf, rootOfParts, type SubtreeParts } from '../audit-tree.ts'
import { joinCosignatures, type WhichCheckpoint } from '../checkpoints.ts'
import { requireText } from '../values.ts'
import type { Connection } from './connection.ts'

const bytesRow = z.strictObject({ bytes: z.instanceof(Uint8Array) })

export function readSubtrees(connection: Connection, host: string, wanted: readonly Subtree[]): readonly Hash[] {
  return wanted.map((subtree) => rootOfParts(host, subtree, readParts(connection, host, partsOf(subtree))))
}

function readParts(connection: Connection, host: string, { level, first, count }: SubtreeParts): readonly Hash[] {
  const select = connection.prepare(
    level === 0
      ? 'SELECT entry AS bytes FROM audit_entries WHERE host = ? AND seq > ? AND seq <= ? ORDER BY seq'
      : `SELECT hash AS bytes FROM audit_subtrees
         WHERE host = ? AND level = ? AND position >= ? AND position < ? ORDER BY position`,
  )
  const found = level === 0 ? select.all(host, first, first + count) : select.all(host, level, first, first + count)
  const parts = found.map((part) => bytesRow.parse(part).bytes)
  return level === 0 ? parts.map(leafHash) : parts
}

export function addCheckpoint(
  connection: Connection,
  host: string,
  { size, note, madeAtUs }: Pick<StoredCheckpoint, 'size' | 'note' | 'madeAtUs'>,
): void {
  requireText(note, 'the checkpoint')
  // The trigger that keeps one from being replaced comes before ON CONFLICT.
  const insert = connection.prepare(`
    INSERT INTO audit_checkpoints (host, size, note, made_at) SELECT ?, ?, ?, ?
    WHERE NOT EXISTS (SELECT size FROM audit_checkpoints WHERE host = ? AND size = ?)`)
  connection.write(() => insert.run(host, size, note, madeAtUs, host, size))
}

export function findCheckpoint(connection: Connection, host: string, which: WhichCheckpoint): StoredCheckpoint | null {
  const found = checkpointRow
    .optional()
    .parse(
      which === 'newest' || which === 'cosigned'
        ? connection.prepare(which === 'newest' ? newest : cosigned).get(host)
        : connection.prepare(atLeast).get(host, which.atLeast),
    )
  const [checkpoint] = withCosignatures(connection, host, found === undefined ? [] : [found])
  return checkpoint ?? null
}

const newest = 'SELECT size, note, made_at FROM audit_checkpoints WHERE host = ? ORDER BY size DESC LIMIT 1'
const cosigned = `
  SELECT audit_checkpoints.size, note, audit_checkpoints.made_at
  FROM audit_cosignatures CROSS JOIN audit_checkpoints USING (host, size)
  WHERE audit_cosignatures.host = ? ORDER BY audit_cosignatures.size DESC LIMIT 1`
const atLeast = 'SELECT size, note, made_at FROM audit_checkpoints WHERE host = ? AND size >= ? ORDER BY size LIMIT 1'

export function listCheckpoints(
  connection: Connection,
  host: string,
  { afterSize, limit }: { readonly afterSize: number; readonly limit: number },
): readonly StoredCheckpoint[] {
  const select = connection.prepare(`
    SELECT size, note, made_at FROM audit_checkpoints WHERE host = ? AND size > ? ORDER BY size LIMIT ?`)
  const found = select.all(host, afterSize, limit).map((checkpoint) => checkpointRow.parse(checkpoint))
  return withCosignatures(connection, host, found)
}

function withCosignatures(
  connection: Connection,
  host: string,
  checkpoints: readonly z.infer<typeof checkpointRow>[],
): readonly StoredCheckpoint[] {
  const select = connection.prepare(`
    SELECT size, line, made_at FROM audit_cosignatures
    WHERE host = ? AND size IN (SELECT value FROM json_each(?)) ORDER BY size, made_at, signer`)
  const sizes = JSON.stringify(checkpoints.map(({ size }) => size))
  return joinCosignatures(
    checkpoints,
    select.all(host, sizes).map((found) => cosignatureRow.parse(found)),
  )
}
