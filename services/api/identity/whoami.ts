import type { Whoami } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'

export async function readWhoami({
  service,
  caller,
}: {
  readonly service: Service
  readonly caller: Caller
}): Promise<Answer> {
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
  }
  return { status: 200, json }
}
