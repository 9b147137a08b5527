// The audit log in PostgreSQL. Whoever appends holds the head's row until the commit: numbers are without a gap and in the
// order of the commits, so that a reader who has seen an entry has seen all before it.

import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import pg from 'pg'
import { type CommonQueryMethods, type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import { encodeEntries, maxReadBytes, type PendingEvent, probe } from '../audit-queue.ts'
import type { StoredAuditEntry, Tampering } from '../contract.ts'
import { auditEntryRow, seqRow } from '../rows.ts'
import { connectClient, type Server, timeValue, translateClientError } from './connection.ts'
import { channels } from './hints.ts'
import { queryClient } from './migrate.ts'

const notifiedRow = z.strictObject({ notified: z.literal('') })

export function appendAudit(db: DatabasePool, host: string, pending: readonly PendingEvent[]): Promise<number> {
  return db.transaction(async (transaction) => {
    const { seq } = await transaction.one(sql.type(seqRow)`
      INSERT INTO audit_heads (host, seq) VALUES (${host}, ${pending.length})
      ON CONFLICT (host) DO UPDATE SET seq = audit_heads.seq + excluded.seq
      RETURNING seq`)
    const entries = encodeEntries(host, pending, seq - pending.length)
    let offset = 0
    const starts = entries.map(({ bytes }) => {
      const start = offset + 1
      offset += bytes.length
      return start
    })
    // All bytes travel as one parameter, which pg sends as they are, where an array of bytea would go as hexadecimal text.
    await transaction.query(sql.type(notifiedRow)`
      WITH added AS (
        INSERT INTO audit_entries (host, seq, at, entry)
        SELECT ${host}, seq, at,
          substring(${sql.binary(Buffer.concat(entries.map(({ bytes }) => bytes)))}::bytea FROM start FOR length)
        FROM unnest(
          ${sql.array(
            entries.map((entry) => entry.seq),
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
          )}
        ) AS entry (seq, at, start, length)
      )
      SELECT pg_notify(${channels.audit}, ${host})::text AS notified`)
    return seq
  })
}

export async function headSeq(db: CommonQueryMethods, host: string): Promise<number> {
  const found = await db.maybeOne(sql.type(seqRow)`SELECT seq FROM audit_heads WHERE host = ${host}`)
  return found?.seq ?? 0
}

export function readAudit(
  db: CommonQueryMethods,
  host: string,
  { afterSeq, limit }: { readonly afterSeq: number; readonly limit: number },
): Promise<readonly StoredAuditEntry[]> {
  return db.any(sql.type(auditEntryRow)`
    SELECT seq, bytes FROM (
      SELECT seq, bytes, sum(octet_length(bytes)) OVER (ORDER BY seq) - octet_length(bytes) AS bytes_before FROM (
        SELECT seq, entry AS bytes FROM audit_entries
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

export async function moveCursor(db: CommonQueryMethods, host: string, sink: string, seq: number): Promise<void> {
  await db.query(sql.type(z.strictObject({}))`
    INSERT INTO auditor_cursors (host, sink, seq, moved_at) VALUES (${host}, ${sink}, ${seq}, ${timeValue(nowUs())})
    ON CONFLICT (host, sink) DO UPDATE SET seq = excluded.seq, moved_at = excluded.moved_at
    WHERE auditor_cursors.seq < excluded.seq`)
}

const attempts: readonly { readonly name: Tampering; readonly statement: string; readonly takesEntry: boolean }[] = [
  { name: 'update', statement: `UPDATE audit_entries SET entry = '{}' WHERE host = $1 AND seq = $2`, takesEntry: true },
  { name: 'delete', statement: 'DELETE FROM audit_entries WHERE host = $1 AND seq = $2', takesEntry: true },
  { name: 'truncate', statement: 'TRUNCATE audit_entries', takesEntry: false },
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
    for (const { bytes } of encodeEntries(host, [probe], seq - 1))
      await ask('INSERT INTO audit_entries (host, seq, at, entry) VALUES ($1, $2, now(), $3)', [host, seq, bytes])
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
