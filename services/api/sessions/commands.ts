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

/** How long a command waits for a session whose runner is away. */
const commandLifeUs = 10 * 60 * 1_000_000
const shownCommands = 100

type Asked = { readonly service: Service; readonly caller: Caller; readonly session: Session }

export async function enqueueCommand({
  service,
  caller,
  session,
  body,
}: Asked & { readonly body: z.output<typeof newCommandSchema> }): Promise<Answer> {
  if (session.status === 'ended') {
    throw new ProblemError('conflict', `cannot ${body.kind} the session: it has ended`)
  }
  if (session.owner.person !== caller.person) {
    const detail = { force: body.force }
    await record(service, { action: 'session.stopped', actor: actorOf(caller), session: subjectOf(session), detail })
  }
  const createdAtUs = nowUs()
  const command = await service.store.commands.enqueue({
    sessionId: session.id,
    kind: body.kind,
    force: body.force,
    requestedBy: caller.person ?? `uid ${caller.credentials.uid}`,
    createdAtUs,
    expiresAtUs: createdAtUs + commandLifeUs,
  })
  service.hub.deliverCommands(session.id)
  return { status: 202, json: viewCommand(command) }
}

export async function listCommands({ service, session }: Asked): Promise<Answer> {
  const commands = await service.store.commands.list(session.id, shownCommands)
  const json: CommandList = { commands: commands.map(viewCommand) }
  return { status: 200, json }
}
