// Commands in SQLite. One writer at a time makes numbers without a gap, and "taken at most once", a matter of one transaction.

import type { Command } from '@teleclaude/core/command.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { z } from 'zod'
import type { NewCommand } from '../contract.ts'
import { commandColumns, commandRow, expiredReason, toCommand } from '../rows.ts'
import { requestColumns, requireNewCommand, requireText } from '../values.ts'
import { booleanColumn, type Connection } from './connection.ts'

const columns = commandColumns.join(', ')
const row = commandRow.extend({ force: booleanColumn, enter: booleanColumn }).transform(toCommand)

export function enqueueCommand(connection: Connection, command: NewCommand): Command {
  requireNewCommand(command)
  const { sessionId, request, requestedBy, createdAtUs, expiresAtUs } = command
  const { kind, force, text, enter } = requestColumns(request)
  const insert = connection.prepare(`
    INSERT INTO commands (session_id, number, kind, force, text, enter, requested_by, created_at, expires_at)
    VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM commands WHERE session_id = ?), ?, ?, ?, ?, ?, ?, ?)
    RETURNING ${columns}`)
  const asked = [kind, force ? 1 : 0, text, enter ? 1 : 0]
  return connection.write(() =>
    row.parse(insert.get(sessionId, sessionId, ...asked, requestedBy, createdAtUs, expiresAtUs)),
  )
}

export function takeCommand(connection: Connection, id: SessionId, atUs: number): Command | null {
  // INDEXED BY: the primary key would go over all that the session ever got.
  const expire = connection.prepare(`
    UPDATE commands INDEXED BY commands_queued SET state = 'expired', text = NULL, reason = ?, finished_at = ?
    WHERE session_id = ? AND state = 'queued' AND expires_at <= ?`)
  const take = connection.prepare(`
    UPDATE commands SET state = 'delivered', delivered_at = ?
    WHERE session_id = ? AND number = (SELECT min(number) FROM commands WHERE session_id = ? AND state = 'queued')
    RETURNING ${columns}`)
  const taken = connection.write(() => {
    expire.run(expiredReason, atUs, id, atUs)
    return take.get(atUs, id, id)
  })
  return taken === undefined ? null : row.parse(taken)
}

export function putCommandBack(connection: Connection, id: SessionId, number: number): boolean {
  const update = connection.prepare(`
    UPDATE commands SET state = 'queued', delivered_at = NULL WHERE session_id = ? AND number = ? AND state = 'delivered'`)
  return connection.write(() => update.run(id, number)).changes === 1
}

export function finishCommand(
  connection: Connection,
  id: SessionId,
  number: number,
  { state, reason, atUs }: { readonly state: 'done' | 'failed'; readonly reason: string | null; readonly atUs: number },
): boolean {
  if (reason !== null) requireText(reason, "the command's reason")
  const update = connection.prepare(`
    UPDATE commands SET state = ?, text = NULL, reason = ?, finished_at = ?
    WHERE session_id = ? AND number = ? AND state = 'delivered'`)
  return connection.write(() => update.run(state, reason, atUs, id, number)).changes === 1
}

export function expireCommands(connection: Connection, atUs: number): number {
  const update = connection.prepare(`
    UPDATE commands SET state = 'expired', text = NULL, reason = ?, finished_at = ? WHERE state = 'queued' AND expires_at <= ?`)
  return connection.write(() => update.run(expiredReason, atUs, atUs)).changes
}

export function closeCommands(connection: Connection, id: SessionId, reason: string, atUs: number): number {
  requireText(reason, "the command's reason")
  const update = connection.prepare(`
    UPDATE commands SET state = 'failed', text = NULL, reason = ?, finished_at = ?
    WHERE session_id = ? AND state IN ('queued', 'delivered')`)
  return connection.write(() => update.run(reason, atUs, id)).changes
}

/** Takes the host. */
export const waitingStatement = `
  SELECT id FROM sessions INDEXED BY sessions_by_id
  WHERE id IN (SELECT session_id FROM commands INDEXED BY commands_queued WHERE state = 'queued') AND host = ?
  ORDER BY ordinal`

const idRow = z.strictObject({ id: z.string() }).transform((found) => found.id as SessionId)

export function listWaitingSessions(connection: Connection, host: string): readonly SessionId[] {
  return connection
    .prepare(waitingStatement)
    .all(host)
    .map((found) => idRow.parse(found))
}

export function listCommands(connection: Connection, id: SessionId, limit: number): readonly Command[] {
  const select = connection.prepare(`SELECT ${columns} FROM commands WHERE session_id = ? ORDER BY number DESC LIMIT ?`)
  return select.all(id, limit).map((found) => row.parse(found))
}
