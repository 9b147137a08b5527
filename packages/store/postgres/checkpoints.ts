// The tree of the audit log and what was signed of it, in PostgreSQL.

import type { Hash, Subtree } from '@teleclaude/core/merkle.ts'
import { type CommonQueryMethods, sql } from 'slonik'
import { z } from 'zod'
import type { StoredCheckpoint } from '../audit-contract.ts'
import { checkpointRow, cosignatureRow, subtreePartRow } from '../audit-rows.ts'
import { partsOf, rootOfParts, type SubtreeParts } from '../audit-tree.ts'
import { joinCosignatures, type WhichCheckpoint } from '../checkpoints.ts'
import { requireText } from '../values.ts'
import { timeValue } from './connection.ts'
import { channels } from './hints.ts'

const notifiedRow = z.strictObject({ notified: z.literal('') })

export async function readSubtrees(
  db: CommonQueryMethods,
  host: string,
  wanted: readonly Subtree[],
): Promise<readonly Hash[]> {
  const parts = wanted.map((subtree, index) => ({ ...partsOf(subtree), wanted: index }))
  const stored = parts.filter(({ level }) => level > 0)
  const leaves = parts.filter(({ level }) => level === 0)
  const found = [
    ...(stored.length === 0
      ? []
      : await db.any(sql.type(subtreePartRow)`
          SELECT wanted, hash FROM ${partRows(stored)} CROSS JOIN LATERAL (
            SELECT position, hash FROM audit_subtrees
            WHERE host = ${host} AND level = part.level AND position >= part.first AND position < part.first + part.count
          ) AS there
          ORDER BY wanted, position`)),
    ...(leaves.length === 0
      ? []
      : // RFC 6962: a leaf's hash has a zero before it. Only the hashes come here.
        await db.any(sql.type(subtreePartRow)`
          SELECT wanted, sha256('\\x00'::bytea || entry) AS hash FROM ${partRows(leaves)} CROSS JOIN LATERAL (
            SELECT seq, entry FROM audit_entries
            WHERE host = ${host} AND seq > part.first AND seq <= part.first + part.count
          ) AS there
          ORDER BY wanted, seq`)),
  ]
  const hashes = Map.groupBy(found, (part) => part.wanted)
  return wanted.map((subtree, index) =>
    rootOfParts(
      host,
      subtree,
      (hashes.get(index) ?? []).map(({ hash }) => hash),
    ),
  )
}

function partRows(parts: readonly (SubtreeParts & { readonly wanted: number })[]) {
  return sql.fragment`unnest(
    ${sql.array(
      parts.map(({ wanted }) => wanted),
      'int4',
    )},
    ${sql.array(
      parts.map(({ level }) => level),
      'int4',
    )},
    ${sql.array(
      parts.map(({ first }) => first),
      'int8',
    )},
    ${sql.array(
      parts.map(({ count }) => count),
      'int8',
    )}
  ) AS part (wanted, level, first, count)`
}

export async function addCheckpoint(
  db: CommonQueryMethods,
  host: string,
  { size, note, madeAtUs }: Pick<StoredCheckpoint, 'size' | 'note' | 'madeAtUs'>,
): Promise<void> {
  requireText(note, 'the checkpoint')
  // Auditors wait for it as for entries.
  await db.any(sql.type(notifiedRow)`
    WITH added AS (
      INSERT INTO audit_checkpoints (host, size, note, made_at)
      VALUES (${host}, ${size}, ${note}, ${timeValue(madeAtUs)})
      ON CONFLICT (host, size) DO NOTHING RETURNING host
    )
    SELECT pg_notify(${channels.audit}, host)::text AS notified FROM added`)
}

export async function findCheckpoint(
  db: CommonQueryMethods,
  host: string,
  which: WhichCheckpoint,
): Promise<StoredCheckpoint | null> {
  const found = await db.maybeOne(findStatement(host, which))
  const [checkpoint] = await withCosignatures(db, host, found === null ? [] : [found])
  return checkpoint ?? null
}

export function findStatement(host: string, which: WhichCheckpoint) {
  if (which === 'newest') {
    return sql.type(checkpointRow)`
      SELECT size, note, made_at FROM audit_checkpoints WHERE host = ${host} ORDER BY size DESC LIMIT 1`
  }
  if (which === 'cosigned') {
    return sql.type(checkpointRow)`
      SELECT size, note, audit_checkpoints.made_at FROM audit_cosignatures JOIN audit_checkpoints USING (host, size)
      WHERE host = ${host} ORDER BY size DESC LIMIT 1`
  }
  return sql.type(checkpointRow)`
    SELECT size, note, made_at FROM audit_checkpoints WHERE host = ${host} AND size >= ${which.atLeast} ORDER BY size LIMIT 1`
}

export async function listCheckpoints(
  db: CommonQueryMethods,
  host: string,
  { afterSize, limit }: { readonly afterSize: number; readonly limit: number },
): Promise<readonly StoredCheckpoint[]> {
  const found = await db.any(sql.type(checkpointRow)`
    SELECT size, note, made_at FROM audit_checkpoints WHERE host = ${host} AND size > ${afterSize} ORDER BY size LIMIT ${limit}`)
  return withCosignatures(db, host, found)
}

async function withCosignatures(
  db: CommonQueryMethods,
  host: string,
  checkpoints: readonly z.infer<typeof checkpointRow>[],
): Promise<readonly StoredCheckpoint[]> {
  if (checkpoints.length === 0) return []
  const sizes = checkpoints.map(({ size }) => size)
  const cosignatures = await db.any(sql.type(cosignatureRow)`
    SELECT size, line, made_at FROM audit_cosignatures WHERE host = ${host} AND size = ANY(${sql.array(sizes, 'int8')})
    ORDER BY size, made_at, signer`)
  return joinCosignatures(checkpoints, cosignatures)
}
