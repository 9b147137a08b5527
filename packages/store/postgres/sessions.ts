// Sessions in PostgreSQL.

import type { SessionEventKind } from '@teleclaude/core/event.ts'
import {
  type AgentSource,
  type AgentState,
  liveStatuses,
  type Session,
  type SessionExit,
  type SessionId,
  sessionStatuses,
} from '@teleclaude/core/session.ts'
import { type CommonQueryMethods, type DatabasePool, type QuerySqlToken, sql } from 'slonik'
import { z } from 'zod'
import type { NewSession, SessionQuery } from '../contract.ts'
import { countRow } from '../rows.ts'
import { canMatch, idRange, isSelective, requireNewSession, requireText } from '../values.ts'
import { nullableTimeValue, timeValue } from './connection.ts'
import { addEvent } from './events.ts'
import { columns, row } from './session-row.ts'

const noRow = z.strictObject({})

export function createSession(db: DatabasePool, session: NewSession): Promise<Session> {
  requireNewSession(session)
  const { id, host, owner, project, agent, title, argv, terminal, parentId, createdAtUs } = session
  return db.transaction(async (transaction) => {
    const created = await transaction.one(sql.type(row)`
      INSERT INTO sessions (id, host, owner_person, owner_uid, owner_os_user, project, agent, title, argv,
        terminal_cols, terminal_rows, parent_id, created_at)
      VALUES (${id}, ${host}, ${owner.person}, ${owner.uid}, ${owner.osUser}, ${project}, ${agent}, ${title},
        ${sql.array(argv, 'text')}, ${terminal.cols}, ${terminal.rows}, ${parentId}, ${timeValue(createdAtUs)})
      RETURNING ${columns}`)
    await addEvent(transaction, { sessionId: id, person: owner.person, kind: 'created', atUs: createdAtUs })
    return created
  })
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

const live = sql.join(
  liveStatuses.map((status) => sql.literalValue(status)),
  sql.fragment`, `,
)

const storedRow = z.strictObject({ owner_person: z.string(), status: z.enum(sessionStatuses), is_removed: z.boolean() })

export function markSessionRunning(db: DatabasePool, id: SessionId, atUs: number): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const stored = await transaction.maybeOne(sql.type(storedRow)`
      SELECT owner_person, status, transcript_removed_at IS NOT NULL AS is_removed FROM sessions
      WHERE id = ${id} FOR NO KEY UPDATE`)
    if (stored === null || stored.status === 'ended' || stored.is_removed) return false
    if (stored.status === 'running') return true
    await transaction.query(sql.type(noRow)`
      UPDATE sessions SET status = 'running', started_at = coalesce(started_at, ${timeValue(atUs)}), ended_at = NULL
      WHERE id = ${id}`)
    await addEvent(transaction, { sessionId: id, person: stored.owner_person, kind: 'running', atUs })
    return true
  })
}

const ownerRow = z.strictObject({ owner_person: z.string() })

/** @param update the whole UPDATE, which returns the owner where it changed something */
function changeSession(
  db: DatabasePool,
  update: QuerySqlToken<typeof ownerRow>,
  event: { readonly sessionId: SessionId; readonly kind: SessionEventKind; readonly atUs: number },
): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const changed = await transaction.maybeOne(update)
    if (changed === null) return false
    await addEvent(transaction, { ...event, person: changed.owner_person })
    return true
  })
}

const agentUnknown = sql.fragment`agent_state = 'unknown', agent_source = NULL, agent_since = NULL`

export function markSessionLost(db: DatabasePool, id: SessionId, atUs: number): Promise<boolean> {
  const update = sql.type(ownerRow)`
    UPDATE sessions SET status = 'lost', ended_at = ${timeValue(atUs)}, ${agentUnknown}
    WHERE id = ${id} AND status IN (${live}) RETURNING owner_person`
  return changeSession(db, update, { sessionId: id, kind: 'lost', atUs })
}

export function endSession(db: DatabasePool, id: SessionId, exit: SessionExit, atUs: number): Promise<boolean> {
  const code = exit.kind === 'exited' ? exit.code : null
  const signal = exit.kind === 'signalled' ? exit.signal : null
  if (signal !== null) requireText(signal, "the session's signal")
  const update = sql.type(ownerRow)`
    UPDATE sessions SET status = 'ended', exit_code = ${code}, exit_signal = ${signal}, ended_at = ${timeValue(atUs)},
      ${agentUnknown}
    WHERE id = ${id} AND status <> 'ended' RETURNING owner_person`
  return changeSession(db, update, { sessionId: id, kind: 'ended', atUs })
}

export function setAgentStatus(
  db: DatabasePool,
  id: SessionId,
  { state, source }: { readonly state: AgentState; readonly source: AgentSource },
  atUs: number,
): Promise<boolean> {
  const update = sql.type(ownerRow)`
    UPDATE sessions SET agent_state = ${state}, agent_source = ${source}, agent_since = ${timeValue(atUs)}
    WHERE id = ${id} AND status IN (${live}) AND (agent_state <> ${state} OR agent_source IS DISTINCT FROM ${source})
    RETURNING owner_person`
  return changeSession(db, update, { sessionId: id, kind: 'agent', atUs })
}

export function renameSession(db: DatabasePool, id: SessionId, title: string, atUs: number): Promise<boolean> {
  requireText(title, "the session's title")
  const update = sql.type(ownerRow)`
    UPDATE sessions SET title = ${title} WHERE id = ${id} AND title <> ${title} RETURNING owner_person`
  return changeSession(db, update, { sessionId: id, kind: 'renamed', atUs })
}

const idRow = z.strictObject({ id: z.string() }).transform((found) => found.id as SessionId)

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

/** Nothing is before null. */
export function overdueStatement(
  host: string,
  {
    createdBeforeUs,
    silentSinceUs,
    limit,
  }: { readonly createdBeforeUs: number | null; readonly silentSinceUs: number | null; readonly limit: number },
) {
  return sql.type(row)`
    SELECT ${columns} FROM sessions
    WHERE host = ${host} AND status IN (${live}) AND (
      created_at < ${nullableTimeValue(createdBeforeUs)}
      OR coalesce(last_output_at, created_at) < ${nullableTimeValue(silentSinceUs)}
    )
    ORDER BY ordinal LIMIT ${limit}`
}

export function listOverdueSessions(
  db: CommonQueryMethods,
  host: string,
  query: Parameters<typeof overdueStatement>[1],
): Promise<readonly Session[]> {
  return db.any(overdueStatement(host, query))
}
