// Ends sessions that have gone on, or been silent, for longer than the configuration allows: as their owner would, by a command.

import type { Lifetimes } from '@teleclaude/config/load.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { Session } from '@teleclaude/core/session.ts'
import { record, subjectOf, theApi } from '../audit/record.ts'
import type { UpkeepOptions } from './upkeep.ts'

const usPerHour = 3_600_000_000
const atOnce = 100
/** A command that nobody has taken by then is worth no other: the session's runner is away. */
const expiryUs = 10 * 60_000_000

export async function endOverdueSessions(
  { store, host, hub, log }: Pick<UpkeepOptions, 'store' | 'host' | 'hub' | 'log'>,
  { maxIdleHours, maxAgeHours }: Pick<Lifetimes, 'maxIdleHours' | 'maxAgeHours'>,
): Promise<void> {
  if (maxIdleHours === null && maxAgeHours === null) return
  const atUs = nowUs()
  const before = (hours: number | null) => (hours === null ? null : Math.max(0, atUs - hours * usPerHour))
  const createdBeforeUs = before(maxAgeHours)
  const silentSinceUs = before(maxIdleHours)
  for (const session of await store.sessions.listOverdue(host, { createdBeforeUs, silentSinceUs, limit: atOnce })) {
    const isOld = createdBeforeUs !== null && session.createdAtUs < createdBeforeUs
    const reason = isOld
      ? `started over ${maxAgeHours} hours ago (sessions.max_age_hours)`
      : `silent for over ${maxIdleHours} hours (sessions.max_idle_hours)`
    if (await isBeingStopped(store, session)) continue
    await record(
      { store, host },
      { action: 'session.stopped', actor: theApi, session: subjectOf(session), detail: { force: false, reason } },
    )
    await store.commands.enqueue({
      sessionId: session.id,
      request: { kind: 'stop', force: false },
      requestedBy: `TeleClaude: ${reason}`,
      createdAtUs: atUs,
      expiresAtUs: atUs + expiryUs,
    })
    hub.deliverCommands(session.id)
    log.info({ session: session.id, reason }, 'session is being ended')
  }
}

/** Once is enough, for as long as that command can still be taken. */
async function isBeingStopped(store: UpkeepOptions['store'], { id }: Session): Promise<boolean> {
  const [newest] = await store.commands.list(id, 1)
  return newest?.kind === 'stop' && (newest.state === 'queued' || newest.state === 'delivered')
}
