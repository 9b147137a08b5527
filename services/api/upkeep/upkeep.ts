// What has to be looked after while a service runs: commands that nobody took, sessions that are too old, transcripts that are.

import type { Lifetimes } from '@teleclaude/config/load.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { schedule } from 'node-cron'
import type { Logger } from 'pino'
import type { AuditedHost } from '../audit/record.ts'
import type { Service } from '../service.ts'
import { endOverdueSessions } from './overdue.ts'
import { removeOldTranscripts } from './retention.ts'

export type UpkeepOptions = AuditedHost &
  Pick<Service, 'store' | 'hub'> & {
    readonly log: Logger
    /** As they are now. */
    readonly lifetimes: () => Lifetimes
  }

export type Upkeep = { stop(): Promise<void> }

/** Removing an hour's worth of transcripts takes seconds; a first run, with years of them, goes on in the next hours. */
export function startUpkeep(options: UpkeepOptions): Upkeep {
  const { store, log, lifetimes } = options
  const stopping = new AbortController()
  const job = (when: string, what: string, work: () => Promise<unknown>) =>
    schedule(
      when,
      async () => {
        try {
          await work()
        } catch (error) {
          // Whatever it is, it is tried again at the next time.
          if (!stopping.signal.aborted) log.warn({ err: error }, `could not ${what}`)
        }
      },
      { noOverlap: true },
    )
  const jobs = [
    job('* * * * *', 'expire commands', () => store.commands.expire(nowUs())),
    job('* * * * *', 'end sessions that are overdue', () => endOverdueSessions(options, lifetimes())),
    job('17 * * * *', 'remove old transcripts', () => removeOldTranscripts(options, lifetimes(), stopping.signal)),
  ]
  return {
    async stop() {
      stopping.abort()
      await Promise.all(jobs.map((each) => each.destroy()))
    },
  }
}
