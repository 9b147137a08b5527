// Events of sessions in SQLite. One writer at a time makes ordinals that are in the order of the commits.

import type { SessionEvent, SessionEventKind } from '@teleclaude/core/event.ts'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import type { EventQuery, SessionScope } from '../contract.ts'
import { ordinalRow, sessionEventRow, toSessionEvent } from '../rows.ts'
import { canReach, isId } from '../values.ts'
import { type Connection, type Statement, textsColumn } from './connection.ts'
import { columns } from './session-row.ts'

const row = sessionEventRow.extend({ argv: textsColumn }).transform(toSessionEvent)

export type NewEvent = { readonly sessionId: SessionId; readonly kind: SessionEventKind; readonly atUs: number }

/** Inside the transaction of what it tells of. */
export function addEvent(connection: Connection, { sessionId, kind, atUs }: NewEvent): void {
  const insert = connection.prepare(`
    INSERT INTO session_events (id, session_id, owner_person, kind, at)
    SELECT ?, id, owner_person, ?, ? FROM sessions WHERE id = ?`)
  insert.run(crypto.randomUUID(), kind, atUs, sessionId)
}

export function newestEvent(connection: Connection): number {
  const found = connection.prepare('SELECT ordinal FROM session_events ORDER BY ordinal DESC LIMIT 1').get()
  return ordinalRow.optional().parse(found)?.ordinal ?? 0
}

export function findEvent(connection: Connection, scope: SessionScope, id: string): number | null {
  if (!canReach(scope) || !isId(id)) return null
  const isPersonal = scope.kind === 'person'
  const select = connection.prepare(
    `SELECT ordinal FROM session_events WHERE id = ? ${isPersonal ? 'AND owner_person = ?' : ''}`,
  )
  const found = isPersonal ? select.get(id, scope.person) : select.get(id)
  return ordinalRow.optional().parse(found)?.ordinal ?? null
}

export function readStatement({ scope, afterOrdinal, limit }: EventQuery): Statement {
  const isPersonal = scope.kind === 'person'
  const from = isPersonal
    ? 'session_events INDEXED BY session_events_by_person WHERE owner_person = ? AND'
    : 'session_events WHERE'
  // CROSS JOIN: the events first, then each one's session.
  const sql = `
    SELECT event_id, event_ordinal, event_kind, event_at, ${columns} FROM (
      SELECT id AS event_id, ordinal AS event_ordinal, kind AS event_kind, at AS event_at, session_id
      FROM ${from} ordinal > ? ORDER BY ordinal LIMIT ?
    ) AS following CROSS JOIN sessions INDEXED BY sessions_by_id ON sessions.id = session_id
    ORDER BY event_ordinal`
  return { sql, values: [...(isPersonal ? [scope.person] : []), afterOrdinal, limit] }
}

export function readEvents(
  connection: Connection,
  query: EventQuery,
): readonly { readonly event: SessionEvent; readonly session: Session }[] {
  if (!canReach(query.scope)) return []
  const { sql, values } = readStatement(query)
  return connection
    .prepare(sql)
    .all(...values)
    .map((found) => row.parse(found))
}

export function removeEvents(connection: Connection, beforeUs: number, limit: number): number {
  const remove = connection.prepare(`
    DELETE FROM session_events WHERE ordinal IN (
      SELECT ordinal FROM session_events WHERE at < ? ORDER BY at, ordinal LIMIT ?
    )`)
  return connection.write(() => remove.run(beforeUs, limit)).changes
}
