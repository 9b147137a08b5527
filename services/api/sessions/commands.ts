// Commands to a session: durable first, then delivered.

import type { CommandList, newCommandSchema } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { z } from 'zod'
import { actorOf, record, subjectOf } from '../audit/record.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { viewCommand } from './views.ts'

const shownCommands = 100
const usPerMinute = 60_000_000

type Asked = { readonly service: Service; readonly caller: Caller; readonly session: Session }

export async function enqueueCommand({
  service,
  caller,
  session,
  body,
}: Asked & { readonly body: z.output<typeof newCommandSchema> }): Promise<Answer> {
  if (session.status === 'ended') {
    const what = body.kind === 'send' ? 'send anything to' : body.kind
    throw new ProblemError('conflict', `cannot ${what} the session: it has ended`)
  }
  if (session.owner.person !== caller.person && body.kind === 'stop') {
    const detail = { force: body.force }
    await record(service, { action: 'session.stopped', actor: actorOf(caller), session: subjectOf(session), detail })
  }
  const createdAtUs = nowUs()
  const command = await service.store.commands.enqueue({
    sessionId: session.id,
    request: body,
    requestedBy: caller.person ?? `uid ${caller.credentials.uid}`,
    createdAtUs,
    expiresAtUs: createdAtUs + service.config.current.lifetimes.commandExpiryMinutes * usPerMinute,
  })
  service.hub.deliverCommands(session.id)
  return { status: 202, json: viewCommand(command) }
}

export async function listCommands({ service, session }: Asked): Promise<Answer> {
  const commands = await service.store.commands.list(session.id, shownCommands)
  const json: CommandList = { commands: commands.map(viewCommand) }
  return { status: 200, json }
}
