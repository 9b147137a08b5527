// Sessions in SQLite.

import {
  type AgentSource,
  type AgentState,
  liveStatuses,
  type Session,
  type SessionExit,
  type SessionId,
  sessionStatuses,
} from '@teleclaude/core/session.ts'
import { z } from 'zod'
import type { NewSession, SessionQuery } from '../contract.ts'
import { countRow } from '../rows.ts'
import { canMatch, idRange, isSelective, requireNewSession, requireText } from '../values.ts'
import { booleanColumn, type Connection, type Statement } from './connection.ts'
import { addEvent, type NewEvent } from './events.ts'
import { columns, row } from './session-row.ts'

export function createSession(connection: Connection, session: NewSession): Session {
  requireNewSession(session)
  const { id, host, owner, project, agent, title, argv, terminal, parentId, createdAtUs } = session
  const insert = connection.prepare(`
    INSERT INTO sessions (id, host, owner_person, owner_uid, owner_os_user, project, agent, title, argv,
      terminal_cols, terminal_rows, parent_id, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    RETURNING ${columns}`)
  return connection.write(() => {
    const created = insert.get(
      id,
      host,
      owner.person,
      owner.uid,
      owner.osUser,
      project,
      agent,
      title,
      JSON.stringify(argv),
      terminal.cols,
      terminal.rows,
      parentId,
      createdAtUs,
    )
    addEvent(connection, { sessionId: id, kind: 'created', atUs: createdAtUs })
    return row.parse(created)
  })
}

export function findSession(connection: Connection, id: SessionId): Session | null {
  const found = connection.prepare(`SELECT ${columns} FROM sessions WHERE id = ?`).get(id)
  return found === undefined ? null : row.parse(found)
}

/** Null where nothing can match. */
export function listStatement(query: SessionQuery): Statement | null {
  const range = query.idPrefix === undefined ? undefined : idRange(query.idPrefix)
  if (!canMatch(query) || range === null) return null
  const { scope, project, statuses, beforeOrdinal, limit } = query
  const isPersonal = scope.kind === 'person'
  const conditions: string[] = []
  const values: unknown[] = []
  const where = (condition: string, ...bound: readonly unknown[]) => {
    conditions.push(condition)
    values.push(...bound)
  }
  if (isPersonal) where('owner_person = ?', scope.person)
  if (project !== undefined) where('project = ?', project)
  if (beforeOrdinal !== undefined) where('ordinal < ?', beforeOrdinal)
  if (range !== undefined) where('id BETWEEN ? AND ?', range.first, range.last)

  // INDEXED BY: the right index is known here, and no statistics are needed to find it.
  const newest = (index: string, also: readonly string[]) => `
    SELECT ordinal FROM sessions INDEXED BY ${index}
    WHERE ${[...conditions, ...also].join(' AND ')} ORDER BY ordinal DESC LIMIT ?`
  const rowsOf = (ordinals: string) =>
    `SELECT ${columns} FROM sessions WHERE ordinal IN (${ordinals}) ORDER BY ordinal DESC LIMIT ?`

  if (isSelective(query)) {
    const also = statuses === undefined ? [] : [`status IN (${statuses.map(() => '?').join(', ')})`]
    const index = isPersonal ? 'sessions_by_person_id' : 'sessions_by_id'
    return { sql: rowsOf(newest(index, also)), values: [...values, ...(statuses ?? []), limit, limit] }
  }
  const index = `sessions_by_${listKey(isPersonal, project !== undefined)}`
  const asked = statuses ?? sessionStatuses
  const pages = asked.map(() => `SELECT * FROM (${newest(index, ['status = ?'])})`).join(' UNION ALL ')
  return { sql: rowsOf(pages), values: [...asked.flatMap((status) => [...values, status, limit]), limit] }
}

function listKey(isPersonal: boolean, isOfProject: boolean): string {
  if (isOfProject) return isPersonal ? 'person_project' : 'project'
  return isPersonal ? 'person' : 'status'
}

export function listSessions(connection: Connection, query: SessionQuery): readonly Session[] {
  const statement = listStatement(query)
  if (statement === null) return []
  return connection
    .prepare(statement.sql)
    .all(...statement.values)
    .map((found) => row.parse(found))
}

const live = liveStatuses.map((status) => `'${status}'`).join(', ')

/** @param update changes the one session, or nothing */
function changeSession(connection: Connection, update: () => { readonly changes: number }, event: NewEvent): boolean {
  return connection.write(() => {
    if (update().changes === 0) return false
    addEvent(connection, event)
    return true
  })
}

