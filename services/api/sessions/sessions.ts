// Sessions as rows: start, list, show, change. What runs in them is the hub's.

import { randomUUID } from 'node:crypto'
import type {
  NewSessionAnswer,
  newSessionSchema,
  SessionPage,
  SessionPatch,
  sessionListQuerySchema,
} from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { visibleOwner } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { liveStatuses, type Session, type SessionId } from '@teleclaude/core/session.ts'
import type { SessionScope } from '@teleclaude/store/contract.ts'
import type { z } from 'zod'
import { tellOwner } from '../access/notices.ts'
import { orNotRecorded } from '../access/recorded.ts'
import { actorOf, record, subjectOf } from '../audit/record.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { viewSession } from './views.ts'

type Asked = { readonly service: Service; readonly caller: Caller }

type AskedForOne = Asked & { readonly body: z.output<typeof newSessionSchema> }

export function createSession(asked: AskedForOne): Promise<Answer> {
  return asked.service.liveLimit.start(asked.caller, () => start(asked))
}

async function start({ service, caller, body }: AskedForOne): Promise<Answer> {
  const person = caller.person
  if (person === null) throw new ProblemError('not-permitted', 'cannot start a session: this service does not know you')
  const { uid } = caller.credentials
  const parentId = await findParent(service, person, body.parent)
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
    parentId,
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
  const { idPrefix, project, status, person, cursor, limit } = query
  const visible = visibleOwner(caller)
  const beforeOrdinal = cursor === undefined ? undefined : await findOrdinal(service, visible, cursor as SessionId)
  const scope = person === undefined ? visible : narrow(visible, person)
  if (scope === null) {
    const json: SessionPage = { sessions: [], nextCursor: null, unseenNotices: await countUnseen(service, caller) }
    return { status: 200, json }
  }
  const statuses = status === undefined ? undefined : status === 'live' ? liveStatuses : [status]
  // One more than asked for, to know whether there is a next page.
  const listing = service.store.sessions.list({
    scope,
    ...(idPrefix === undefined ? {} : { idPrefix }),
    ...(project === undefined ? {} : { project }),
    ...(statuses === undefined ? {} : { statuses }),
    ...(beforeOrdinal === undefined ? {} : { beforeOrdinal }),
    limit: limit + 1,
  })
  const [found, unseenNotices] = await Promise.all([listing, countUnseen(service, caller)])
  const page = found.slice(0, limit)
  const last = page.at(-1)
  const json: SessionPage = {
    sessions: page.map((session) => viewSession(session, caller)),
    nextCursor: found.length > limit && last !== undefined ? last.id : null,
    unseenNotices,
  }
  return { status: 200, json }
}

async function countUnseen({ store }: Service, { person }: Caller): Promise<number> {
  return person === null ? 0 : store.notices.countUnseen(person)
}

export async function readSession({ caller, session }: Asked & { readonly session: Session }): Promise<Answer> {
  return { status: 200, json: viewSession(session, caller) }
}

export async function changeSession({
  service,
  caller,
  session,
  body,
}: Asked & { readonly session: Session; readonly body: SessionPatch }): Promise<Answer> {
  const { sessions } = service.store
  if ('title' in body) {
    if (session.owner.person !== caller.person) {
      const subject = { actor: actorOf(caller), session: subjectOf(session) }
      const event = { ...subject, action: 'session.renamed', detail: {} } as const
      await orNotRecorded('rename the session', record(service, event))
      await tellOwner(service, caller, session, 'session.renamed')
    }
    await sessions.rename(session.id, body.title, nowUs())
  } else {
    await sessions.setAgentStatus(session.id, { state: body.agentStatus.state, source: 'hook' }, nowUs())
  }
  const changed = (await sessions.find(session.id)) ?? session
  return { status: 200, json: viewSession(changed, caller) }
}

/** Null for what is not theirs: an environment can be handed on, and then it says nothing. */
async function findParent(service: Service, person: string, id: string | null): Promise<SessionId | null> {
  const parent = id === null ? null : await service.store.sessions.find(id as SessionId)
  return parent?.owner.person === person ? parent.id : null
}

/** That person's alone. Null where those are not the caller's to see, whether or not there is anybody of that name. */
function narrow(visible: SessionScope, person: string): SessionScope | null {
  return visible.kind === 'all' || visible.person === person ? { kind: 'person', person } : null
}

/** Nobody is shown an ordinal: it counts everybody's sessions.
 *  @throws ProblemError alike for an id that is unknown, and for one that the caller may not see */
async function findOrdinal(service: Service, visible: SessionScope, id: SessionId): Promise<number> {
  const session = await service.store.sessions.find(id)
  if (session !== null && (visible.kind === 'all' || visible.person === session.owner.person)) return session.ordinal
  throw new ProblemError('invalid', 'cannot use the query: /cursor is not one that this service gave out')
}
