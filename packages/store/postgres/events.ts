// Events of sessions in PostgreSQL. Whoever inserts one holds a lock from before its ordinal is given until the commit:
// ordinals are in the order of the commits, so that a reader who has seen one has seen all before it.

import { type SessionEvent, type SessionEventKind, sessionEventKinds } from '@teleclaude/core/event.ts'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import { type CommonQueryMethods, sql } from 'slonik'
import { z } from 'zod'
import type { EventQuery, SessionScope } from '../contract.ts'
import { ordinalRow, sessionEventRow, toSessionEvent } from '../rows.ts'
import { canReach, isId } from '../values.ts'
import { timeValue } from './connection.ts'
import { channels, notify } from './hints.ts'
import { lockKey } from './migrate.ts'
import { columns } from './session-row.ts'

const row = sessionEventRow.transform(toSessionEvent)
const noRow = z.strictObject({})
const kinds = sql.array(sessionEventKinds, 'text')
const lockedRow = z.strictObject({ locked: z.literal('') })

export type NewEvent = {
  readonly sessionId: SessionId
  /** The session's owner. */
  readonly person: string
  readonly kind: SessionEventKind
  readonly atUs: number
}

/** Has to be the last of its transaction: everybody else's events wait from here to the commit, and who holds this lock must
 *  wait for nobody. */
export async function addEvent(
  transaction: CommonQueryMethods,
  { sessionId, person, kind, atUs }: NewEvent,
): Promise<void> {
  await notify(transaction, channels.events, '')
  await transaction.one(sql.type(lockedRow)`
    SELECT pg_advisory_xact_lock(${lockKey('session events')}::bigint)::text AS locked`)
  await transaction.query(sql.type(noRow)`
    INSERT INTO session_events (id, session_id, owner_person, kind, at)
    VALUES (${crypto.randomUUID()}, ${sessionId}, ${person}, ${kind}, ${timeValue(atUs)})`)
}

export async function newestEvent(db: CommonQueryMethods): Promise<number> {
  const { ordinal } = await db.one(sql.type(ordinalRow)`
    SELECT coalesce(max(ordinal), 0) AS ordinal FROM unnest(${kinds}) AS wanted CROSS JOIN LATERAL (
      SELECT ordinal FROM session_events WHERE kind = wanted ORDER BY ordinal DESC LIMIT 1
    ) AS newest`)
  return ordinal
}

export async function findEvent(db: CommonQueryMethods, scope: SessionScope, id: string): Promise<number | null> {
  if (!canReach(scope) || !isId(id)) return null
  const found = await db.maybeOne(sql.type(ordinalRow)`
    SELECT ordinal FROM session_events WHERE ${sql.and([
      sql.fragment`id = ${id}`,
      scope.kind === 'person' && sql.fragment`owner_person = ${scope.person}`,
    ])}`)
  return found?.ordinal ?? null
}

export function readStatement({ scope, afterOrdinal, limit }: EventQuery) {
  const isNext = sql.fragment`ordinal > ${afterOrdinal} ORDER BY ordinal LIMIT ${limit}`
  // One short range of an index, or one per kind and then the first of those.
  const following =
    scope.kind === 'person'
      ? sql.fragment`SELECT * FROM session_events WHERE owner_person = ${scope.person} AND ${isNext}`
      : sql.fragment`
          SELECT next.* FROM unnest(${kinds}) AS wanted CROSS JOIN LATERAL (
            SELECT * FROM session_events WHERE kind = wanted AND ${isNext}
          ) AS next
          ORDER BY ordinal LIMIT ${limit}`
  // LIMIT 1: one look into the index of ids for each event, and no way to go over all sessions instead.
  return sql.type(row)`
    SELECT event_id, event_ordinal, event_kind, event_at, ${columns} FROM (
      SELECT id AS event_id, ordinal AS event_ordinal, kind AS event_kind, at AS event_at, session_id
      FROM (${following}) AS event
    ) AS following CROSS JOIN LATERAL (
      SELECT * FROM sessions WHERE id = session_id LIMIT 1
    ) AS its
    ORDER BY event_ordinal`
}

export async function readEvents(
  db: CommonQueryMethods,
  query: EventQuery,
): Promise<readonly { readonly event: SessionEvent; readonly session: Session }[]> {
  return canReach(query.scope) ? db.any(readStatement(query)) : []
}

export async function removeEvents(db: CommonQueryMethods, beforeUs: number, limit: number): Promise<number> {
  const { rowCount } = await db.query(sql.type(noRow)`
    DELETE FROM session_events WHERE id IN (
      SELECT id FROM session_events WHERE at < ${timeValue(beforeUs)} ORDER BY at, ordinal LIMIT ${limit}
    )`)
  return rowCount
}
