// `GET /v1/people/:person/permission`: what the service would answer somebody, by the very code that answers them.

import type { Permission, permissionQuerySchema } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { type Decision, decide, sessionActions } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { z } from 'zod'
import { judgeSession, noSuchSession } from '../http/gate.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'

type Asked = {
  readonly service: Service
  readonly caller: Caller
  readonly name: string
  readonly query: z.output<typeof permissionQuerySchema>
}

export async function readPermission({ service, caller, name, query }: Asked): Promise<Answer> {
  const who = name === (caller.person ?? caller.osUser) ? caller : service.identity.imagine(name)
  if (who === null) {
    const why = 'there is neither a person nor an account of that name on this machine'
    throw new ProblemError('not-found', `cannot say what ${name} may do: ${why}`)
  }
  const { action, session = null } = query
  refuseStray(action, session)
  const decision = await judge(service, who, action, session)
  const json: Permission = {
    person: who.person,
    role: who.role,
    because: who.because,
    place: who.rule === null ? null : service.config.placeOf(who.rule),
    action,
    session,
    allow: decision.allow,
    reason: decision.allow ? null : reasonFor(caller, decision),
    code: decision.allow ? null : decision.hidden ? 'not-found' : 'not-permitted',
  }
  return { status: 200, json }
}

/** What everybody may do, whatever it is about, would tell by its answer whether there is a session of that id. */
function refuseStray(action: Permission['action'], session: string | null): void {
  if (session === null || sessionActions.some((one) => one === action)) return
  throw new ProblemError(
    'invalid',
    `cannot use the query: /session does not belong there, ${action} is about no session`,
  )
}

/** Who may not see a session does not learn that it is there by asking what they may do with it. */
function reasonFor(asking: Caller, { hidden, reason }: Decision & { readonly allow: false }): string {
  return hidden && asking.role !== 'admin' ? noSuchSession : reason
}

async function judge(
  service: Service,
  caller: Caller,
  action: Permission['action'],
  id: string | null,
): Promise<Decision> {
  if (id !== null) return (await judgeSession({ service, caller, action }, id)).decision
  // About themselves, where it is about somebody.
  if (action === 'policy.explain') return decide(caller, action, { kind: 'person', ownership: 'own' })
  return decide(caller, action, { kind: 'service' })
}
