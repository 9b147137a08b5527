// What persons are told of what others did with their sessions.

import { randomUUID } from 'node:crypto'
import type { NoticeKind } from '@teleclaude/core/access.ts'
import type {
  AccessGrantView,
  NoticePage,
  NoticesSeenAnswer,
  NoticeView,
  noticeListQuerySchema,
  noticesSeenSchema,
} from '@teleclaude/core/access-api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { viewGrants } from './routes.ts'

type Asked = { readonly service: Service; readonly caller: Caller }

/** Before it is done: who is told of something that then fails knows of the attempt. */
export async function tellOwner(
  { store }: Pick<Service, 'store'>,
  caller: Caller,
  session: Session,
  kind: Exclude<NoticeKind, 'access.opened'>,
): Promise<void> {
  await store.notices.add({
    id: randomUUID(),
    kind,
    person: session.owner.person,
    atUs: nowUs(),
    sessionId: session.id,
    by: caller.person ?? `uid ${caller.credentials.uid}`,
    grantId: null,
  })
}

export async function listNotices({
  service,
  caller,
  query,
}: Asked & { readonly query: z.output<typeof noticeListQuerySchema> }): Promise<Answer> {
  const { notices } = service.store
  const { unseen, cursor, limit } = query
  const person = caller.person ?? ''
  // One more than asked for, to know whether there is a next page.
  const found = await notices.list({
    person,
    ...(unseen === 'true' ? { unseen: true } : {}),
    ...(cursor === undefined ? {} : { before: cursor }),
    limit: limit + 1,
  })
  const page = found.slice(0, limit)
  const grants = await findGrants(
    service,
    page.flatMap(({ grantId }) => grantId ?? []),
  )
  const json: NoticePage = {
    notices: page.map(
      ({ id, kind, atUs, sessionId, by, grantId, seenAtUs }): NoticeView => ({
        id,
        kind,
        at: formatInstant(atUs),
        session: sessionId,
        by,
        grant: grantId === null ? null : (grants.get(grantId) ?? null),
        seen: seenAtUs !== null,
      }),
    ),
    unseen: await notices.countUnseen(person),
    nextCursor: found.length > limit ? (page.at(-1)?.id ?? null) : null,
  }
  return { status: 200, json }
}

export async function markNoticesSeen({
  service,
  caller,
  body,
}: Asked & { readonly body: z.output<typeof noticesSeenSchema> }): Promise<Answer> {
  const { notices } = service.store
  const person = caller.person ?? ''
  await notices.markSeen(person, body.through, nowUs())
  const json: NoticesSeenAnswer = { unseen: await notices.countUnseen(person) }
  return { status: 200, json }
}

async function findGrants(service: Service, ids: readonly string[]): Promise<ReadonlyMap<string, AccessGrantView>> {
  const found = await Promise.all([...new Set(ids)].map((id) => service.store.access.find(id)))
  const views = await viewGrants(
    service,
    found.filter((grant) => grant !== null),
  )
  return new Map(views.map((view) => [view.id, view]))
}
