// How long a service that restarts is waited for by what goes on without it.

import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, ConnectionError } from '@teleclaude/client/client.ts'

/** A database that is restarted or upgraded takes its time. */
export const patienceMs = 60_000
export const retryMs = 200

/** The service is away, or the database that it needs. */
export function isAway(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof AnswerError && error.problem.code === 'unavailable')
}

/** A service that has come back has everybody come back to it at once; and who was stopped in the middle of asking is too slow. */
export function isBusy(error: unknown): boolean {
  return error instanceof AnswerError && ['too-many-requests', 'too-slow'].includes(error.problem.code)
}

/** Does it again for as long as the service is away.
 *  @throws what it throws for any other reason, or in the end */
export async function patiently<Result>(work: () => Promise<Result>): Promise<Result> {
  for (const startMs = performance.now(); ; await delay(retryMs)) {
    try {
      return await work()
    } catch (error) {
      if (!(isAway(error) || isBusy(error)) || performance.now() - startMs > patienceMs) throw error
    }
  }
}
