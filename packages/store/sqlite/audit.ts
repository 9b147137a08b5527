// The audit log in SQLite. One writer at a time makes numbers without a gap.

import type { AuditEvent } from '@teleclaude/core/audit.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { emptyFrontier, encodeFrontier, leafHash } from '@teleclaude/core/merkle.ts'
import Database from 'better-sqlite3'
import type { AuditHead, IndexedAuditEntry, Tampering } from '../audit-contract.ts'
import { type HeadRow, type Leaf, readStoredHead, requireLeaves } from '../audit-head.ts'
import {
  type Extension,
  extendLog,
  leavesPerRead,
  maxReadBytes,
  type PendingEntry,
  prepareEpoch,
  preparePending,
  probe,
} from '../audit-queue.ts'
import { auditEntryRow, auditHeadRow, indexedEntryRow, toIndexedEntry } from '../audit-rows.ts'
import { AuditTree, type StoredSubtree } from '../audit-tree.ts'
import { seqRow } from '../rows.ts'
import type { Connection } from './connection.ts'

export function appendAudit(connection: Connection, host: string, pending: readonly PendingEntry[]): number {
  return connection.write(() => {
    const head = headToExtend(connection, host)
    return insertEntries(connection, host, extendLog(head, pending))
  })
}

export function beginEpoch(
  connection: Connection,
  host: string,
  fromEpoch: number,
  event: AuditEvent,
  atUs: number,
): number | null {
  const pending = [prepareEpoch(host, event, atUs)]
  return connection.write(() => {
    if ((findHead(connection, host)?.epoch ?? 0) !== fromEpoch) return null
    return insertEntries(connection, host, extendLog(headToExtend(connection, host), pending, fromEpoch + 1))
  })
}

function insertEntries(connection: Connection, host: string, { head, entries, subtrees }: Extension): number {
  const insert = connection.prepare(`
    INSERT INTO audit_entries (host, seq, at, entry, action, actor, owner, session_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
  const insertText = connection.prepare(`
    INSERT INTO audit_texts (host, seq, name, salt, text) VALUES (?, ?, ?, ?, ?)`)
  const moveHead = connection.prepare(`
    INSERT INTO audit_heads (host, seq, epoch, tree) VALUES (?, ?, ?, ?)
    ON CONFLICT (host) DO UPDATE SET seq = excluded.seq, epoch = excluded.epoch, tree = excluded.tree`)
  for (const { seq, atUs, bytes, index, texts } of entries) {
    insert.run(host, seq, atUs, bytes, index.action, index.actor, index.owner, index.sessionId)
    for (const { name, salt, text } of texts) insertText.run(host, seq, name, salt, text)
  }
  insertSubtrees(connection, host, subtrees)
  moveHead.run(host, head.frontier.size, head.epoch, encodeFrontier(head.frontier))
  return head.frontier.size
}

function insertSubtrees(connection: Connection, host: string, subtrees: readonly StoredSubtree[]): void {
  const insert = connection.prepare(`
    INSERT INTO audit_subtrees (host, level, position, hash) VALUES (?, ?, ?, ?)`)
  for (const { level, index, hash } of subtrees) insert.run(host, level, index, hash)
}

function findHead(connection: Connection, host: string): HeadRow | null {
  const found = connection.prepare('SELECT seq, epoch, tree FROM audit_heads WHERE host = ?').get(host)
  return auditHeadRow.optional().parse(found) ?? null
}

function headToExtend(connection: Connection, host: string): AuditHead {
  const stored = findHead(connection, host)
  return (
    readStoredHead(host, stored) ??
    makeTree(connection, host, stored, (subtrees) => insertSubtrees(connection, host, subtrees))
  )
}

/** Of a log that is there since before it was one. */
function makeTree(
  connection: Connection,
  host: string,
  stored: HeadRow | null,
  keep?: (subtrees: readonly StoredSubtree[]) => void,
): AuditHead {
  const tree = AuditTree.from(emptyFrontier)
  const size = stored?.seq ?? 0
  const select = connection.prepare(`
    SELECT seq, entry AS bytes FROM audit_entries WHERE host = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?`)
  while (tree.size < size) {
    const leaves: Leaf[] = []
    for (const found of select.iterate(host, tree.size, size, leavesPerRead)) {
      const { seq, bytes } = auditEntryRow.parse(found)
      leaves.push({ seq, hash: leafHash(bytes) })
    }
    for (const { hash } of requireLeaves(host, tree.size, leaves)) tree.append(hash)
    keep?.(tree.takeCompleted())
  }
  return { epoch: stored?.epoch ?? 0, frontier: tree.frontier() }
}

export function readHead(connection: Connection, host: string): AuditHead {
  const stored = findHead(connection, host)
  return readStoredHead(host, stored) ?? makeTree(connection, host, stored)
}

export function headSeq(connection: Connection, host: string): number {
  const found = connection.prepare('SELECT seq FROM audit_heads WHERE host = ?').get(host)
  return seqRow.optional().parse(found)?.seq ?? 0
}

export function readAudit(
  connection: Connection,
  host: string,
  { afterSeq, limit }: { readonly afterSeq: number; readonly limit: number },
): readonly IndexedAuditEntry[] {
  const select = connection.prepare(`
    SELECT seq, entry AS bytes, action, actor, owner, session_id FROM audit_entries
    WHERE host = ? AND seq > ? ORDER BY seq LIMIT ?`)
  const entries: IndexedAuditEntry[] = []
  let bytes = 0
  for (const found of select.iterate(host, afterSeq, limit)) {
    const entry = toIndexedEntry(indexedEntryRow.parse(found))
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
  connection.write(() => advanceCursor(connection, host, sink, seq, nowUs()))
}

/** Inside the transaction of what it goes with. */
export function advanceCursor(connection: Connection, host: string, sink: string, seq: number, atUs: number): void {
  const move = connection.prepare(`
    INSERT INTO auditor_cursors (host, sink, seq, moved_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (host, sink) DO UPDATE SET seq = excluded.seq, moved_at = excluded.moved_at WHERE seq < excluded.seq`)
  move.run(host, sink, seq, atUs)
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
    const seq = insertEntries(
      connection,
      host,
      extendLog(headToExtend(connection, host), [preparePending(host, probe, 0)]),
    )
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
