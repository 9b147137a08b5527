// How a session ended, for people and for shells.

import { constants } from 'node:os'
import type { SessionView } from '@teleclaude/core/api.ts'
import { exitCodes, Failure } from '../failure.ts'

/** Nothing more comes of it; but a lost one whose runner comes back goes on. */
export function isOver({ status }: SessionView): boolean {
  return status === 'ended' || status === 'lost'
}

export function describeStatus({ status, exit }: SessionView): string {
  if (exit === null) return status
  return exit.kind === 'exited' ? `ended (${exit.code})` : `ended (${exit.signal})`
}

/** A sentence for whoever wants to see it. */
export function describeExit({ exit, status, transcriptRemovedAt }: SessionView): string {
  const how = exit === null ? '' : ` (${exit.kind === 'exited' ? exit.code : exit.signal})`
  const what = status === 'lost' ? 'The session is lost: its runner is gone.' : `The session has ended${how}.`
  return transcriptRemovedAt === null ? what : `${what} Its transcript was old, and removed on ${transcriptRemovedAt}.`
}

/** POSIX shell, 2.8.2: 128 plus the signal's number for what a signal ended.
 *  @throws Failure where nobody knows how it ended */
export function exitCodeOf({ id, exit }: SessionView): number {
  if (exit?.kind === 'exited') return exit.code
  if (exit?.kind === 'signalled') {
    const { signal } = exit
    return 128 + (Object.entries(constants.signals).find(([name]) => name === signal)?.[1] ?? 0)
  }
  throw new Failure(
    exitCodes.unavailable,
    `the session is lost: its runner is gone; \`telec transcript ${id}\` has what was recorded`,
  )
}
