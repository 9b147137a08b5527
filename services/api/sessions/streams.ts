import type { attachQuerySchema, runnerQuerySchema } from '@teleclaude/core/link.ts'
import type { z } from 'zod'
import { openContent } from '../access/content-gate.ts'
import type { Admitted, AskedOfSession } from '../http/route.ts'
import { viewSession } from './views.ts'

export async function connectRunner({
  service,
  session,
  query,
}: AskedOfSession & { readonly query: z.output<typeof runnerQuerySchema> }): Promise<Admitted> {
  return {
    handle: (socket) => service.hub.connectRunner(session, socket, { recovery: query.recovery === 'true' }),
    over: () => undefined,
  }
}

export async function attachViewer({
  query,
  ...asked
}: AskedOfSession & { readonly query: z.output<typeof attachQuerySchema> }): Promise<Admitted> {
  const { service, caller, session } = asked
  const content = await openContent(asked, query.drive === 'false' ? 'attach' : 'drive')
  return {
    handle: (socket) =>
      service.hub.attachViewer(session, socket, {
        who: { person: caller.person ?? session.owner.person, uid: caller.credentials.uid },
        content,
        drive: query.drive,
        show: query.show,
        afterSeq: query.afterSeq,
        view: (current) => viewSession(current, caller),
      }),
    over: content.over,
  }
}
