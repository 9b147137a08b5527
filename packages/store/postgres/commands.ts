// Commands in PostgreSQL. Whoever enqueues or takes holds the session's row first: numbers are then without a gap and in the
// order of the commits, and of several takers the next one sees what the one before took.

import type { Command } from '@teleclaude/core/command.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { type CommonQueryMethods, type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import type { NewCommand } from '../contract.ts'
import { commandColumns, commandRow, expiredReason, toCommand } from '../rows.ts'
import { requestColumns, requireNewCommand, requireText } from '../values.ts'
import { timeValue } from './connection.ts'
import { channels, notify } from './hints.ts'

const columns = sql.join(
  commandColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)
const row = commandRow.transform(toCommand)
const noRow = z.strictObject({})
const hostRow = z.strictObject({ host: z.string() })
const idRow = z.strictObject({ id: z.string() }).transform((found) => found.id as SessionId)

/** Resolves to its host, or null where it is unknown. */
async function lockSession(db: CommonQueryMethods, id: SessionId): Promise<string | null> {
  const found = await db.maybeOne(sql.type(hostRow)`SELECT host FROM sessions WHERE id = ${id} FOR NO KEY UPDATE`)
  return found?.host ?? null
}

export function enqueueCommand(db: DatabasePool, command: NewCommand): Promise<Command> {
  requireNewCommand(command)
  const { sessionId, request, requestedBy, createdAtUs, expiresAtUs } = command
  const { kind, force, text, enter } = requestColumns(request)
  return db.transaction(async (transaction) => {
    const host = await lockSession(transaction, sessionId)
    const enqueued = await transaction.one(sql.type(row)`
      INSERT INTO commands (session_id, number, kind, force, text, enter, requested_by, created_at, expires_at)
      VALUES (${sessionId}, (SELECT coalesce(max(number), 0) + 1 FROM commands WHERE session_id = ${sessionId}),
        ${kind}, ${force}, ${text}, ${enter}, ${requestedBy}, ${timeValue(createdAtUs)}, ${timeValue(expiresAtUs)})
      RETURNING ${columns}`)
    if (host !== null) await notify(transaction, channels.commands, host)
    return enqueued
  })
}

export function takeCommand(db: DatabasePool, id: SessionId, atUs: number): Promise<Command | null> {
  return db.transaction(async (transaction) => {
    await lockSession(transaction, id)
    await transaction.query(sql.type(noRow)`
      UPDATE commands SET state = 'expired', text = NULL, reason = ${expiredReason}, finished_at = ${timeValue(atUs)}
      WHERE session_id = ${id} AND state = 'queued' AND expires_at <= ${timeValue(atUs)}`)
    return transaction.maybeOne(sql.type(row)`
      UPDATE commands SET state = 'delivered', delivered_at = ${timeValue(atUs)}
      WHERE session_id = ${id} AND state = 'queued' AND number = (
        SELECT min(number) FROM commands WHERE session_id = ${id} AND state = 'queued'
      )
      RETURNING ${columns}`)
  })
}

export async function putCommandBack(db: CommonQueryMethods, id: SessionId, number: number): Promise<boolean> {
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE commands SET state = 'queued', delivered_at = NULL
    WHERE session_id = ${id} AND number = ${number} AND state = 'delivered'`)
  return rowCount === 1
}

export async function finishCommand(
  db: CommonQueryMethods,
  id: SessionId,
  number: number,
  { state, reason, atUs }: { readonly state: 'done' | 'failed'; readonly reason: string | null; readonly atUs: number },
): Promise<boolean> {
  if (reason !== null) requireText(reason, "the command's reason")
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE commands SET state = ${state}, text = NULL, reason = ${reason}, finished_at = ${timeValue(atUs)}
    WHERE session_id = ${id} AND number = ${number} AND state = 'delivered'`)
  return rowCount === 1
}

export async function expireCommands(db: CommonQueryMethods, atUs: number): Promise<number> {
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE commands SET state = 'expired', text = NULL, reason = ${expiredReason}, finished_at = ${timeValue(atUs)}
    WHERE state = 'queued' AND expires_at <= ${timeValue(atUs)}`)
  return rowCount
}

export function closeCommands(db: DatabasePool, id: SessionId, reason: string, atUs: number): Promise<number> {
  requireText(reason, "the command's reason")
  return db.transaction(async (transaction) => {
    await lockSession(transaction, id)
    const { rowCount } = await transaction.query(sql.type(noRow)`
      UPDATE commands SET state = 'failed', text = NULL, reason = ${reason}, finished_at = ${timeValue(atUs)}
      WHERE session_id = ${id} AND state IN ('queued', 'delivered')`)
    return rowCount
  })
}

export function waitingStatement(host: string) {
  // An array: its sessions are looked up by their ids, however many the planner takes them for.
  return sql.type(idRow)`
    SELECT id FROM sessions
    WHERE id = ANY (ARRAY(SELECT DISTINCT session_id FROM commands WHERE state = 'queued')) AND host = ${host}
    ORDER BY ordinal`
}

export function listWaitingSessions(db: CommonQueryMethods, host: string): Promise<readonly SessionId[]> {
  return db.any(waitingStatement(host))
}

export function listCommands(db: CommonQueryMethods, id: SessionId, limit: number): Promise<readonly Command[]> {
  return db.any(sql.type(row)`
    SELECT ${columns} FROM commands WHERE session_id = ${id} ORDER BY number DESC LIMIT ${limit}`)
}
