// What admins do about the log itself: say that they have looked at an alarm, and change its key.

import { randomUUID } from 'node:crypto'
import type { acknowledgementSchema, KeyChangeView } from '@teleclaude/core/audit-api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { actorOf, record } from './record.ts'
import { viewAlarm } from './state.ts'

type Asked = { readonly service: Service; readonly caller: Caller }

const alarmId = z.uuid().toLowerCase()

export async function acknowledgeAlarm({
  service,
  caller,
  params,
  body,
}: Asked & {
  readonly params: Readonly<Record<string, string>>
  readonly body: z.output<typeof acknowledgementSchema>
}): Promise<Answer> {
  const { store, host, auditor } = service
  const id = alarmId.safeParse(params.alarm).data ?? randomUUID()
  const alarms = await store.auditor.listAlarms(host, { unacknowledged: false })
  const alarm = alarms.find((one) => one.id === id)
  if (alarm === undefined)
    throw new ProblemError('not-found', 'cannot acknowledge the alarm: there is none with this id')
  if (alarm.acknowledged !== null) throw alreadyAcknowledged(alarm.acknowledged.by)
  await record(service, {
    action: 'alarm.acknowledged',
    actor: actorOf(caller),
    session: null,
    detail: { alarm: id },
    texts: { note: body.note },
  })
  const by = caller.person ?? 'nobody'
  const atUs = nowUs()
  const isFirst = await store.auditor.acknowledgeAlarm(host, id, by, atUs)
  await auditor.look()
  if (!isFirst) throw alreadyAcknowledged('somebody else')
  return { status: 200, json: viewAlarm({ ...alarm, acknowledged: { by, atUs } }) }
}

function alreadyAcknowledged(by: string): ProblemError {
  return new ProblemError('conflict', `cannot acknowledge the alarm: ${by} did so before`)
}

export async function rotateKey({ service, caller }: Asked): Promise<Answer> {
  const { epoch, vkey, fromSeq } = await service.signer.rotate(actorOf(caller))
  const json: KeyChangeView = { epoch, vkey, fromSeq }
  return { status: 200, json }
}
