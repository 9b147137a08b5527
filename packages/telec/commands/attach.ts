// `telec attach`: joins this terminal to a session that goes on, or shows how one has ended.

import type { Client } from '@teleclaude/client/client.ts'
import { detachKey } from '@teleclaude/config/defaults.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { exitCodes, Failure } from '../failure.ts'
import { loadPreferences, wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { describeExit, isOver } from '../session/end.ts'
import { findSession, fullId } from '../session/find.ts'
import { readLastLines } from '../session/last-lines.ts'
import { attachTerminal, describeDetached, type Joining } from '../terminal/attach.ts'
import { parseDetachKey } from '../terminal/detach-key.ts'

export type AttachOptions = ServiceOptions & { readonly take?: true; readonly view?: true }

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
  if (isOver(session)) return showEnd(client, session, options)
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new Failure(
      exitCodes.usage,
      `cannot attach to the session ${session.id}: that needs a terminal to type and to draw on\nFollow it as text: telec tail ${session.id}; type into it: telec send ${session.id} TEXT --enter`,
    )
  }
  const drive = options.take ? 'take' : options.view ? 'false' : 'true'
  const joining: Joining = { from: 'screen', drive }
  const left = await attachTerminal(client, session.id, parseDetachKey(preferences.detachKey ?? detachKey), joining)
  process.stderr.write(left === 'detached' ? describeDetached(session.id) : `${describeExit(left)}\n`)
  return 0
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
