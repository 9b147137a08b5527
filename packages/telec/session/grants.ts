// Access grants in lists: what is shown of one, and how one is found.

import type { Client } from '@teleclaude/client/client.ts'
import type { AccessGrantListQuery, AccessGrantView } from '@teleclaude/core/access-api.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'
import { describeBytes } from '../output/bytes.ts'
import { fullId, shortIdLength } from './find.ts'

const pageLimit = 200

/** Newest first, as many as wanted. */
export async function readGrants(
  client: Client,
  query: Pick<AccessGrantListQuery, 'session' | 'active'>,
  wanted: number,
): Promise<{ readonly grants: AccessGrantView[]; readonly more: boolean }> {
  const grants: AccessGrantView[] = []
  let cursor: string | null = null
  do {
    const limit = Math.min(pageLimit, wanted - grants.length)
    const page = await client.listAccessGrants({ ...query, limit, ...(cursor === null ? {} : { cursor }) })
    grants.push(...page.grants)
    cursor = page.nextCursor
  } while (cursor !== null && grants.length < wanted)
  return { grants, more: cursor !== null }
}

/** The id of the grant that holds now and whose id begins with this; a whole id is taken as it is.
 *  @throws Failure where it is none, or more than one */
export async function findActiveGrant(client: Client, id: string): Promise<string> {
  const wanted = id.toLowerCase()
  if (fullId.test(wanted)) return wanted
  const { grants } = await readGrants(client, { active: 'true' }, Number.POSITIVE_INFINITY)
  const [first, ...others] = wanted === '' ? [] : grants.filter((grant) => grant.id.startsWith(wanted))
  if (first === undefined) {
    const next = '`telec access ls --active` shows those there are'
    throw new Failure(
      exitCodes.data,
      `cannot find the grant ${neutralise(id)}: no id of one that holds begins so; ${next}`,
    )
  }
  if (others.length === 0) return first.id
  const listed = [first, ...others].map((grant) => `  ${grant.id}  ${neutralise(`${grant.grantee}: ${grant.reason}`)}`)
  throw new Failure(
    exitCodes.data,
    `cannot tell which grant you mean: the id of more than one begins with ${wanted}\n${listed.join('\n')}`,
  )
}

/** What was delivered under it. */
export function describeDelivered({ views }: AccessGrantView): string {
  if (views.length === 0) return 'nothing'
  const bytes = views.reduce((sum, view) => sum + (view.bytes ?? 0), 0)
  const isLooking = views.some(({ endedAt }) => endedAt === null)
  const isUnsure = views.some(({ endedAt, bytes }) => endedAt !== null && bytes === null)
  const much = isLooking || isUnsure ? `${describeBytes(bytes)} or more` : describeBytes(bytes)
  return isLooking ? `${much}, goes on` : much
}

export function describeState({ active, ending }: AccessGrantView): string {
  return active ? 'active' : (ending ?? 'expired')
}

export function shortGrant({ id }: Pick<AccessGrantView, 'id'>): string {
  return id.slice(0, shortIdLength)
}
