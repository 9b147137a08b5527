// `GET /v1/events`: what happens to sessions, to those who may see them, as server-sent events (WHATWG HTML, 9.2). Who comes back
// with the id of the last event that they saw misses nothing; who can't is told to look at everything anew.

import type { SessionEventView, sessionEventsQuerySchema } from '@teleclaude/core/api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import { visibleOwner } from '@teleclaude/core/policy.ts'
import type { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { viewSession } from '../sessions/views.ts'

const pageLimit = 100
/** A comment this often says that both ends are there. */
const keepAliveMs = 15_000
/** What is said where earlier events are not known: it has no id, so that who breaks off here is told again. */
const reset = 'event: reset\ndata: {}\n\n'

type Asked = {
  readonly service: Service
  readonly caller: Caller
  readonly query: z.output<typeof sessionEventsQuerySchema>
}

export async function readEvents(asked: Asked): Promise<Answer> {
  return { status: 200, contentType: 'text/event-stream', stream: writeEvents(asked) }
}

async function* writeEvents({ service, caller, query }: Asked): AsyncGenerator<string> {
  const { store, news } = service
  // Asked for before anything is read, so that nothing that comes in between is missed.
  let ordinal = await store.events.newest()
  const known =
    query.lastEventId === undefined ? null : await store.events.find(visibleOwner(caller), query.lastEventId)
  if (known === null) yield reset
  else ordinal = known
  let saidMs = performance.now()
  for (;;) {
    const more = news.next()
    // Their role may have changed since, and with it what they may see. Who may nothing any more is closed (open-streams.ts).
    const current = service.identity.resolve(caller.credentials)
    const page = await news.inTurn(caller.credentials.uid, () =>
      store.events.read({ scope: visibleOwner(current), afterOrdinal: ordinal, limit: pageLimit }),
    )
    for (const { event, session } of page) {
      ordinal = event.ordinal
      const view: SessionEventView = { at: formatInstant(event.atUs), session: viewSession(session, current) }
      yield `id: ${event.id}\nevent: session.${event.kind}\ndata: ${JSON.stringify(view)}\n\n`
    }
    if (page.length > 0) saidMs = performance.now()
    else if (performance.now() - saidMs >= keepAliveMs) {
      saidMs = performance.now()
      yield ': still here\n\n'
    }
    if (page.length < pageLimit) await more
  }
}
