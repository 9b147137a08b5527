// `telec can`: what the service would answer a person, and why, without doing it.

import type { Permission } from '@teleclaude/core/api.ts'
import type { Action } from '@teleclaude/core/policy.ts'
import { paint } from '@teleclaude/core/style.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes } from '../failure.ts'
import { printJson } from '../output/json.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { findSession, fullId } from '../session/find.ts'

type Asked = { readonly person: string; readonly action: Action; readonly session: string | undefined }

/** Returns 0 where they may, 77 where they may not. */
export async function can(asked: Asked, options: ServiceOptions & { readonly json?: true }): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const permission = await withService(options, async (client) => {
    const { person, action, session } = asked
    // A whole id is asked about as it is: whether there is such a session is part of the answer.
    const isWhole = session === undefined || fullId.test(session)
    const id = isWhole ? session : (await findSession(client, session)).id
    return client.readPermission(person, { action, ...(id === undefined ? {} : { session: id }) })
  })
  if (options.json) printJson(permission)
  else process.stdout.write(describe(asked.person, permission, colour))
  return permission.allow ? 0 : exitCodes.notPermitted
}

function describe(name: string, permission: Permission, colour: boolean): string {
  const { allow, action, session, reason, person, role, because, place } = permission
  const verdict = allow ? paint('yes', 'green', colour) : paint('no', 'red', colour)
  const about = session === null ? '' : ` on session ${session}`
  const who = person === name ? role : `${person ?? 'nobody that this service knows'}, ${role}`
  const lines = [
    `${name} ${allow ? 'may' : 'may not'} do ${action}${about}`,
    ...(reason === null ? [] : [`why: ${reason}`]),
    `${name} is ${who}: ${because}${place === null ? '' : ` (${place})`}`,
  ]
  return `${verdict}: ${lines.map((line) => neutralise(line)).join('\n')}\n`
}