const statusRow = z.strictObject({ status: z.enum(sessionStatuses), is_removed: booleanColumn }).optional()

export function markSessionRunning(connection: Connection, id: SessionId, atUs: number): boolean {
  const select = connection.prepare(`
    SELECT status, transcript_removed_at IS NOT NULL AS is_removed FROM sessions WHERE id = ?`)
  const update = connection.prepare(`
    UPDATE sessions SET status = 'running', started_at = coalesce(started_at, ?), ended_at = NULL WHERE id = ?`)
  return connection.write(() => {
    const stored = statusRow.parse(select.get(id))
    if (stored === undefined || stored.status === 'ended' || stored.is_removed) return false
    if (stored.status === 'running') return true
    update.run(atUs, id)
    addEvent(connection, { sessionId: id, kind: 'running', atUs })
    return true
  })
}

const agentUnknown = "agent_state = 'unknown', agent_source = NULL, agent_since = NULL"

export function markSessionLost(connection: Connection, id: SessionId, atUs: number): boolean {
  const update = connection.prepare(`
    UPDATE sessions SET status = 'lost', ended_at = ?, ${agentUnknown} WHERE id = ? AND status IN (${live})`)
  return changeSession(connection, () => update.run(atUs, id), { sessionId: id, kind: 'lost', atUs })
}

export function endSession(connection: Connection, id: SessionId, exit: SessionExit, atUs: number): boolean {
  const code = exit.kind === 'exited' ? exit.code : null
  const signal = exit.kind === 'signalled' ? exit.signal : null
  if (signal !== null) requireText(signal, "the session's signal")
  const update = connection.prepare(`
    UPDATE sessions SET status = 'ended', exit_code = ?, exit_signal = ?, ended_at = ?, ${agentUnknown}
    WHERE id = ? AND status <> 'ended'`)
  return changeSession(connection, () => update.run(code, signal, atUs, id), { sessionId: id, kind: 'ended', atUs })
}

export function setAgentStatus(
  connection: Connection,
  id: SessionId,
  { state, source }: { readonly state: AgentState; readonly source: AgentSource },
  atUs: number,
): boolean {
  const update = connection.prepare(`
    UPDATE sessions SET agent_state = ?, agent_source = ?, agent_since = ?
    WHERE id = ? AND status IN (${live}) AND (agent_state <> ? OR agent_source IS NOT ?)`)
  const run = () => update.run(state, source, atUs, id, state, source)
  return changeSession(connection, run, { sessionId: id, kind: 'agent', atUs })
}

export function renameSession(connection: Connection, id: SessionId, title: string, atUs: number): boolean {
  requireText(title, "the session's title")
  const update = connection.prepare('UPDATE sessions SET title = ? WHERE id = ? AND title <> ?')
  return changeSession(connection, () => update.run(title, id, title), { sessionId: id, kind: 'renamed', atUs })
}

const idRow = z.strictObject({ id: z.string() }).transform((found) => found.id as SessionId)

/** Takes the person and the host. */
export const countLiveStatement = `
  SELECT count(*) AS count FROM sessions INDEXED BY sessions_by_person
  WHERE owner_person = ? AND status IN (${live}) AND host = ?`

export function countLiveSessions(connection: Connection, host: string, person: string): number {
  return countRow.parse(connection.prepare(countLiveStatement).get(person, host)).count
}

export function listLiveSessions(connection: Connection, host: string): readonly SessionId[] {
  const select = connection.prepare(`SELECT id FROM sessions WHERE host = ? AND status IN (${live}) ORDER BY ordinal`)
  return select.all(host).map((found) => idRow.parse(found))
}

/** Takes the host, the time before which it was created, the one since which it is silent, and how many. Nothing is before null. */
export const overdueStatement = `
  SELECT ${columns} FROM sessions INDEXED BY sessions_live
  WHERE host = ? AND status IN (${live}) AND (created_at < ? OR coalesce(last_output_at, created_at) < ?)
  ORDER BY ordinal LIMIT ?`

export function listOverdueSessions(
  connection: Connection,
  host: string,
  {
    createdBeforeUs,
    silentSinceUs,
    limit,
  }: { readonly createdBeforeUs: number | null; readonly silentSinceUs: number | null; readonly limit: number },
): readonly Session[] {
  const select = connection.prepare(overdueStatement)
  return select.all(host, createdBeforeUs, silentSinceUs, limit).map((found) => row.parse(found))
}
