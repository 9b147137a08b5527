// Which session a person means, and how sessions are named to people.

import type { Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { neutralise, truncate } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'

/** Columns of a name that a list has room for. */
const maxBadgeName = 20
/** As much of an id as people are used to. */
export const shortIdLength = 8
export const fullId = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The session whose id this is, or begins with this.
 *  @throws Failure where it is none, or more than one */
export async function findSession(client: Client, id: string): Promise<SessionView> {
  const wanted = id.toLowerCase()
  if (fullId.test(wanted)) return client.readSession(wanted)
  const { sessions } = /^[0-9a-f-]{1,36}$/.test(wanted)
    ? await client.listSessions({ idPrefix: wanted, limit: 5 })
    : { sessions: [] }
  const [first, ...others] = sessions
  if (first === undefined) {
    throw new Failure(
      exitCodes.data,
      `cannot find the session ${neutralise(id)}: no id of a session begins so; \`telec ls\` shows those there are`,
    )
  }
  if (others.length === 0) return first
  const listed = sessions.map((session) => `  ${session.id}  ${titleWithOwner(session)}`).join('\n')
  throw new Failure(
    exitCodes.data,
    `cannot tell which session you mean: the id of more than one session begins with ${wanted}\n${listed}`,
  )
}

/** `[alice]` for who looks at alice's session and is not her. */
export function ownerBadge({ own, owner }: SessionView): string {
  return own ? '' : `[${truncate(neutralise(owner.person), maxBadgeName)}]`
}

export function titleWithOwner(session: SessionView): string {
  return `${ownerBadge(session)} ${neutralise(session.title)}`.trimStart()
}
