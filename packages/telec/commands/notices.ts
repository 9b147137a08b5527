// `telec notices`: what others did with the caller's sessions. Who has been shown them has seen them.

import type { Client } from '@teleclaude/client/client.ts'
import type { NoticeView } from '@teleclaude/core/access-api.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { printJson } from '../output/json.ts'
import { clock } from '../output/time.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { shortIdLength } from '../session/find.ts'
import { describeDelivered, describeState } from '../session/grants.ts'

type NoticesOptions = ServiceOptions & {
  readonly unseen?: true
  readonly keep?: true
  readonly limit?: number
  readonly json?: true
}

const pageLimit = 200
const defaultLimit = 50
const deeds = {
  'access.opened': 'opened',
  'session.stopped': 'stopped',
  'session.renamed': 'renamed',
  'session.commanded': 'typed into',
} as const satisfies Record<NoticeView['kind'], string>

export async function listNotices(options: NoticesOptions): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const isShown = !options.json && process.stdout.isTTY
  const listed = await withService(options, async (client) => {
    const listed = await readNotices(client, options)
    const [newest] = listed.notices
    // Read to a pipe, nobody may ever look at them.
    if (isShown && !options.keep && newest !== undefined && listed.unseen > 0) return { ...listed, newest, client }
    return { ...listed, newest: null, client }
  })
  const { notices, unseen, more, newest, client } = listed
  if (options.json) {
    printJson({ notices, unseen, more })
    return 0
  }
  if (notices.length === 0) {
    process.stdout.write(
      options.unseen ? 'There is nothing new.\n' : 'Nobody else has done anything with your sessions.\n',
    )
    return 0
  }
  const width = process.stdout.isTTY ? process.stdout.columns : null
  process.stdout.write(renderTable(notices, columns, { width, colour }))
  if (newest !== null) await client.markNoticesSeen(newest.id)
  return 0
}

/** Newest first: all that have not been seen, and of the others as many as wanted. They are marked up to one of them and with all
 *  before it, so none may be left out. */
async function readNotices(
  client: Client,
  { unseen: onlyUnseen, limit = defaultLimit }: NoticesOptions,
): Promise<{ readonly notices: NoticeView[]; readonly unseen: number; readonly more: boolean }> {
  const notices: NoticeView[] = []
  let unseen = 0
  let left = Number.POSITIVE_INFINITY
  let cursor: string | null = null
  do {
    const page = await client.listNotices({
      unseen: onlyUnseen ? 'true' : 'false',
      limit: Math.min(pageLimit, Math.max(limit, 1)),
      ...(cursor === null ? {} : { cursor }),
    })
    if (cursor === null) {
      unseen = page.unseen
      left = page.unseen
    }
    left -= page.notices.filter(({ seen }) => !seen).length
    notices.push(...page.notices)
    cursor = page.nextCursor
  } while (cursor !== null && (left > 0 || notices.length < limit))
  return { notices, unseen, more: cursor !== null }
}

const columns: readonly Column<NoticeView>[] = [
  { title: 'NEW', value: ({ seen }) => (seen ? '' : 'new'), style: () => 'yellow' },
  { title: 'WHEN', value: ({ at }) => clock(at) },
  { title: 'WHO', value: ({ by }) => by, style: () => 'cyan' },
  { title: 'DID', value: ({ kind, grant }) => `${deeds[kind]}${grant?.drive ? ', to type' : ''}` },
  { title: 'SESSION', value: ({ session }) => session.slice(0, shortIdLength) },
  { title: 'UNTIL', value: ({ grant }) => (grant === null ? '' : clock(grant.endedAt ?? grant.expiresAt)) },
  {
    title: 'STATE',
    value: ({ grant }) => (grant === null ? '' : describeState(grant)),
    style: ({ grant }) => (grant?.active ? 'yellow' : 'dim'),
  },
  { title: 'DELIVERED', value: ({ grant }) => (grant === null ? '' : describeDelivered(grant)) },
  { title: 'REASON', value: ({ grant }) => grant?.reason ?? '', flexible: true },
]
