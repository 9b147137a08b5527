// `telec audit ls` and `mine`: what was done, by whom, to whose sessions.

import type { Client } from '@teleclaude/client/client.ts'
import type { AuditEntryView, AuditListQuery } from '@teleclaude/core/audit-api.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { printJson } from '../output/json.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { findSession, fullId, shortIdLength } from '../session/find.ts'

type AuditOptions = ServiceOptions &
  Pick<AuditListQuery, 'session' | 'actor' | 'owner' | 'action' | 'since' | 'until'> & {
    readonly mine?: true
    readonly limit?: number
    readonly all?: true
    readonly json?: true
  }

const defaultLimit = 50
const pageLimit = 200
/** With `2026-11-24T16:05:00.000000Z`, that of seconds is enough to read. */
const timeColumns = 19

export async function listAudit(options: AuditOptions): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const { entries, more } = await withService(options, (client) => readEntries(client, options))
  if (options.json) {
    printJson({ entries, more })
    return 0
  }
  if (entries.length === 0) process.stdout.write('There is nothing of that on the record.\n')
  else {
    const width = process.stdout.isTTY ? process.stdout.columns : null
    process.stdout.write(renderTable(entries, columnsOf(entries), { width, colour }))
  }
  if (more) process.stdout.write('There are more: --all shows them.\n')
  return 0
}

async function readEntries(
  client: Client,
  options: AuditOptions,
): Promise<{ readonly entries: AuditEntryView[]; readonly more: boolean }> {
  const { session, actor, owner, action, since, until } = options
  // A session that is gone may still be on the record: a whole id is asked for as it is.
  const id = session === undefined || fullId.test(session) ? session : (await findSession(client, session)).id
  const wanted = options.all ? Number.POSITIVE_INFINITY : (options.limit ?? defaultLimit)
  const filters = Object.entries({ session: id, actor, owner, action, since, until })
  const query: AuditListQuery = Object.fromEntries(filters.filter(([, value]) => value !== undefined))
  const entries: AuditEntryView[] = []
  let cursor: string | null = null
  do {
    const page = await client.listAudit({
      ...query,
      mine: options.mine ? 'true' : 'false',
      limit: Math.min(pageLimit, wanted - entries.length),
      ...(cursor === null ? {} : { cursor }),
    })
    entries.push(...page.entries)
    cursor = page.nextCursor
  } while (cursor !== null && entries.length < wanted)
  return { entries, more: cursor !== null }
}

const seqColumn: Column<AuditEntryView> = { title: 'SEQ', value: ({ seq }) => String(seq ?? ''), align: 'right' }

function columnsOf(entries: readonly AuditEntryView[]): readonly Column<AuditEntryView>[] {
  return [
    ...(entries.some(({ seq }) => seq !== null) ? [seqColumn] : []),
    { title: 'TIME (UTC)', value: ({ at }) => at.slice(0, timeColumns).replace('T', ' ') },
    { title: 'ACTOR', value: ({ actor }) => actor, style: () => 'cyan' },
    { title: 'ACTION', value: ({ action }) => action, style: ({ action }) => styleOf(action) },
    { title: 'SESSION', value: ({ session }) => session?.id.slice(0, shortIdLength) ?? '' },
    { title: 'OF', value: ({ session }) => session?.owner ?? '' },
    { title: 'DETAIL', value: describeDetail, flexible: true },
  ]
}

function styleOf(action: string): 'red' | 'yellow' | null {
  if (action.startsWith('alarm.') || action === 'request.denied') return 'red'
  return action.startsWith('access.') || action.startsWith('content.') ? 'yellow' : null
}

/** What somebody wrote comes first, for the rest may be cut. Ids and hashes are as short as people are used to. */
function describeDetail({ detail }: AuditEntryView): string {
  const texts = ['reason', 'note']
  const order = Object.entries(detail).sort(
    ([one], [other]) => Number(texts.includes(other)) - Number(texts.includes(one)),
  )
  return order
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? describeText(value) : value}`)
    .join(' ')
}

function describeText(value: string): string {
  if (fullId.test(value) || /^[0-9a-f]{64}$/.test(value)) return value.slice(0, shortIdLength)
  return /[\s"=]/.test(value) ? JSON.stringify(value) : value
}
