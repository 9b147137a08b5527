// Removes transcripts that are older than the configuration keeps them: on the record first, then in small batches, so that nobody
// who uses the database meanwhile waits for it.

import { setTimeout as delay } from 'node:timers/promises'
import type { Lifetimes } from '@teleclaude/config/load.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { record, subjectOf, theApi } from '../audit/record.ts'
import type { UpkeepOptions } from './upkeep.ts'

const usPerDay = 86_400_000_000
/** Some 10 MiB at most. */
const chunksAtOnce = 200
const sessionsAtOnce = 50
const pauseMs = 50
/** What happened longer ago than this, nobody asks to hear again: they look at everything. */
const eventsDays = 7
const eventsAtOnce = 1_000

/** @returns how many transcripts are gone */
export async function removeOldTranscripts(
  { store, host, log }: Pick<UpkeepOptions, 'store' | 'host' | 'log'>,
  { transcriptsDays }: Pick<Lifetimes, 'transcriptsDays'>,
  stopping: AbortSignal,
): Promise<number> {
  const atUs = nowUs()
  while ((await store.events.remove(Math.max(0, atUs - eventsDays * usPerDay), eventsAtOnce)) === eventsAtOnce) {
    if (stopping.aborted) return 0
    await delay(pauseMs)
  }
  if (transcriptsDays === null) return 0
  const endedBeforeUs = Math.max(0, atUs - transcriptsDays * usPerDay)
  let removed = 0
  for (;;) {
    const sessions = await store.transcripts.listRemovable(host, { endedBeforeUs, limit: sessionsAtOnce })
    if (sessions.length === 0) break
    for (const session of sessions) {
      // Again where it was broken off before: twice on the record is better than never.
      const detail = { days: transcriptsDays, transcriptBytes: session.transcriptBytes }
      await record(
        { store, host },
        { action: 'transcript.removed', actor: theApi, session: subjectOf(session), detail },
      )
      // Of a lost session something may wait that nobody will take any more, or have been taken by nobody knows whom.
      await store.commands.close(session.id, 'the session is over', nowUs())
      while (!(await store.transcripts.remove(session.id, { maxChunks: chunksAtOnce, atUs: nowUs() }))) {
        if (stopping.aborted) return removed
        await delay(pauseMs)
      }
      removed += 1
      if (stopping.aborted) return removed
    }
  }
  if (removed > 0) log.info({ removed, days: transcriptsDays }, 'old transcripts removed')
  return removed
}
