// `GET /v1/config` and `POST /v1/config/reload`.

import type { Caller } from '@teleclaude/core/caller.ts'
import { actorOf, recordAll } from '../audit/record.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'

type Asked = { readonly service: Service; readonly caller: Caller }

export async function readConfig({ service }: Asked): Promise<Answer> {
  return { status: 200, json: service.config.view() }
}

export async function reloadConfig({ service, caller }: Asked): Promise<Answer> {
  const json = await service.config.reload(actorOf(caller), (events) => recordAll(service, events))
  return { status: 200, json }
}
