// The one place where a request is authorised: what it is about is found, the decision taken. Handlers start after it.

import type { AccessGrant } from '@teleclaude/core/access.ts'
import { sessionIdSchema } from '@teleclaude/core/api-values.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { type Action, type Decision, decide, openActions, type Resource } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import { actorOf, subjectOf } from '../audit/record.ts'
import type { Service } from '../service.ts'

/** What everybody is told of an id that is malformed, unknown, or of a session that they may not see. */
export const noSuchSession = 'cannot find the session: none of yours has this id'

type Asked = { readonly service: Service; readonly caller: Caller; readonly action: Action }

/** What comes of a request about a session; `session` is null where it is not there, or hidden from who asks. `grant`: what the
 *  decision rests on, where it does on one. */
export type SessionJudgement = {
  readonly decision: Decision
  readonly session: Session | null
  readonly grant: AccessGrant | null
}

const nothingFound = { session: null, grant: null }

/** Decides, and does nothing else: also for what somebody else may do. */
export async function judgeSession({ service, caller, action }: Asked, id: unknown): Promise<SessionJudgement> {
  // Asked before the look-up, so that who may see no session at all learns nothing of any.
  const first = decide(caller, action, { kind: 'service' })
  if (!first.allow) return { decision: first, ...nothingFound }
  const parsed = sessionIdSchema.safeParse(id)
  const session = parsed.success ? await service.store.sessions.find(parsed.data as SessionId) : null
  if (session === null) return { decision: { allow: false, hidden: true, reason: noSuchSession }, ...nothingFound }
  return { ...judgeFound({ service, caller, action }, session), session }
}

function judgeFound({ service, caller, action }: Asked, session: Session): Omit<SessionJudgement, 'session'> {
  const ownership = ownershipOf(session, caller)
  const without = decide(caller, action, { kind: 'session', ownership })
  if (without.allow) return { decision: without, grant: null }
  const grant = service.access.grantFor(caller, session, action)
  const access = grant === null ? null : grant.drive ? 'drive' : 'view'
  return { decision: decide(caller, action, { kind: 'session', ownership, access }), grant }
}

export function ownershipOf(session: Pick<Session, 'owner'>, caller: Pick<Caller, 'person'>): 'own' | 'other' {
  return session.owner.person === caller.person ? 'own' : 'other'
}

/** @throws ProblemError for a refusal, after it is noted */
async function enforce({ service, caller, action }: Asked, decision: Decision, session: Session | null): Promise<void> {
  if (decision.allow) {
    // What needs nobody in particular is answered while the database is away.
    if (!openActions.includes(action)) await service.accounts.bind(caller)
    return
  }
  // An id that nobody has is no denial.
  if (session !== null || !decision.hidden) {
    const subject = session === null ? null : subjectOf(session)
    service.denials.note({ actor: actorOf(caller), request: action, reason: decision.reason, session: subject })
  }
  // Word for word what an id that nobody has gets: what a caller may not see does not exist for them.
  if (decision.hidden) throw new ProblemError('not-found', noSuchSession)
  throw new ProblemError('not-permitted', `cannot do this: ${decision.reason}`)
}

export function authorise(service: Service, caller: Caller, action: Action, resource: Resource): Promise<void> {
  return enforce({ service, caller, action }, decide(caller, action, resource), null)
}

/** For what a request about a session turned out to be. */
export async function authoriseFor(
  service: Service,
  caller: Caller,
  action: Action,
  session: Session,
): Promise<AccessGrant | null> {
  const asked = { service, caller, action }
  const { decision, grant } = judgeFound(asked, session)
  await enforce(asked, decision, session)
  return grant
}

/** @throws ProblemError 'not-found' alike for an id that is malformed, unknown, or somebody else's. */
export async function authoriseSession(
  service: Service,
  caller: Caller,
  action: Action,
  id: unknown,
): Promise<{ readonly session: Session; readonly grant: AccessGrant | null }> {
  const asked = { service, caller, action }
  const { decision, session, grant } = await judgeSession(asked, id)
  await enforce(asked, decision, session)
  if (session === null) throw new ProblemError('not-found', noSuchSession)
  return { session, grant }
}
