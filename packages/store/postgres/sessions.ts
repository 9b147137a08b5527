// Sessions in PostgreSQL.

import {
  liveStatuses,
  type Session,
  type SessionExit,
  type SessionId,
  sessionStatuses,
} from '@teleclaude/core/session.ts'
import { type CommonQueryMethods, sql } from 'slonik'
import { z } from 'zod'
import type { NewSession, SessionQuery } from '../contract.ts'
import { countRow, sessionColumns, sessionRow, toSession } from '../rows.ts'
import { canMatch, idRange, isSelective, requireNewSession, requireText } from '../values.ts'
import { timeValue } from './connection.ts'

const columns = sql.join(
  sessionColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)
const row = sessionRow.transform(toSession)
const noRow = z.strictObject({})

export function createSession(db: CommonQueryMethods, session: NewSession): Promise<Session> {
  requireNewSession(session)
  const { id, host, owner, project, agent, title, argv, terminal, createdAtUs } = session
  return db.one(sql.type(row)`
    INSERT INTO sessions (id, host, owner_person, owner_uid, owner_os_user, project, agent, title, argv,
      terminal_cols, terminal_rows, created_at)
    VALUES (${id}, ${host}, ${owner.person}, ${owner.uid}, ${owner.osUser}, ${project}, ${agent}, ${title},
      ${sql.array(argv, 'text')}, ${terminal.cols}, ${terminal.rows}, ${timeValue(createdAtUs)})
    RETURNING ${columns}`)
}

export function findSession(db: CommonQueryMethods, id: SessionId): Promise<Session | null> {
  return db.maybeOne(sql.type(row)`SELECT ${columns} FROM sessions WHERE id = ${id}`)
}

/** Null where nothing can match. */
export function listStatement(query: SessionQuery) {
  if (!canMatch(query)) return null
  const { scope, project, statuses, beforeOrdinal, limit } = query
  const range = query.idPrefix === undefined ? undefined : idRange(query.idPrefix)
  if (range === null) return null
  const isAsked = sql.and([
    scope.kind === 'person' && sql.fragment`owner_person = ${scope.person}`,
    // What the index holds. It says all of a shorter path; the planner, who takes conditions for independent, would take two
    // for a reason to expect few rows, and to sort them all.
    project !== undefined && sql.fragment`left(project, 255) = left(${project}, 255)`,
    project !== undefined && project.length >= 255 && sql.fragment`project = ${project}`,
    beforeOrdinal !== undefined && sql.fragment`ordinal < ${beforeOrdinal}`,
    range !== undefined && sql.fragment`id BETWEEN ${range.first}::uuid AND ${range.last}::uuid`,
  ])
  if (isSelective(query)) {
    const hasStatus = statuses === undefined ? true : sql.fragment`status = ANY(${sql.array(statuses, 'text')})`
    // MATERIALIZED: by id and no other way, whatever the planner thinks of the LIMIT.
    return sql.type(row)`
      WITH matching AS MATERIALIZED (SELECT id, ordinal FROM sessions WHERE ${isAsked} AND ${hasStatus})
      SELECT ${columns} FROM sessions WHERE id IN (SELECT id FROM matching ORDER BY ordinal DESC LIMIT ${limit})
      ORDER BY ordinal DESC`
  }
  // One short range of an index per status, then the newest of those.
  return sql.type(row)`
    SELECT ${columns} FROM unnest(${sql.array(statuses ?? sessionStatuses, 'text')}) AS wanted CROSS JOIN LATERAL (
      SELECT * FROM sessions WHERE status = wanted AND ${isAsked} ORDER BY ordinal DESC LIMIT ${limit}
    ) AS newest
    ORDER BY ordinal DESC LIMIT ${limit}`
}

export async function listSessions(db: CommonQueryMethods, query: SessionQuery): Promise<readonly Session[]> {
  const statement = listStatement(query)
  return statement === null ? [] : db.any(statement)
}

export async function markSessionRunning(db: CommonQueryMethods, id: SessionId, atUs: number): Promise<boolean> {
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE sessions SET status = 'running', started_at = coalesce(started_at, ${timeValue(atUs)}), ended_at = NULL
    WHERE id = ${id} AND status <> 'ended'`)
  return rowCount === 1
}

export async function markSessionLost(db: CommonQueryMethods, id: SessionId, atUs: number): Promise<boolean> {
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE sessions SET status = 'lost', ended_at = ${timeValue(atUs)}
    WHERE id = ${id} AND status IN ('starting', 'running')`)
  return rowCount === 1
}

export async function endSession(
  db: CommonQueryMethods,
  id: SessionId,
  exit: SessionExit,
  atUs: number,
): Promise<boolean> {
  const code = exit.kind === 'exited' ? exit.code : null
  const signal = exit.kind === 'signalled' ? exit.signal : null
  if (signal !== null) requireText(signal, "the session's signal")
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE sessions SET status = 'ended', exit_code = ${code}, exit_signal = ${signal}, ended_at = ${timeValue(atUs)}
    WHERE id = ${id} AND status <> 'ended'`)
  return rowCount === 1
}

const idRow = z.strictObject({ id: z.string() }).transform((found) => found.id as SessionId)

const live = sql.join(
  liveStatuses.map((status) => sql.literalValue(status)),
  sql.fragment`, `,
)

export function countLiveStatement(host: string, person: string) {
  return sql.type(countRow)`
    SELECT count(*) AS count FROM sessions WHERE owner_person = ${person} AND status IN (${live}) AND host = ${host}`
}

export async function countLiveSessions(db: CommonQueryMethods, host: string, person: string): Promise<number> {
  const { count } = await db.one(countLiveStatement(host, person))
  return count
}

export function listLiveSessions(db: CommonQueryMethods, host: string): Promise<readonly SessionId[]> {
  return db.any(sql.type(idRow)`
    SELECT id FROM sessions WHERE host = ${host} AND status IN (${live}) ORDER BY ordinal`)
}
