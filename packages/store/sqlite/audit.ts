// The audit log in SQLite.

import { nowUs } from '@teleclaude/core/instant.ts'
import Database from 'better-sqlite3'
import { encodeEntries, maxReadBytes, type PendingEvent, probe } from '../audit-queue.ts'
import type { StoredAuditEntry, Tampering } from '../contract.ts'
import { auditEntryRow, seqRow } from '../rows.ts'
import type { Connection } from './connection.ts'

export function appendAudit(connection: Connection, host: string, pending: readonly PendingEvent[]): number {
  return connection.write(() => insertEntries(connection, host, pending))
}

function insertEntries(connection: Connection, host: string, pending: readonly PendingEvent[]): number {
  const insert = connection.prepare('INSERT INTO audit_entries (host, seq, at, entry) VALUES (?, ?, ?, ?)')
  const moveHead = connection.prepare(`
    INSERT INTO audit_heads (host, seq) VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET seq = excluded.seq`)
  const entries = encodeEntries(host, pending, headSeq(connection, host))
  const last = entries.at(-1)
  if (last === undefined) throw new RangeError('cannot append to the audit log: there are no events')
  for (const { seq, atUs, bytes } of entries) insert.run(host, seq, atUs, bytes)
  moveHead.run(host, last.seq)
  return last.seq
}

export function headSeq(connection: Connection, host: string): number {
  const found = connection.prepare('SELECT seq FROM audit_heads WHERE host = ?').get(host)
  return seqRow.optional().parse(found)?.seq ?? 0
}

export function readAudit(
  connection: Connection,
  host: string,
  { afterSeq, limit }: { readonly afterSeq: number; readonly limit: number },
): readonly StoredAuditEntry[] {
  const select = connection.prepare(`
    SELECT seq, entry AS bytes FROM audit_entries WHERE host = ? AND seq > ? ORDER BY seq LIMIT ?`)
  const entries: StoredAuditEntry[] = []
  let bytes = 0
  for (const found of select.iterate(host, afterSeq, limit)) {
    const entry = auditEntryRow.parse(found)
    entries.push(entry)
    bytes += entry.bytes.length
    if (bytes >= maxReadBytes) break
  }
  return entries
}

export function readCursor(connection: Connection, host: string, sink: string): number {
  const found = connection.prepare('SELECT seq FROM auditor_cursors WHERE host = ? AND sink = ?').get(host, sink)
  return seqRow.optional().parse(found)?.seq ?? 0
}

export function moveCursor(connection: Connection, host: string, sink: string, seq: number): void {
  const move = connection.prepare(`
    INSERT INTO auditor_cursors (host, sink, seq, moved_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (host, sink) DO UPDATE SET seq = excluded.seq, moved_at = excluded.moved_at WHERE seq < excluded.seq`)
  connection.write(() => move.run(host, sink, seq, nowUs()))
}

const attempts: readonly { readonly name: Tampering; readonly statement: string }[] = [
  { name: 'update', statement: `UPDATE audit_entries SET entry = x'7b7d' WHERE host = ? AND seq = ?` },
  { name: 'delete', statement: 'DELETE FROM audit_entries WHERE host = ? AND seq = ?' },
]

/** SQLite has no TRUNCATE. */
export function tryTampering(connection: Connection, host: string): readonly Tampering[] {
  const { db } = connection
  db.exec('BEGIN IMMEDIATE')
  try {
    const seq = insertEntries(connection, host, [probe])
    return attempts.filter(({ statement }) => isLetThrough(db, statement, [host, seq])).map(({ name }) => name)
  } finally {
    if (db.inTransaction) db.exec('ROLLBACK')
  }
}

function isLetThrough(db: Database.Database, statement: string, values: readonly unknown[]): boolean {
  db.exec('SAVEPOINT attempt')
  try {
    db.prepare(statement).run(...values)
    return true
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_CONSTRAINT_TRIGGER') return false
    throw error
  } finally {
    if (db.inTransaction) db.exec('ROLLBACK TO attempt')
  }
}
