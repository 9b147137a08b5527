// `telec attach`: joins this terminal to a session that goes on, or shows how one has ended.

import type { Client } from '@teleclaude/client/client.ts'
import { detachKey } from '@teleclaude/config/defaults.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { exitCodes, Failure } from '../failure.ts'
import { loadPreferences, wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { type ReasonOptions, withAccess } from '../session/access.ts'
import { describeExit, isOver } from '../session/end.ts'
import { findSession, fullId } from '../session/find.ts'
import { readLastLines } from '../session/last-lines.ts'
import { attachTerminal, describeDetached, type Joining } from '../terminal/attach.ts'
import { type DetachKey, parseDetachKey } from '../terminal/detach-key.ts'

export type AttachOptions = ServiceOptions &
  ReasonOptions & { readonly take?: true; readonly drive?: true; readonly view?: true }

/** More sessions inside of each other than anybody starts. */
const maxNesting = 100
/** Of a screen, where nobody says how high it is. */
const usualRows = 24

export async function attach(id: string, options: AttachOptions): Promise<number> {
  const preferences = await loadPreferences(options)
  const { client, session } = await withService(options, async (client) => {
    const session = await findSession(client, id)
    await refuseInside(client, session)
    return { client, session }
  })
  if (isOver(session)) {
    const access = { ...options, drive: false, words: `attach ${session.id}` }
    return withAccess(client, session, access, () => showEnd(client, session, options))
  }
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new Failure(
      exitCodes.usage,
      `cannot attach to the session ${session.id}: that needs a terminal to type and to draw on\nFollow it as text: telec tail ${session.id}; type into it: telec send ${session.id} TEXT --enter`,
    )
  }
  const key = parseDetachKey(preferences.detachKey ?? detachKey)
  const left = session.own
    ? await withAccess(client, session, { ...options, drive: false, words: 'attach' }, () =>
        attachTerminal(client, session.id, key, { from: 'screen', drive: wheelOf(options, 'true') }),
      )
    : await attachToOthers(client, session, options, key)
  process.stderr.write(left === 'detached' ? describeDetached(session.id) : `${describeExit(left)}\n`)
  return 0
}

function wheelOf({ take, drive, view }: AttachOptions, usual: 'true' | 'false'): Joining['drive'] {
  if (take) return 'take'
  return drive ? 'true' : view ? 'false' : usual
}

/** To look, unless somebody asks to drive, or has opened it for that already. */
async function attachToOthers(
  client: Client,
  session: SessionView,
  options: AttachOptions,
  key: DetachKey,
): Promise<SessionView | 'detached'> {
  const asked = wheelOf(options, 'false')
  const isOpenToDrive = asked === 'false' && !options.view && !options.reason && (await mayDrive(client, session))
  const drive = isOpenToDrive ? 'true' : asked
  const how = options.take ? ' --take' : options.drive ? ' --drive' : ''
  const access = { ...options, drive: drive !== 'false', words: `attach ${session.id}${how}` }
  // The emulator is loaded by who needs it alone.
  const { DrawnTerminal } = await import('../terminal/drawn-terminal.ts')
  return withAccess(client, session, access, () => {
    const drawn = new DrawnTerminal(session.terminal)
    return attachTerminal(client, session.id, key, { from: 'screen', drive, drawn })
  })
}

/** Whether a grant of the caller's says so. */
async function mayDrive(client: Client, { id }: SessionView): Promise<boolean> {
  const { person } = await client.whoami()
  const { grants } = await client.listAccessGrants({ session: id, active: 'true', limit: 200 })
  return grants.some(({ grantee, drive }) => drive && grantee === person)
}

/** @throws Failure where the session shows this very terminal: it would show itself in itself, for ever */
async function refuseInside(client: Client, session: SessionView): Promise<void> {
  let inside: string | null = process.env.TELECLAUDE_SESSION_ID ?? null
  for (let depth = 0; inside !== null && fullId.test(inside) && depth < maxNesting; depth++) {
    if (inside === session.id) {
      throw new Failure(
        exitCodes.usage,
        `cannot attach to the session ${session.id}: this terminal is inside of it, and would be shown in itself for ever\nUse another terminal, or leave this session first.`,
      )
    }
    inside = await parentOf(client, inside)
  }
}

/** Null where there is none, and for a session of another service, of which the variable may be. */
async function parentOf(client: Client, id: string): Promise<string | null> {
  const { sessions } = await client.listSessions({ idPrefix: id, limit: 1 })
  return sessions[0]?.parent ?? null
}

/** The last that was on its screen, as text. */
async function showEnd(client: Client, session: SessionView, options: ServiceOptions): Promise<number> {
  if (session.transcriptRemovedAt === null) {
    const colour = await wantsColourOn(process.stdout, options)
    const limit = process.stdout.isTTY ? process.stdout.rows || usualRows : usualRows
    process.stdout.write(await readLastLines(client, session.id, { limit, colour }))
  }
  process.stderr.write(`${describeExit(session)}\n`)
  return 0
}
