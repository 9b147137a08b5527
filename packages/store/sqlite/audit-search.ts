// What is found in the audit log in SQLite: pages of entries, and the texts that they hold commitments to.

import type { AuditQuery, AuditText, StoredAuditEntry } from '../audit-contract.ts'
import { auditEntryRow, auditTextRow } from '../audit-rows.ts'
import { canBeFound, maxTextsPerRead, requireFew } from '../values.ts'
import type { Connection, Statement } from './connection.ts'

export function findStatement(host: string, query: AuditQuery): Statement {
  const { scope, sessionId, actor, owner, action, sinceUs, untilUs, beforeSeq, limit } = query
  const person = scope.kind === 'person' ? scope.person : null
  const conditions = ['host = ?']
  const values: unknown[] = [host]
  const where = (condition: string, bound: unknown) => {
    if (bound === undefined) return
    conditions.push(condition)
    values.push(bound)
  }
  where('session_id = ?', sessionId)
  where('actor = ?', actor)
  where('owner = ?', owner)
  where('action = ?', action)
  where('at >= ?', sinceUs)
  where('at <= ?', untilUs)
  where('seq < ?', beforeSeq)
  // INDEXED BY: the right index is known here, and no statistics are needed to find it.
  const page = (index: string | null, isTheirs: string) => `
    SELECT seq FROM audit_entries ${index === null ? '' : `INDEXED BY audit_entries_by_${index}`}
    WHERE ${conditions.join(' AND ')} AND ${isTheirs} ORDER BY seq DESC LIMIT ?`
  const found = (seqs: string, ...bound: readonly unknown[]): Statement => ({
    sql: `SELECT seq, entry AS bytes FROM audit_entries WHERE host = ? AND seq IN (${seqs}) ORDER BY seq DESC LIMIT ?`,
    values: [host, ...bound, limit],
  })
  const narrowest = Object.entries({ session: sessionId, actor, owner, action }).find(
    ([, bound]) => bound !== undefined,
  )
  if (person === null) return found(page(narrowest?.[0] ?? null, 'true'), ...values, limit)
  // Of a session there are few enough to look at each; else a short range of one index and one of another.
  if (sessionId !== undefined)
    return found(page('session', '(actor = ? OR owner = ?)'), ...values, person, person, limit)
  const theirs = ['actor', 'owner'].map((column) => `SELECT seq FROM (${page(column, `${column} = ?`)})`)
  return found(theirs.join(' UNION '), ...values, person, limit, ...values, person, limit)
}

export function findAudit(connection: Connection, host: string, query: AuditQuery): readonly StoredAuditEntry[] {
  if (!canBeFound(query)) return []
  const { sql, values } = findStatement(host, query)
  return connection
    .prepare(sql)
    .all(...values)
    .map((found) => auditEntryRow.parse(found))
}

export function readTexts(connection: Connection, host: string, seqs: readonly number[]): readonly AuditText[] {
  requireFew(seqs, maxTextsPerRead, "entries' texts")
  const select = connection.prepare(`
    SELECT seq, name, salt, text FROM audit_texts WHERE host = ? AND seq IN (SELECT value FROM json_each(?))
    ORDER BY seq, name`)
  return select.all(host, JSON.stringify(seqs)).map((found) => auditTextRow.parse(found))
}
