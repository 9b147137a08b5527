import type { Caller } from '@teleclaude/core/caller.ts'
import type { attachQuerySchema, runnerQuerySchema } from '@teleclaude/core/link.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import type { Service } from '../service.ts'
import { viewSession } from './views.ts'

type Connected = {
  readonly service: Service
  readonly caller: Caller
  readonly session: Session
  readonly socket: WebSocket
}

export async function connectRunner({
  service,
  session,
  socket,
  query,
}: Connected & { readonly query: z.output<typeof runnerQuerySchema> }): Promise<void> {
  await service.hub.connectRunner(session, socket, { recovery: query.recovery === 'true' })
}

export async function attachViewer({
  service,
  caller,
  session,
  socket,
  query,
}: Connected & { readonly query: z.output<typeof attachQuerySchema> }): Promise<void> {
  await service.hub.attachViewer(session, socket, {
    who: { person: caller.person ?? session.owner.person, uid: caller.credentials.uid },
    drive: query.drive,
    show: query.show,
    afterSeq: query.afterSeq,
    view: (current) => viewSession(current, caller),
  })
}
