// Sessions in SQLite.

import {
  liveStatuses,
  type Session,
  type SessionExit,
  type SessionId,
  sessionStatuses,
} from '@teleclaude/core/session.ts'
import { z } from 'zod'
import type { NewSession, SessionQuery } from '../contract.ts'
import { countRow, sessionColumns, sessionRow, toSession } from '../rows.ts'
import { canMatch, idRange, isSelective, requireNewSession } from '../values.ts'
import type { Connection } from './connection.ts'

const columns = sessionColumns.join(', ')
const argvColumn = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(z.array(z.string()))
const row = sessionRow.extend({ argv: argvColumn }).transform(toSession)

export function createSession(connection: Connection, session: NewSession): Session {
  requireNewSession(session)
  const { id, host, owner, project, agent, title, argv, terminal, createdAtUs } = session
  const insert = connection.prepare(`
    INSERT INTO sessions (id, host, owner_person, owner_uid, owner_os_user, project, agent, title, argv,
      terminal_cols, terminal_rows, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    RETURNING ${columns}`)
  return connection.write(() =>
    row.parse(
      insert.get(
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
        createdAtUs,
      ),
    ),
  )
}

export function findSession(connection: Connection, id: SessionId): Session | null {
  const found = connection.prepare(`SELECT ${columns} FROM sessions WHERE id = ?`).get(id)
  return found === undefined ? null : row.parse(found)
}

export type Statement = { readonly sql: string; readonly values: readonly unknown[] }

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

export function markSessionRunning(connection: Connection, id: SessionId, atUs: number): boolean {
  const update = connection.prepare(`
    UPDATE sessions SET status = 'running', started_at = coalesce(started_at, ?), ended_at = NULL
    WHERE id = ? AND status <> 'ended'`)
  return connection.write(() => update.run(atUs, id)).changes === 1
}

export function markSessionLost(connection: Connection, id: SessionId, atUs: number): boolean {
  const update = connection.prepare(`
    UPDATE sessions SET status = 'lost', ended_at = ? WHERE id = ? AND status IN ('starting', 'running')`)
  return connection.write(() => update.run(atUs, id)).changes === 1
}

export function endSession(connection: Connection, id: SessionId, exit: SessionExit, atUs: number): boolean {
  const code = exit.kind === 'exited' ? exit.code : null
  const signal = exit.kind === 'signalled' ? exit.signal : null
  const update = connection.prepare(`
    UPDATE sessions SET status = 'ended', exit_code = ?, exit_signal = ?, ended_at = ?
    WHERE id = ? AND status <> 'ended'`)
  return connection.write(() => update.run(code, signal, atUs, id)).changes === 1
}

const idRow = z.strictObject({ id: z.string() }).transform((found) => found.id as SessionId)

const live = liveStatuses.map((status) => `'${status}'`).join(', ')

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
