// Access grants over HTTP: opened by admins, with a reason; listed to admins, and to those whose sessions they are about; ended.

import { randomUUID } from 'node:crypto'
import type { AccessGrant, AccessView } from '@teleclaude/core/access.ts'
import type {
  AccessGrantPage,
  AccessGrantView,
  accessGrantListQuerySchema,
  newAccessGrantSchema,
} from '@teleclaude/core/access-api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import { visibleOwner } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { GrantQuery } from '@teleclaude/store/access-contract.ts'
import { z } from 'zod'
import { actorOf, subjectOf } from '../audit/record.ts'
import { ownershipOf } from '../http/gate.ts'
import type { Answer, AskedOfSession } from '../http/route.ts'
import type { Service } from '../service.ts'
import { orNotRecorded, recordFirst } from './recorded.ts'

const usPerMinute = 60_000_000
/** Of one person at the same time: all that hold are kept in memory. */
const maxHeld = 200

type Asked = { readonly service: Service; readonly caller: Caller }

export async function openAccess({
  service,
  caller,
  session,
  body,
}: AskedOfSession & { readonly body: z.output<typeof newAccessGrantSchema> }): Promise<Answer> {
  const { person } = caller
  if (person === null || ownershipOf(session, caller) === 'own') {
    throw new ProblemError('invalid', 'cannot open access to this session: it is yours: no grant is needed')
  }
  if (service.access.countOf(person) >= maxHeld) {
    const mend = 'end some of them (telec access ls --active, telec access end)'
    throw new ProblemError(
      'limit-reached',
      `cannot open access to this session: you have ${maxHeld} grants that hold; ${mend}`,
    )
  }
  const id = randomUUID()
  const what = 'open access to this session'
  await recordFirst(service, what, {
    action: 'access.opened',
    actor: actorOf(caller),
    session: subjectOf(session),
    detail: { grant: id, drive: body.drive, minutes: body.minutes },
    texts: { reason: body.reason },
  })
  const openedAtUs = nowUs()
  const grant: AccessGrant = {
    id,
    host: service.host,
    sessionId: session.id,
    owner: session.owner.person,
    grantee: { person, uid: caller.credentials.uid },
    reason: body.reason,
    drive: body.drive,
    openedAtUs,
    expiresAtUs: openedAtUs + body.minutes * usPerMinute,
    ended: null,
  }
  const { ended: _, ...opened } = grant
  await service.store.access.open(opened, randomUUID())
  service.access.add(grant, caller.credentials)
  return { status: 201, json: viewGrant(grant, []) }
}

export async function listAccess({
  service,
  caller,
  query,
}: Asked & { readonly query: z.output<typeof accessGrantListQuerySchema> }): Promise<Answer> {
  const { session, active, cursor, limit } = query
  const visible = visibleOwner(caller)
  const mayList = (grant: AccessGrant) => visible.kind === 'all' || grant.owner === visible.person
  if (cursor !== undefined) await requireCursor(service, cursor, mayList)
  const asked = {
    scope: visible,
    ...(session === undefined ? {} : { sessionId: session as SessionId }),
    ...(active === 'true' ? { activeAtUs: nowUs() } : {}),
  }
  // One more than asked for, to know whether there is a next page.
  const found = await findListed(service, asked, mayList, cursor, limit + 1)
  const page = found.slice(0, limit)
  const json: AccessGrantPage = {
    grants: await viewGrants(service, page),
    nextCursor: found.length > limit ? (page.at(-1)?.id ?? null) : null,
  }
  return { status: 200, json }
}

/** The store has those that a person holds as well: who was an admin once is shown nothing of others' for that. */
async function findListed(
  { store }: Service,
  asked: Omit<GrantQuery, 'before' | 'limit'>,
  mayList: (grant: AccessGrant) => boolean,
  cursor: string | undefined,
  wanted: number,
): Promise<readonly AccessGrant[]> {
  const found: AccessGrant[] = []
  for (let before = cursor; found.length < wanted; ) {
    const page = await store.access.list({ ...asked, ...(before === undefined ? {} : { before }), limit: wanted })
    found.push(...page.filter(mayList))
    before = page.at(-1)?.id
    if (page.length < wanted) break
  }
  return found.slice(0, wanted)
}

/** @throws ProblemError alike for an id that is unknown, and for one that the caller may not see */
async function requireCursor({ store }: Service, id: string, mayList: (grant: AccessGrant) => boolean): Promise<void> {
  const grant = await store.access.find(id)
  if (grant !== null && mayList(grant)) return
  throw new ProblemError('invalid', 'cannot use the query: /cursor is not one that this service gave out')
}

const grantId = z.uuid().toLowerCase()

export async function endAccess({
  service,
  caller,
  params,
}: Asked & { readonly params: Readonly<Record<string, string>> }): Promise<Answer> {
  const parsed = grantId.safeParse(params.grant)
  const grant = parsed.success ? await service.store.access.find(parsed.data) : null
  if (grant === null) throw new ProblemError('not-found', 'cannot end the access grant: there is none with this id')
  const over = grant.ended?.atUs ?? (grant.expiresAtUs <= nowUs() ? grant.expiresAtUs : null)
  if (over !== null) {
    throw new ProblemError('conflict', `cannot end the access grant: it ended at ${formatInstant(over)}`)
  }
  const end = { atUs: nowUs(), by: caller.person, why: 'ended' } as const
  await orNotRecorded('put down the end of this access grant', service.access.end(grant, actorOf(caller), end))
  const ended = (await service.store.access.find(grant.id)) ?? { ...grant, ended: end }
  const [json] = await viewGrants(service, [ended])
  return { status: 200, json }
}

/** With what was delivered under each of them; at most 200. */
export async function viewGrants(
  { store }: Pick<Service, 'store'>,
  grants: readonly AccessGrant[],
): Promise<AccessGrantView[]> {
  if (grants.length === 0) return []
  const views = await store.access.listViews(grants.map(({ id }) => id))
  const byGrant = Map.groupBy(views, (view) => view.grantId)
  return grants.map((grant) => viewGrant(grant, byGrant.get(grant.id) ?? []))
}

function viewGrant(grant: AccessGrant, views: readonly AccessView[]): AccessGrantView {
  const { ended, expiresAtUs } = grant
  return {
    id: grant.id,
    host: grant.host,
    session: grant.sessionId,
    owner: grant.owner,
    grantee: grant.grantee.person,
    reason: grant.reason,
    drive: grant.drive,
    openedAt: formatInstant(grant.openedAtUs),
    expiresAt: formatInstant(expiresAtUs),
    endedAt: ended === null ? null : formatInstant(ended.atUs),
    endedBy: ended?.by ?? null,
    ending: ended?.why ?? null,
    active: ended === null && expiresAtUs > nowUs(),
    views: views.map(viewView),
  }
}

function viewView({ kind, openedAtUs, ended }: AccessView): AccessGrantView['views'][number] {
  return {
    kind,
    openedAt: formatInstant(openedAtUs),
    endedAt: ended === null ? null : formatInstant(ended.atUs),
    bytes: ended?.isComplete ? ended.bytes : null,
    firstSeq: ended?.firstSeq ?? null,
    lastSeq: ended?.lastSeq ?? null,
  }
}
