// Who drives a session, in words for the person at one of the terminals that it is shown on.

import type { SessionView } from '@teleclaude/core/api.ts'
import type { ToViewer } from '@teleclaude/core/link.ts'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { shortIdLength } from '../session/find.ts'
import type { DetachKey } from './detach-key.ts'

/** `driver`: null where nobody does. */
export type Wheel = Pick<ToViewer & { type: 'wheel' }, 'driving' | 'driver'>

/** To who joins and does not drive: all of it, and what fits into a row of most terminals. */
export function describeSeat(
  { driver }: Wheel,
  session: SessionView,
  { written }: DetachKey,
): { readonly whole: string; readonly short: string } {
  const id = session.id.slice(0, shortIdLength)
  const leave = `leave: ${written}`
  if (!session.own) {
    const says = driver === null ? 'Nobody drives' : `${neutralise(driver.person)} drives`
    return { whole: `${says} this session; you are looking. ${leave}`, short: `${says}; you are looking. ${leave}` }
  }
  if (driver === null) {
    const next = `Drive it: telec attach ${id}; ${leave}`
    return { whole: `You are looking at this session; nobody drives it. ${next}`, short: `Nobody drives. ${next}` }
  }
  const who = neutralise(driver.person)
  const next = `Take over: telec attach --take ${id}; ${leave}`
  return {
    whole: `${who} drives this session from another terminal; you are looking. ${next}`,
    short: `${who} drives. ${next}`,
  }
}

/** To who looks at a session that is wider or higher than their terminal; null where it is not. */
export function describeCut(terminal: TerminalSize, session: TerminalSize): string | null {
  if (terminal.cols >= session.cols && terminal.rows >= session.rows) return null
  return `This terminal is smaller than the session's ${session.cols}x${session.rows}: parts of it are not shown.`
}

/** To who is there when the wheel changes hands; null where nothing changes that they see. */
export function describeChange(before: Wheel, now: Wheel, { id: sessionId, own }: SessionView): string | null {
  const id = sessionId.slice(0, shortIdLength)
  if (now.driving) return before.driving ? null : 'You drive this session now.'
  if (now.driver === null) {
    if (before.driver === null) return null
    return own ? `Nobody drives now. Drive it: telec attach ${id}` : 'Nobody drives now.'
  }
  const who = neutralise(now.driver.person)
  if (before.driving) return `${who} took the wheel. Take it back: telec attach --take ${id}`
  return before.driver?.uid === now.driver.uid ? null : `${who} drives this session now.`
}
