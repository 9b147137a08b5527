// What keeps even this service from doing harm, tried and not believed.

import type { Safeguards } from '@teleclaude/core/api.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'

export async function readSafeguards({ service }: { readonly service: Service }): Promise<Answer> {
  const done = await service.store.audit.tryTampering(service.host)
  const isAppendOnly = done.length === 0
  if (!isAppendOnly) service.log.error({ done }, 'the audit log can be changed by this service')
  const what = isAppendOnly
    ? "the api's database role can't change or delete entries (tried)"
    : `DANGER: the api's database role can ${done.join(' and ')} entries (tried, and taken back)`
  const json: Safeguards = { checks: [{ check: 'audit-append-only', ok: isAppendOnly, what }] }
  return { status: 200, json }
}
