// The audit log in PostgreSQL. Whoever appends holds the head's row until the commit: numbers are without a gap and in the
// order of the commits, so that a reader who has seen an entry has seen all before it.

import { type AuditEvent, encodeAuditEntry } from '@teleclaude/core/audit.ts'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import { emptyFrontier, encodeFrontier } from '@teleclaude/core/merkle.ts'
import pg from 'pg'
import { type CommonQueryMethods, type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import type { AuditHead, IndexedAuditEntry, Tampering } from '../audit-contract.ts'
import { type HeadRow, readStoredHead, requireLeaves } from '../audit-head.ts'
import {
  type Extension,
  extendLog,
  leavesPerRead,
  maxReadBytes,
  type PendingEntry,
  prepareEpoch,
  probe,
} from '../audit-queue.ts'
import { auditHeadRow, indexedEntryRow, leafRow, toIndexedEntry } from '../audit-rows.ts'
import { AuditTree, type StoredSubtree } from '../audit-tree.ts'
import { seqRow } from '../rows.ts'
import { connectClient, type Server, timeValue, translateClientError } from './connection.ts'
import { channels } from './hints.ts'
import { queryClient } from './migrate.ts'

const noRow = z.strictObject({})
const notifiedRow = z.strictObject({ notified: z.literal('') })

/** `beginEpoch` of the contract, and what the queue commits with. What it remembers of a log is only ever a guess, which holds where
 *  nobody else has appended. */
export function createAuditAppender(db: DatabasePool) {
  const heads = new Map<string, AuditHead>()

  async function appendLocked(
    host: string,
    pending: readonly PendingEntry[],
    epochs?: { readonly from: number },
  ): Promise<number | null> {
    for (;;) {
      const extension = await db.transaction(async (transaction) => {
        const stored = await transaction.maybeOne(sql.type(auditHeadRow)`
          SELECT seq, epoch, tree FROM audit_heads WHERE host = ${host} FOR UPDATE`)
        if (epochs !== undefined && (stored?.epoch ?? 0) !== epochs.from) return 'other-epoch'
        const head =
          readStoredHead(host, stored) ??
          (await makeTree(transaction, host, stored, (subtrees) => insertSubtrees(transaction, host, subtrees)))
        const added = extendLog(head, pending, epochs === undefined ? head.epoch : head.epoch + 1)
        return (await insertEntries(transaction, host, stored, added)) ? added : 'too-late'
      })
      if (extension === 'other-epoch') return null
      // The log had no head yet that could be locked, and now somebody else has made it.
      if (extension === 'too-late') continue
      heads.set(host, extension.head)
      return extension.head.frontier.size
    }
  }

  return {
    async append(host: string, pending: readonly PendingEntry[]): Promise<number> {
      const known = heads.get(host)
      // Until it is known how this ends.
      heads.delete(host)
      if (known !== undefined) {
        const extension = extendLog(known, pending)
        const { epoch, frontier } = known
        const tree = encodeFrontier(frontier)
        if (await insertEntries(db, host, { seq: frontier.size, epoch, tree }, extension)) {
          heads.set(host, extension.head)
          return extension.head.frontier.size
        }
      }
      const seq = await appendLocked(host, pending)
      if (seq === null) throw new TypeError('an append asks for no epoch')
      return seq
    },
    async beginEpoch(host: string, fromEpoch: number, event: AuditEvent, atUs: number): Promise<number | null> {
      const pending = [prepareEpoch(host, event, atUs)]
      return appendLocked(host, pending, { from: fromEpoch })
    },
  }
}

/** All in one statement, and so in one transaction. Nothing is added where the head is not `before` any more, which waits for whoever
 *  holds it. Returns whether they were added.
 *  @param before null where there is none */
async function insertEntries(
  db: CommonQueryMethods,
  host: string,
  before: HeadRow | null,
  { head, entries, subtrees }: Extension,
): Promise<boolean> {
  const starts: number[] = []
  let offset = 0
  for (const { bytes } of entries) {
    starts.push(offset + 1)
    offset += bytes.length
  }
  const isBefore =
    before === null
      ? sql.fragment`false`
      : sql.fragment`audit_heads.seq = ${before.seq} AND audit_heads.epoch = ${before.epoch}
          AND audit_heads.tree IS NOT DISTINCT FROM ${before.tree === null ? null : sql.binary(Buffer.from(before.tree))}::bytea`
  const isThere = sql.fragment`EXISTS (SELECT FROM audit_heads WHERE host = ${host})`
  // All bytes travel as one parameter, which pg sends as they are, where an array of bytea would go as hexadecimal text.
  const added = await db.maybeOne(sql.type(notifiedRow)`
    WITH moved AS (
      INSERT INTO audit_heads (host, seq, epoch, tree)
      SELECT ${host}, ${head.frontier.size}::bigint, ${head.epoch}::integer, ${sql.binary(Buffer.from(encodeFrontier(head.frontier)))}::bytea
      WHERE ${before === null ? sql.fragment`true` : isThere}
      ON CONFLICT (host) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, tree = excluded.tree
      WHERE ${isBefore}
      RETURNING host
    ), added AS (
      INSERT INTO audit_entries (host, seq, at, entry, action, actor, owner, session_id)
      SELECT host, seq, at,
        substring(${sql.binary(Buffer.concat(entries.map(({ bytes }) => bytes)))}::bytea FROM start FOR length),
        action, actor, owner, session_id
      FROM moved CROSS JOIN unnest(
        ${sql.array(
          entries.map(({ seq }) => seq),
          'int8',
        )},
        ${sql.array(
          entries.map(({ atUs }) => formatInstant(atUs)),
          'timestamptz',
        )},
        ${sql.array(starts, 'int4')},
        ${sql.array(
          entries.map(({ bytes }) => bytes.length),
          'int4',
        )},
        ${sql.array(
          entries.map(({ index }) => index.action),
          'text',
        )},
        ${sql.array(
          entries.map(({ index }) => index.actor),
          'text',
        )},
        ${sql.array(
          entries.map(({ index }) => index.owner),
          'text',
        )},
        ${sql.array(
          entries.map(({ index }) => index.sessionId),
          'text',
        )}
      ) AS entry (seq, at, start, length, action, actor, owner, session_id)
    )${subtreesAdded(subtrees)}${textsAdded(entries)}
    SELECT pg_notify(${channels.audit}, host)::text AS notified FROM moved`)
  return added !== null
}

function subtreesAdded(subtrees: readonly StoredSubtree[]) {
  if (subtrees.length === 0) return sql.fragment``
  return sql.fragment`, completed AS (
      INSERT INTO audit_subtrees (host, level, position, hash)
      SELECT host, level, position, hash FROM moved CROSS JOIN ${subtreeRows(subtrees)}
    )`
}

function subtreeRows(subtrees: readonly StoredSubtree[]) {
  return sql.fragment`unnest(
    ${sql.array(
      subtrees.map(({ level }) => level),
      'int4',
    )},
    ${sql.array(
      subtrees.map(({ index }) => index),
      'int8',
    )},
    ${sql.array(
      subtrees.map(({ hash }) => Buffer.from(hash)),
      'bytea',
    )}
  ) AS subtree (level, position, hash)`
}

function textsAdded(entries: Extension['entries']) {
  const texts = entries.flatMap(({ seq, texts }) => texts.map((text) => ({ seq, ...text })))
  if (texts.length === 0) return sql.fragment``
  return sql.fragment`, kept AS (
      INSERT INTO audit_texts (host, seq, name, salt, text)
      SELECT host, seq, name, salt, text FROM moved CROSS JOIN unnest(
        ${sql.array(
          texts.map(({ seq }) => seq),
          'int8',
        )},
        ${sql.array(
          texts.map(({ name }) => name),
          'text',
        )},
        ${sql.array(
          texts.map(({ salt }) => Buffer.from(salt)),
          'bytea',
        )},
        ${sql.array(
          texts.map(({ text }) => text),
          'text',
        )}
      ) AS written (seq, name, salt, text)
    )`
}

async function insertSubtrees(db: CommonQueryMethods, host: string, subtrees: readonly StoredSubtree[]): Promise<void> {
  if (subtrees.length === 0) return
  await db.query(sql.type(noRow)`
    INSERT INTO audit_subtrees (host, level, position, hash)
    SELECT ${host}, level, position, hash FROM ${subtreeRows(subtrees)}`)
}

/** Of a log that is there since before it was one. */
async function makeTree(
  db: CommonQueryMethods,
  host: string,
  stored: HeadRow | null,
  keep?: (subtrees: readonly StoredSubtree[]) => Promise<void>,
): Promise<AuditHead> {
  const tree = AuditTree.from(emptyFrontier)
  const size = stored?.seq ?? 0
  while (tree.size < size) {
    // RFC 6962: a leaf's hash has a zero before it. Only the hashes come here.
    const leaves = await db.any(sql.type(leafRow)`
      SELECT seq, sha256('\\x00'::bytea || entry) AS hash FROM audit_entries
      WHERE host = ${host} AND seq > ${tree.size} AND seq <= ${size} ORDER BY seq LIMIT ${leavesPerRead}`)
    for (const { hash } of requireLeaves(host, tree.size, leaves)) tree.append(hash)
    await keep?.(tree.takeCompleted())
  }
  return { epoch: stored?.epoch ?? 0, frontier: tree.frontier() }
}

export async function readHead(db: CommonQueryMethods, host: string): Promise<AuditHead> {
  const stored = await db.maybeOne(sql.type(auditHeadRow)`
    SELECT seq, epoch, tree FROM audit_heads WHERE host = ${host}`)
  return readStoredHead(host, stored) ?? makeTree(db, host, stored)
}

export async function headSeq(db: CommonQueryMethods, host: string): Promise<number> {
  const found = await db.maybeOne(sql.type(seqRow)`SELECT seq FROM audit_heads WHERE host = ${host}`)
  return found?.seq ?? 0
}

const indexedRow = indexedEntryRow.transform(toIndexedEntry)

export function readAudit(
  db: CommonQueryMethods,
  host: string,
  { afterSeq, limit }: { readonly afterSeq: number; readonly limit: number },
): Promise<readonly IndexedAuditEntry[]> {
  return db.any(sql.type(indexedRow)`
    SELECT seq, bytes, action, actor, owner, session_id FROM (
      SELECT *, sum(octet_length(bytes)) OVER (ORDER BY seq) - octet_length(bytes) AS bytes_before FROM (
        SELECT seq, entry AS bytes, action, actor, owner, session_id FROM audit_entries
        WHERE host = ${host} AND seq > ${afterSeq} ORDER BY seq LIMIT ${limit}
      ) AS following
    ) AS counted
    WHERE bytes_before < ${maxReadBytes}
    ORDER BY seq`)
}

export async function readCursor(db: CommonQueryMethods, host: string, sink: string): Promise<number> {
  const found = await db.maybeOne(sql.type(seqRow)`
    SELECT seq FROM auditor_cursors WHERE host = ${host} AND sink = ${sink}`)
  return found?.seq ?? 0
}

export function moveCursor(db: CommonQueryMethods, host: string, sink: string, seq: number): Promise<void> {
  return advanceCursor(db, host, sink, seq, nowUs())
}

/** Inside the transaction of what it goes with. */
export async function advanceCursor(
  db: CommonQueryMethods,
  host: string,
  sink: string,
  seq: number,
  atUs: number,
): Promise<void> {
  await db.query(sql.type(noRow)`
    INSERT INTO auditor_cursors (host, sink, seq, moved_at) VALUES (${host}, ${sink}, ${seq}, ${timeValue(atUs)})
    ON CONFLICT (host, sink) DO UPDATE SET seq = excluded.seq, moved_at = excluded.moved_at
    WHERE auditor_cursors.seq < excluded.seq`)
}

const attempts: readonly { readonly name: Tampering; readonly statement: string; readonly takesEntry: boolean }[] = [
  { name: 'update', statement: `UPDATE audit_entries SET entry = '{}' WHERE host = $1 AND seq = $2`, takesEntry: true },
  { name: 'delete', statement: 'DELETE FROM audit_entries WHERE host = $1 AND seq = $2', takesEntry: true },
  // CASCADE: the texts refer to entries, and PostgreSQL would refuse for that alone.
  { name: 'truncate', statement: 'TRUNCATE audit_entries CASCADE', takesEntry: false },
]

/** Keeps others from appending for some milliseconds. On a connection of its own, whose end takes everything back. */
export async function tryTampering(server: Server, host: string): Promise<readonly Tampering[]> {
  const client = await connectClient(server, 'teleclaude tampering check')
  const ask = (text: string, values: readonly unknown[] = []) =>
    queryClient(client, server.where, z.unknown(), text, values)
  try {
    await ask('BEGIN')
    // TRUNCATE waits for all who read, and all who come after wait for it.
    await ask("SET LOCAL lock_timeout = '2s'")
    const [head] = await queryClient(
      client,
      server.where,
      headRow,
      `INSERT INTO audit_heads (host, seq) VALUES ($1, 1)
      ON CONFLICT (host) DO UPDATE SET seq = audit_heads.seq + 1 RETURNING seq::text`,
      [host],
    )
    const seq = Number(head?.seq)
    const bytes = encodeAuditEntry({ ...probe, host, epoch: 0, seq, atUs: 0 })
    await ask('INSERT INTO audit_entries (host, seq, at, entry, action) VALUES ($1, $2, now(), $3, $4)', [
      host,
      seq,
      bytes,
      probe.action,
    ])
    const letThrough: Tampering[] = []
    for (const { name, statement, takesEntry } of attempts) {
      await ask('SAVEPOINT attempt')
      if (await isLetThrough(client, server, statement, takesEntry ? [host, seq] : [])) letThrough.push(name)
      await ask('ROLLBACK TO SAVEPOINT attempt')
    }
    await ask('ROLLBACK')
    return letThrough
  } finally {
    await client.end()
  }
}

const headRow = z.strictObject({ seq: z.string().regex(/^\d+$/) })

/** The role's missing privilege and our trigger's word are the same SQLSTATE. */
async function isLetThrough(
  client: pg.Client,
  server: Server,
  statement: string,
  values: readonly unknown[],
): Promise<boolean> {
  try {
    await client.query(statement, [...values])
    return true
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '42501') return false
    throw translateClientError(error, server.where)
  }
}
