// Commands to a session: durable first, then delivered.

import type { CommandList, newCommandSchema } from '@teleclaude/core/api.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { z } from 'zod'
import { tellOwner } from '../access/notices.ts'
import { orNotRecorded, recordFirst } from '../access/recorded.ts'
import { actorOf, record, subjectOf } from '../audit/record.ts'
import { ownershipOf } from '../http/gate.ts'
import type { Answer, AskedOfSession } from '../http/route.ts'
import { viewCommand } from './views.ts'

const shownCommands = 100
const usPerMinute = 60_000_000

type AskedFor = AskedOfSession & { readonly body: z.output<typeof newCommandSchema> }

export async function enqueueCommand(asked: AskedFor): Promise<Answer> {
  const { service, caller, session, body } = asked
  if (session.status === 'ended') {
    const what = body.kind === 'send' ? 'send anything to' : body.kind
    throw new ProblemError('conflict', `cannot ${what} the session: it has ended`)
  }
  if (ownershipOf(session, caller) === 'other') await answerFor(asked)
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

/** What somebody does with another's session is on the record, and that one is told, before it is done. */
async function answerFor({ service, caller, session, body, grant }: AskedFor): Promise<void> {
  const about = { actor: actorOf(caller), session: subjectOf(session) }
  if (body.kind === 'stop') {
    const event = { ...about, action: 'session.stopped', detail: { force: body.force } } as const
    await orNotRecorded('stop the session', record(service, event))
    await tellOwner(service, caller, session, 'session.stopped')
    return
  }
  const what = `${body.kind === 'send' ? 'send anything to' : body.kind} the session`
  if (grant === null) throw new ProblemError('not-permitted', `cannot ${what}: it is somebody else's`)
  service.assurance.requireCalm()
  await recordFirst(service, what, {
    ...about,
    action: 'session.commanded',
    detail: { kind: body.kind, grant: grant.id },
  })
  await tellOwner(service, caller, session, 'session.commanded')
  service.access.requireStill(grant, caller, what)
}

export async function listCommands({ service, session }: AskedOfSession): Promise<Answer> {
  const commands = await service.store.commands.list(session.id, shownCommands)
  const json: CommandList = { commands: commands.map(viewCommand) }
  return { status: 200, json }
}
