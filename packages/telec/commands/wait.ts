// `telec wait`: until a session has ended, and then as its program did.

import type { Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { exitCodes, Failure } from '../failure.ts'
import { patiently } from '../patience.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { exitCodeOf, isOver } from '../session/end.ts'
import { findSession } from '../session/find.ts'
import { followNews } from '../session/news.ts'

export async function wait(id: string, options: ServiceOptions & { readonly timeout?: number }): Promise<number> {
  const { client, session } = await withService(options, async (client) => ({
    client,
    session: await findSession(client, id),
  }))
  const over = isOver(session) ? session : await waitForEnd(client, session.id, options.timeout)
  if (over === null) {
    throw new Failure(exitCodes.timedOut, `cannot wait any longer: the session ${session.id} goes on`)
  }
  return exitCodeOf(over)
}

/** Null where it goes on for longer than that. */
async function waitForEnd(client: Client, id: string, seconds: number | undefined): Promise<SessionView | null> {
  const signal = seconds === undefined ? undefined : AbortSignal.timeout(seconds * 1_000)
  for await (const event of followNews(client, signal)) {
    // Looked at only now, when nothing that comes later can be missed.
    const session = event.kind === 'reset' ? await patiently(() => client.readSession(id)) : event.data.session
    if (session.id === id && isOver(session)) return session
  }
  return null
}
