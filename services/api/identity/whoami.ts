// `GET /v1/whoami`: who the service takes the caller for, and why.

import type { ExplanationStep, Whoami, whoamiQuerySchema } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import type { Role } from '@teleclaude/core/role.ts'
import type { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'

type Asked = {
  readonly service: Service
  readonly caller: Caller
  readonly query: z.output<typeof whoamiQuerySchema>
}

export async function readWhoami({ service, caller, query }: Asked): Promise<Answer> {
  const { uid, gid, groups, pid } = caller.credentials
  const json: Whoami = {
    uid,
    gid,
    groups: [...groups],
    pid,
    osUser: caller.osUser,
    person: caller.person,
    role: caller.role,
    host: service.host,
    mode: service.mode,
    because: caller.because,
    refusal: caller.person === null ? caller.refusal : null,
    explanation: query.explain === '1' ? explain(service, caller) : null,
  }
  return { status: 200, json }
}

const roleSays: Readonly<Record<Role, string>> = {
  public: 'may ask whether the service is there, and who they are; nothing else',
  newcomer: 'starts sessions, and sees and uses their own; nobody else sees what is in them',
  contributor: 'starts sessions, and sees and uses their own; nobody else sees what is in them',
  member: 'starts sessions, and sees and uses their own; nobody else sees what is in them',
  admin:
    'as a member, and sees of all sessions that they are there, whose, and how long; stops them; sees the configuration',
}

function explain(service: Service, caller: Caller): ExplanationStep[] {
  const { uid, gid, groups, pid } = caller.credentials
  const process = pid === 0 ? '' : ` (process ${pid})`
  const connected = `whoever opened this connection had uid ${uid}, gid ${gid}, groups ${groups.join(' ') || 'none'}${process}`
  const { rule, because, person, role } = caller
  return [
    { step: 'kernel', says: connected, place: null },
    ...service.identity.explainAccount(caller),
    { step: 'rule', says: because, place: rule === null ? null : service.config.placeOf(rule) },
    { step: 'role', says: `${person ?? 'nobody'} is ${role}: ${roleSays[role]}`, place: null },
  ]
}
