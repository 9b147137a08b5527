// What is found in the audit log in PostgreSQL: pages of entries, and the texts that they hold commitments to.

import { type CommonQueryMethods, type FragmentSqlToken, sql } from 'slonik'
import type { AuditQuery, AuditText, StoredAuditEntry } from '../audit-contract.ts'
import { auditEntryRow, auditTextRow } from '../audit-rows.ts'
import { canBeFound, maxTextsPerRead, requireFew } from '../values.ts'
import { timeValue } from './connection.ts'

export function findStatement(host: string, query: AuditQuery) {
  const { scope, sessionId, actor, owner, action, sinceUs, untilUs, beforeSeq, limit } = query
  const person = scope.kind === 'person' ? scope.person : null
  const isAsked = sql.and([
    sql.fragment`host = ${host}`,
    sessionId !== undefined && sql.fragment`session_id = ${sessionId}`,
    actor !== undefined && sql.fragment`actor = ${actor}`,
    owner !== undefined && sql.fragment`owner = ${owner}`,
    action !== undefined && sql.fragment`action = ${action}`,
    sinceUs !== undefined && sql.fragment`at >= ${timeValue(sinceUs)}`,
    untilUs !== undefined && sql.fragment`at <= ${timeValue(untilUs)}`,
    beforeSeq !== undefined && sql.fragment`seq < ${beforeSeq}`,
  ])
  const page = (isTheirs: FragmentSqlToken) => sql.fragment`
    SELECT seq FROM audit_entries WHERE ${isAsked} AND ${isTheirs} ORDER BY seq DESC LIMIT ${limit}`
  // Of a person: a short range of one index and one of another. Of a session there are few enough to look at each.
  const seqs =
    person === null
      ? page(sql.fragment`true`)
      : sessionId !== undefined
        ? page(sql.fragment`(actor = ${person} OR owner = ${person})`)
        : sql.fragment`
            (${page(sql.fragment`actor = ${person}`)}) UNION (${page(sql.fragment`owner = ${person}`)})
            ORDER BY seq DESC LIMIT ${limit}`
  return sql.type(auditEntryRow)`
    SELECT seq, entry AS bytes FROM audit_entries WHERE host = ${host} AND seq = ANY (ARRAY(${seqs}))
    ORDER BY seq DESC`
}

export async function findAudit(
  db: CommonQueryMethods,
  host: string,
  query: AuditQuery,
): Promise<readonly StoredAuditEntry[]> {
  return canBeFound(query) ? db.any(findStatement(host, query)) : []
}

export async function readTexts(
  db: CommonQueryMethods,
  host: string,
  seqs: readonly number[],
): Promise<readonly AuditText[]> {
  requireFew(seqs, maxTextsPerRead, "entries' texts")
  return db.any(sql.type(auditTextRow)`
    SELECT seq, name, salt, text FROM audit_texts WHERE host = ${host} AND seq = ANY(${sql.array(seqs, 'int8')})
    ORDER BY seq, name`)
}
