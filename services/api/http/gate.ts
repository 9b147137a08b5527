// The one place where a request is authorised: the session is found, the decision taken. Handlers start after it.

import { sessionIdSchema } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { type Action, decide, type Resource } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import { actorOf, subjectOf } from '../audit/record.ts'
import type { Service } from '../service.ts'

function noSuchSession(): ProblemError {
  return new ProblemError('not-found', 'cannot find the session: none of yours has this id')
}

type Asked = { readonly service: Service; readonly caller: Caller; readonly action: Action }

function authorise({ service, caller, action }: Asked, resource: Resource, session: Session | null): void {
  const decision = decide(caller, action, resource)
  if (decision.allow) return
  service.denials.note({
    actor: actorOf(caller),
    request: action,
    reason: decision.reason,
    session: session === null ? null : subjectOf(session),
  })
  // Word for word what an id that nobody has gets: what a caller may not see does not exist for them.
  if (decision.hidden) throw noSuchSession()
  throw new ProblemError('not-permitted', `cannot do this: ${decision.reason}`)
}

export function authoriseService(service: Service, caller: Caller, action: Action): void {
  authorise({ service, caller, action }, { kind: 'service' }, null)
}

/** @throws ProblemError 'not-found' alike for an id that is malformed, unknown, or somebody else's. */
export async function authoriseSession(
  service: Service,
  caller: Caller,
  action: Action,
  id: unknown,
): Promise<Session> {
  // Asked before the look-up, so that who may see no session at all learns nothing of any.
  const asked = { service, caller, action }
  authorise(asked, { kind: 'service' }, null)
  const parsed = sessionIdSchema.safeParse(id)
  const session = parsed.success ? await service.store.sessions.find(parsed.data as SessionId) : null
  if (session === null) throw noSuchSession()
  const ownership = session.owner.person === caller.person ? 'own' : 'other'
  authorise(asked, { kind: 'session', ownership }, session)
  return session
}
