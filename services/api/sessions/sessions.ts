// Sessions as rows: start, list, show. What runs in them is the hub's.

import { randomUUID } from 'node:crypto'
import type { NewSessionAnswer, newSessionSchema, SessionPage, sessionListQuerySchema } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { visibleOwner } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { liveStatuses, type Session, type SessionId } from '@teleclaude/core/session.ts'
import type { z } from 'zod'
import { actorOf, record, subjectOf } from '../audit/record.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { viewSession } from './views.ts'

type Asked = { readonly service: Service; readonly caller: Caller }

export async function createSession({
  service,
  caller,
  body,
}: Asked & { readonly body: z.output<typeof newSessionSchema> }): Promise<Answer> {
  const person = caller.person
  if (person === null) throw new ProblemError('not-permitted', 'cannot start a session: this service does not know you')
  const { uid } = caller.credentials
  const id = randomUUID() as SessionId
  const owner = { person, uid, osUser: caller.osUser ?? String(uid) }
  // On the record before there is a session: its owner can find one that is there and have it run, answered or not.
  const detail = { project: body.project, agent: body.agent }
  await record(service, {
    action: 'session.started',
    actor: actorOf(caller),
    session: subjectOf({ id, owner }),
    detail,
  })
  // Also where the answer of the database is lost: what it may have made is settled then.
  service.hub.expectRunner(id)
  const session = await service.store.sessions.create({
    id,
    host: service.host,
    owner,
    project: body.project,
    agent: body.agent,
    title: body.title,
    argv: body.argv,
    terminal: body.terminal,
    createdAtUs: nowUs(),
  })
  const json: NewSessionAnswer = { session: viewSession(session, caller), notice: service.config.current.notice }
  return { status: 201, json }
}

export async function listSessions({
  service,
  caller,
  query,
}: Asked & { readonly query: z.output<typeof sessionListQuerySchema> }): Promise<Answer> {
  const { idPrefix, project, status, cursor, limit } = query
  const statuses = status === undefined ? undefined : status === 'live' ? liveStatuses : [status]
  // One more than asked for, to know whether there is a next page.
  const found = await service.store.sessions.list({
    scope: visibleOwner(caller),
    ...(idPrefix === undefined ? {} : { idPrefix }),
    ...(project === undefined ? {} : { project }),
    ...(statuses === undefined ? {} : { statuses }),
    ...(cursor === undefined ? {} : { beforeOrdinal: decodeCursor(cursor) }),
    limit: limit + 1,
  })
  const page = found.slice(0, limit)
  const last = page.at(-1)
  const json: SessionPage = {
    sessions: page.map((session) => viewSession(session, caller)),
    nextCursor: found.length > limit && last !== undefined ? encodeCursor(last.ordinal) : null,
  }
  return { status: 200, json }
}

export async function readSession({ caller, session }: Asked & { readonly session: Session }): Promise<Answer> {
  return { status: 200, json: viewSession(session, caller) }
}

function encodeCursor(ordinal: number): string {
  return Buffer.from(`s${ordinal}`).toString('base64url')
}

function decodeCursor(cursor: string): number {
  const match = /^s([1-9]\d{0,15})$/.exec(Buffer.from(cursor, 'base64url').toString('latin1'))
  const ordinal = Number(match?.[1])
  if (!Number.isSafeInteger(ordinal)) {
    throw new ProblemError('invalid', 'cannot use the query: /cursor is not one that this service gave out')
  }
  return ordinal
}
