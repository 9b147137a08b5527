// Access grants, and what was delivered under them, in SQLite.

import type { AccessGrant, AccessView } from '@teleclaude/core/access.ts'
import type { GrantQuery } from '../access-contract.ts'
import { grantColumns, grantRow, toGrant, toView, viewColumns, viewRow } from '../access-rows.ts'
import { canReach, isId, maxGrantsPerRead, requireFew, requireGrant, requireHost, requireText } from '../values.ts'
import { booleanColumn, type Connection, type Statement } from './connection.ts'
import { insertNotice } from './notices.ts'

const columns = grantColumns.join(', ')
const row = grantRow.extend({ drive: booleanColumn }).transform(toGrant)
const ofView = viewColumns.join(', ')
const view = viewRow.extend({ is_complete: booleanColumn }).transform(toView)

export function openGrant(connection: Connection, grant: Omit<AccessGrant, 'ended'>, noticeId: string): void {
  requireGrant(grant)
  const { id, host, sessionId, owner, grantee, reason, drive, openedAtUs, expiresAtUs } = grant
  const insert = connection.prepare(`
    INSERT INTO access_grants (id, host, session_id, owner, grantee, grantee_uid, reason, drive, opened_at, expires_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
  connection.write(() => {
    insert.run(id, host, sessionId, owner, grantee.person, grantee.uid, reason, drive ? 1 : 0, openedAtUs, expiresAtUs)
    insertNotice(connection, {
      id: noticeId,
      kind: 'access.opened',
      person: owner,
      atUs: openedAtUs,
      sessionId,
      by: grantee.person,
      grantId: id,
    })
  })
}

export function findGrant(connection: Connection, id: string): AccessGrant | null {
  const found = connection.prepare(`SELECT ${columns} FROM access_grants WHERE id = ?`).get(id)
  return found === undefined ? null : row.parse(found)
}

/** Null where nothing can match. */
export function listStatement({ scope, sessionId, activeAtUs, before, limit }: GrantQuery): Statement | null {
  if (!canReach(scope) || [sessionId, before].some((id) => id !== undefined && !isId(id))) return null
  const person = scope.kind === 'person' ? scope.person : null
  const isTheirs = person === null ? 'true' : '(grantee = ? OR owner = ?)'
  const theirs = person === null ? [] : [person, person]
  const conditions: string[] = ['true']
  const values: unknown[] = []
  const where = (condition: string, ...bound: readonly unknown[]) => {
    conditions.push(condition)
    values.push(...bound)
  }
  if (sessionId !== undefined) where('session_id = ?', sessionId)
  if (activeAtUs !== undefined) where('ended_at IS NULL AND expires_at > ?', activeAtUs)
  if (before !== undefined) {
    const position = `SELECT ordinal FROM access_grants INDEXED BY access_grants_by_id WHERE id = ? AND ${isTheirs}`
    where(`ordinal < (${position})`, before, ...theirs)
  }
  // INDEXED BY: the right index is known here, and no statistics are needed to find it.
  const page = (index: string | null, isAlso: string) => `
    SELECT ordinal FROM access_grants ${index === null ? '' : `INDEXED BY access_grants_${index}`}
    WHERE ${conditions.join(' AND ')} AND ${isAlso} ORDER BY ordinal DESC LIMIT ?`
  const found = (ordinals: string, ...bound: readonly unknown[]): Statement => ({
    sql: `SELECT ${columns} FROM access_grants WHERE ordinal IN (${ordinals}) ORDER BY ordinal DESC LIMIT ?`,
    values: [...bound, limit],
  })
  // Few enough to look at each of them.
  const few = sessionId !== undefined ? 'by_session' : activeAtUs !== undefined ? 'open' : null
  if (few !== null) return found(page(few, isTheirs), ...values, ...theirs, limit)
  if (person === null) return found(page(null, 'true'), ...values, limit)
  // Of a person: a short range of one index and one of another.
  const pages = ['grantee', 'owner'].map((column) => `SELECT ordinal FROM (${page(`by_${column}`, `${column} = ?`)})`)
  return found(pages.join(' UNION '), ...values, person, limit, ...values, person, limit)
}

export function listGrants(connection: Connection, query: GrantQuery): readonly AccessGrant[] {
  const statement = listStatement(query)
  if (statement === null) return []
  return connection
    .prepare(statement.sql)
    .all(...statement.values)
    .map((found) => row.parse(found))
}

export function endGrant(
  connection: Connection,
  id: string,
  { atUs, by, why }: NonNullable<AccessGrant['ended']>,
): boolean {
  if (by !== null) requireText(by, 'who ended the access grant')
  const update = connection.prepare(`
    UPDATE access_grants SET ended_at = ?, ended_by = ?, ended_why = ? WHERE id = ? AND ended_at IS NULL`)
  return connection.write(() => update.run(atUs, by, why, id)).changes === 1
}

/** Takes the host, the time, and how many. */
export const expiredStatement = `
  SELECT ${columns} FROM access_grants INDEXED BY access_grants_open
  WHERE host = ? AND ended_at IS NULL AND expires_at <= ? ORDER BY expires_at, ordinal LIMIT ?`

export function listExpiredGrants(
  connection: Connection,
  host: string,
  atUs: number,
  limit: number,
): readonly AccessGrant[] {
  return connection
    .prepare(expiredStatement)
    .all(host, atUs, limit)
    .map((found) => row.parse(found))
}

export function beginView(
  connection: Connection,
  { id, grantId, host, kind, openedAtUs }: Omit<AccessView, 'ended'>,
): void {
  requireHost(host)
  const insert = connection.prepare(`
    INSERT INTO access_views (id, grant_id, host, kind, opened_at) VALUES (?, ?, ?, ?, ?)`)
  connection.write(() => insert.run(id, grantId, host, kind, openedAtUs))
}

export function endView(
  connection: Connection,
  id: string,
  { atUs, firstSeq, lastSeq, bytes, isComplete }: NonNullable<AccessView['ended']>,
): boolean {
  const update = connection.prepare(`
    UPDATE access_views SET ended_at = ?, first_seq = ?, last_seq = ?, bytes = ?, is_complete = ?
    WHERE id = ? AND ended_at IS NULL`)
  const changed = connection.write(() => update.run(atUs, firstSeq, lastSeq, bytes, isComplete ? 1 : 0, id))
  return changed.changes === 1
}

/** Takes the host. */
export const openViewsStatement = `
  SELECT ${ofView} FROM access_views INDEXED BY access_views_open
  WHERE host = ? AND ended_at IS NULL ORDER BY opened_at, id`

export function listOpenViews(connection: Connection, host: string): readonly AccessView[] {
  return connection
    .prepare(openViewsStatement)
    .all(host)
    .map((found) => view.parse(found))
}

/** Takes the grants' ids as JSON. */
export const viewsStatement = `
  SELECT ${ofView} FROM access_views INDEXED BY access_views_by_grant
  WHERE grant_id IN (SELECT value FROM json_each(?)) ORDER BY opened_at, id`

export function listViews(connection: Connection, grantIds: readonly string[]): readonly AccessView[] {
  requireFew(grantIds, maxGrantsPerRead, "grants' views")
  return connection
    .prepare(viewsStatement)
    .all(JSON.stringify(grantIds))
    .map((found) => view.parse(found))
}
