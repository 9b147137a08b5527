// `telec stop`: ends a session, and says how it ended.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import type { ToViewer } from '@teleclaude/core/link.ts'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { exitCodes, Failure } from '../failure.ts'
import { printJson } from '../output/json.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { describeStatus, isOver } from '../session/end.ts'
import { findSession } from '../session/find.ts'

const stopPatienceMs = 15_000
const pollMs = 100

export async function stop(
  id: string,
  options: ServiceOptions & { readonly json?: true; readonly force?: true },
): Promise<number> {
  const session = await withService(options, async (client) => {
    const found = await findSession(client, id)
    const ask = () => client.enqueueCommand(found.id, { kind: 'stop', force: options.force ?? false })
    // Who may end it and not look at it has to ask how it is.
    if (!found.own) {
      await ask()
      return pollEnd(client, found.id)
    }
    // Joined before asking, so that the end can't be missed.
    const watch = await watchEnd(client, found.id)
    await ask()
    return (await watch.ended) ?? (await client.readSession(found.id))
  })
  if (session.status !== 'ended') {
    const next =
      session.status === 'lost' ? 'its runner is gone' : 'it is being stopped; `telec show` says when it is done'
    throw new Failure(exitCodes.unavailable, `cannot say that the session ${session.id} has ended: ${next}`)
  }
  if (options.json) printJson({ session })
  else process.stdout.write(`Stopped ${session.id}: ${describeStatus(session)}.\n`)
  return 0
}

/** Resolves once joined; `ended` then does at the session's end, to null where that takes too long to wait for. */
async function watchEnd(client: Client, id: string): Promise<{ readonly ended: Promise<SessionView | null> }> {
  const socket = await client.openStream(`/v1/sessions/${id}/attach`, viewerProtocol, { afterSeq: 'end' })
  let last: SessionView | null = null
  socket.on('message', (data, isBinary) => {
    if (isBinary) return
    const message = JSON.parse((data as Buffer).toString('utf8')) as ToViewer
    if (message.type === 'end') last = message.session
  })
  socket.resume()
  const timer = setTimeout(() => socket.close(), stopPatienceMs)
  const ended = once(socket, 'close').then(() => {
    clearTimeout(timer)
    return last
  })
  return { ended }
}

/** The session at its end, or as it is when that takes too long to wait for. */
async function pollEnd(client: Client, id: string): Promise<SessionView> {
  const startMs = performance.now()
  for (;;) {
    const session = await client.readSession(id)
    if (isOver(session)) return session
    if (performance.now() - startMs > stopPatienceMs) return session
    await delay(pollMs)
  }
}
