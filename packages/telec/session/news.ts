// What happens to sessions, over as many connections as it takes: a service that restarts is waited for.

import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '@teleclaude/client/client.ts'
import { type FollowedEvent, followEvents } from '@teleclaude/client/events.ts'
import { isAway, isBusy, patienceMs, retryMs } from '../patience.ts'

/** Ends when `signal` aborts.
 *  @throws ConnectionError or AnswerError when the service stays away, or does not let the caller in */
export async function* followNews(client: Client, signal?: AbortSignal): AsyncGenerator<FollowedEvent> {
  let lastEventId: string | undefined
  let awaySinceMs: number | null = null
  for (;;) {
    try {
      for await (const event of followEvents(client, { lastEventId, ...(signal === undefined ? {} : { signal }) })) {
        awaySinceMs = null
        if (event.kind !== 'reset') lastEventId = event.id
        yield event
      }
      return
    } catch (error) {
      awaySinceMs ??= performance.now()
      if (!(isAway(error) || isBusy(error)) || performance.now() - awaySinceMs > patienceMs) throw error
    }
    try {
      await delay(retryMs, undefined, signal === undefined ? {} : { signal })
    } catch {
      return
    }
  }
}
