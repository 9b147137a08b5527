// `telec access open`, `ls` and `end`: an admin's way into sessions of others, and who went it.

import type { AccessGrantView } from '@teleclaude/core/access-api.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { printJson } from '../output/json.ts'
import { age, clock } from '../output/time.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { describeOpened, openAccess } from '../session/access.ts'
import { findSession, shortIdLength } from '../session/find.ts'
import { describeDelivered, describeState, findActiveGrant, readGrants, shortGrant } from '../session/grants.ts'

type Output = ServiceOptions & { readonly json?: true }
type OpenOptions = Output & { readonly reason: string; readonly minutes?: number; readonly drive?: true }
type ListOptions = Output & {
  readonly session?: string
  readonly active?: true
  readonly all?: true
  readonly limit?: number
}

const defaultLimit = 50

export async function openGrant(id: string, options: OpenOptions): Promise<number> {
  const { reason, minutes, drive = false } = options
  const grant = await withService(options, async (client) => {
    const session = await findSession(client, id)
    return openAccess(client, session, { reason, minutes, drive })
  })
  if (options.json) printJson({ grant })
  else process.stdout.write(`${describeOpened(grant)}\n`)
  return 0
}

export async function listGrants(options: ListOptions): Promise<number> {
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  const wanted = options.all ? Number.POSITIVE_INFINITY : (options.limit ?? defaultLimit)
  const { grants, more } = await withService(options, async (client) => {
    const session = options.session === undefined ? {} : { session: (await findSession(client, options.session)).id }
    return readGrants(client, { ...session, active: options.active ? 'true' : 'false' }, wanted)
  })
  if (options.json) {
    printJson({ grants, more })
    return 0
  }
  if (grants.length === 0) process.stdout.write('Nobody opened anything.\n')
  else {
    const width = process.stdout.isTTY ? process.stdout.columns : null
    process.stdout.write(renderTable(grants, columns(), { width, colour }))
  }
  if (more) process.stdout.write('There are more: --all shows them.\n')
  return 0
}

export async function endGrant(id: string, options: Output): Promise<number> {
  const grant = await withService(options, async (client) => client.endAccess(await findActiveGrant(client, id)))
  if (options.json) printJson({ grant })
  else process.stdout.write(`Ended ${shortGrant(grant)}: ${describeDelivered(grant)} was delivered under it.\n`)
  return 0
}

function columns(): readonly Column<AccessGrantView>[] {
  const nowUs = Date.now() * 1000
  return [
    { title: 'GRANT', value: shortGrant },
    { title: 'STATE', value: describeState, style: ({ active }) => (active ? 'yellow' : 'dim') },
    { title: 'SESSION', value: ({ session }) => session.slice(0, shortIdLength) },
    { title: 'OF', value: ({ owner }) => owner, style: () => 'cyan' },
    { title: 'BY', value: ({ grantee }) => grantee },
    { title: 'TO', value: ({ drive }) => (drive ? 'type' : 'look') },
    { title: 'AGE', value: ({ openedAt }) => age(Date.parse(openedAt) * 1000, nowUs), align: 'right' },
    { title: 'UNTIL', value: ({ endedAt, expiresAt }) => clock(endedAt ?? expiresAt) },
    { title: 'DELIVERED', value: describeDelivered },
    { title: 'REASON', value: ({ reason }) => reason, flexible: true },
  ]
}
