// Opening somebody else's session: with a reason, for a time, on the record.

import { AnswerError, type Client } from '@teleclaude/client/client.ts'
import { maxAccessMinutes } from '@teleclaude/core/access.ts'
import type { AccessGrantView } from '@teleclaude/core/access-api.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'
import { clock } from '../output/time.ts'
import { shortIdLength } from './find.ts'

/** Of commands that show or touch content: to open the session with that reason first, and for how long. */
export type ReasonOptions = { readonly reason?: string; readonly minutes?: number }

/** @throws Failure where the reason or the time is none that is taken */
export async function openAccess(
  client: Client,
  { id }: SessionView,
  {
    reason,
    minutes,
    drive,
  }: { readonly reason: string; readonly minutes?: number | undefined; readonly drive: boolean },
): Promise<AccessGrantView> {
  try {
    return await client.openAccess({ session: id, reason, drive, ...(minutes === undefined ? {} : { minutes }) })
  } catch (error) {
    const fault = error instanceof AnswerError ? error.problem.errors?.[0] : undefined
    const why =
      fault?.path === '/reason'
        ? `its reason does not fit: it ${neutralise(fault.message)}`
        : fault?.path === '/minutes'
          ? `it can be opened for 1 to ${maxAccessMinutes} minutes`
          : null
    if (why === null) throw error
    throw new Failure(exitCodes.usage, `cannot open the session ${id}: ${why}`)
  }
}

/** In one line, safe to print: what was opened, and what follows from it. */
export function describeOpened({ id, session, owner, drive, expiresAt }: AccessGrantView): string {
  const what = `${session.slice(0, shortIdLength)} of ${neutralise(owner)}`
  const may = drive ? 'to look and type' : 'to look'
  const end = `telec access end ${id.slice(0, shortIdLength)}`
  return `Opened ${what} ${may}, until ${clock(expiresAt)}. It is on the record, and ${neutralise(owner)} is told. Sooner: ${end}`
}

/** Does something with a session's content. Somebody else's is opened first where there is a reason for it; where there is none, and
 *  it is not open, the refusal says what to type. */
export async function withAccess<T>(
  client: Client,
  session: SessionView,
  options: ReasonOptions & {
    readonly drive: boolean
    /** The words of the same command, with which it would open the session. */
    readonly words: string
  },
  use: () => Promise<T>,
): Promise<T> {
  const { reason, minutes, drive, words } = options
  if (minutes !== undefined && reason === undefined) {
    throw new Failure(exitCodes.usage, 'cannot open a session for some minutes: nothing says why; add --reason TEXT')
  }
  if (reason !== undefined && session.own) process.stderr.write('The session is yours: it needs no reason.\n')
  else if (reason !== undefined) {
    const grant = await openAccess(client, session, { reason, minutes, drive })
    process.stderr.write(`${describeOpened(grant)}\n`)
  }
  try {
    return await use()
  } catch (error) {
    if (session.own || !(error instanceof AnswerError) || error.problem.code !== 'not-permitted') throw error
    const open = `telec access open ${session.id}${drive ? ' --drive' : ''} --reason TEXT`
    const next = `With a reason, on the record: telec ${words} --reason TEXT, or ${open} for longer than this once.`
    throw new Failure(exitCodes.notPermitted, `${neutralise(error.message)}\n${next}`, { cause: error })
  }
}
