// Access grants, and what was delivered under them, in PostgreSQL.

import type { AccessGrant, AccessView } from '@teleclaude/core/access.ts'
import { type CommonQueryMethods, type DatabasePool, type FragmentSqlToken, sql } from 'slonik'
import { z } from 'zod'
import type { GrantQuery } from '../access-contract.ts'
import { grantColumns, grantRow, toGrant, toView, viewColumns, viewRow } from '../access-rows.ts'
import { canReach, isId, maxGrantsPerRead, requireFew, requireGrant, requireHost, requireText } from '../values.ts'
import { timeValue } from './connection.ts'
import { channels, notify } from './hints.ts'
import { insertNotice } from './notices.ts'

const columns = sql.join(
  grantColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)
const ofView = sql.join(
  viewColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)
const row = grantRow.transform(toGrant)
const view = viewRow.transform(toView)
const noRow = z.strictObject({})

export async function openGrant(db: DatabasePool, grant: Omit<AccessGrant, 'ended'>, noticeId: string): Promise<void> {
  requireGrant(grant)
  const { id, host, sessionId, owner, grantee, reason, drive, openedAtUs, expiresAtUs } = grant
  await db.transaction(async (transaction) => {
    await transaction.query(sql.type(noRow)`
      INSERT INTO access_grants (id, host, session_id, owner, grantee, grantee_uid, reason, drive, opened_at, expires_at)
      VALUES (${id}, ${host}, ${sessionId}, ${owner}, ${grantee.person}, ${grantee.uid}, ${reason}, ${drive},
        ${timeValue(openedAtUs)}, ${timeValue(expiresAtUs)})`)
    await insertNotice(transaction, {
      id: noticeId,
      kind: 'access.opened',
      person: owner,
      atUs: openedAtUs,
      sessionId,
      by: grantee.person,
      grantId: id,
    })
    await notify(transaction, channels.access, '')
  })
}

export async function findGrant(db: CommonQueryMethods, id: string): Promise<AccessGrant | null> {
  return isId(id) ? db.maybeOne(sql.type(row)`SELECT ${columns} FROM access_grants WHERE id = ${id}`) : null
}

/** Null where nothing can match. */
export function listStatement({ scope, sessionId, activeAtUs, before, limit }: GrantQuery) {
  if (!canReach(scope) || [sessionId, before].some((id) => id !== undefined && !isId(id))) return null
  const person = scope.kind === 'person' ? scope.person : null
  const isTheirs = person === null ? sql.fragment`true` : sql.fragment`(grantee = ${person} OR owner = ${person})`
  const isAsked = sql.and([
    sessionId !== undefined && sql.fragment`session_id = ${sessionId}`,
    activeAtUs !== undefined && sql.fragment`ended_at IS NULL AND expires_at > ${timeValue(activeAtUs)}`,
    before !== undefined &&
      sql.fragment`ordinal < (SELECT ordinal FROM access_grants WHERE id = ${before} AND ${isTheirs})`,
    true,
  ])
  const page = (isAlso: FragmentSqlToken) => sql.fragment`
    SELECT ordinal FROM access_grants WHERE ${isAsked} AND ${isAlso} ORDER BY ordinal DESC LIMIT ${limit}`
  if (activeAtUs !== undefined || sessionId !== undefined) {
    // Few enough to look at each of them. MATERIALIZED: by what is asked and no other way, whatever the planner thinks of the LIMIT.
    return sql.type(row)`
      WITH matching AS MATERIALIZED (SELECT ordinal FROM access_grants WHERE ${isAsked} AND ${isTheirs})
      SELECT ${columns} FROM access_grants
      WHERE ordinal = ANY (ARRAY(SELECT ordinal FROM matching ORDER BY ordinal DESC LIMIT ${limit}))
      ORDER BY ordinal DESC`
  }
  // Of a person: a short range of one index and one of another.
  const ordinals =
    person === null
      ? page(sql.fragment`true`)
      : sql.fragment`
          (${page(sql.fragment`grantee = ${person}`)}) UNION (${page(sql.fragment`owner = ${person}`)})
          ORDER BY ordinal DESC LIMIT ${limit}`
  return sql.type(row)`
    SELECT ${columns} FROM access_grants WHERE ordinal = ANY (ARRAY(${ordinals})) ORDER BY ordinal DESC`
}

export async function listGrants(db: CommonQueryMethods, query: GrantQuery): Promise<readonly AccessGrant[]> {
  const statement = listStatement(query)
  return statement === null ? [] : db.any(statement)
}

export async function endGrant(
  db: DatabasePool,
  id: string,
  { atUs, by, why }: NonNullable<AccessGrant['ended']>,
): Promise<boolean> {
  if (by !== null) requireText(by, 'who ended the access grant')
  if (!isId(id)) return false
  return db.transaction(async (transaction) => {
    const { rowCount } = await transaction.query(sql.type(noRow)`
      UPDATE access_grants SET ended_at = ${timeValue(atUs)}, ended_by = ${by}, ended_why = ${why}
      WHERE id = ${id} AND ended_at IS NULL`)
    if (rowCount === 1) await notify(transaction, channels.access, '')
    return rowCount === 1
  })
}

export function expiredStatement(host: string, atUs: number, limit: number) {
  return sql.type(row)`
    SELECT ${columns} FROM access_grants WHERE host = ${host} AND ended_at IS NULL AND expires_at <= ${timeValue(atUs)}
    ORDER BY expires_at, ordinal LIMIT ${limit}`
}

export function listExpiredGrants(
  db: CommonQueryMethods,
  host: string,
  atUs: number,
  limit: number,
): Promise<readonly AccessGrant[]> {
  return db.any(expiredStatement(host, atUs, limit))
}

export async function beginView(
  db: CommonQueryMethods,
  { id, grantId, host, kind, openedAtUs }: Omit<AccessView, 'ended'>,
): Promise<void> {
  requireHost(host)
  await db.query(sql.type(noRow)`
    INSERT INTO access_views (id, grant_id, host, kind, opened_at)
    VALUES (${id}, ${grantId}, ${host}, ${kind}, ${timeValue(openedAtUs)})`)
}

export async function endView(
  db: CommonQueryMethods,
  id: string,
  { atUs, firstSeq, lastSeq, bytes, isComplete }: NonNullable<AccessView['ended']>,
): Promise<boolean> {
  if (!isId(id)) return false
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE access_views SET ended_at = ${timeValue(atUs)}, first_seq = ${firstSeq}, last_seq = ${lastSeq}, bytes = ${bytes},
      is_complete = ${isComplete}
    WHERE id = ${id} AND ended_at IS NULL`)
  return rowCount === 1
}

export function openViewsStatement(host: string) {
  return sql.type(view)`
    SELECT ${ofView} FROM access_views WHERE host = ${host} AND ended_at IS NULL ORDER BY opened_at, id`
}

export function listOpenViews(db: CommonQueryMethods, host: string): Promise<readonly AccessView[]> {
  return db.any(openViewsStatement(host))
}

export function viewsStatement(grantIds: readonly string[]) {
  return sql.type(view)`
    SELECT ${ofView} FROM access_views WHERE grant_id = ANY(${sql.array(grantIds, 'uuid')}) ORDER BY opened_at, id`
}

export async function listViews(db: CommonQueryMethods, grantIds: readonly string[]): Promise<readonly AccessView[]> {
  requireFew(grantIds, maxGrantsPerRead, "grants' views")
  return db.any(viewsStatement(grantIds.filter(isId)))
}
