// `telec ls` and `show`: what is known of sessions.

import { homedir } from 'node:os'
import { resolve } from 'node:path'
import type { Client } from '@teleclaude/client/client.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import type { CommandView, SessionView } from '@teleclaude/core/api.ts'
import { paint } from '@teleclaude/core/style.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { printJson } from '../output/json.ts'
import { age } from '../output/time.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withClient, withService } from '../service.ts'
import { describeStatus, isOver } from '../session/end.ts'
import { findSession, ownerBadge, shortIdLength, titleWithOwner } from '../session/find.ts'

type Output = ServiceOptions & { readonly json?: true }
export type ListOptions = Output & {
  readonly all?: true
  readonly live?: true
  readonly project?: string
  readonly person?: string
  readonly limit?: number
}

const defaultLimit = 50
const pageLimit = 200
/** Of `agent status`. */
const nameColumns = 12
const statusStyles = { starting: 'yellow', running: 'green', lost: 'red', ended: 'dim' } as const
const agentStyles = { waiting: 'yellow', working: 'green', idle: 'dim', unknown: 'dim' } as const

export async function list(options: ListOptions): Promise<number> {
  const colour = await wantsColourFor(options)
  const { sessions, more, unseenNotices } = await withService(options, (client) => readSessions(client, options))
  if (options.json) {
    printJson({ sessions, more, unseenNotices })
    return 0
  }
  if (sessions.length === 0 && options.person !== undefined) {
    process.stdout.write(`There are no sessions of ${neutralise(options.person)} that you may see.\n`)
  } else if (sessions.length === 0) process.stdout.write('There are no sessions. Start one: telec run -- COMMAND\n')
  else process.stdout.write(formatByProject(sessions, colour))
  if (more) process.stdout.write('There are more: --all shows them.\n')
  if (unseenNotices > 0) process.stderr.write(`${describeUnseen(unseenNotices)}\n`)
  return 0
}

export async function show(id: string, options: Output): Promise<number> {
  const colour = await wantsColourFor(options)
  const { session, commands } = await withService(options, async (client) => {
    const session = await findSession(client, id)
    return { session, commands: (await client.listCommands(session.id)).commands }
  })
  if (options.json) {
    printJson({ session, commands })
    return 0
  }
  const facts: readonly (readonly [string, string | null])[] = [
    ['id', session.id],
    ['title', session.title],
    ['status', describeStatus(session)],
    ['owner', describeOwner(session)],
    ['host', session.host],
    ['project', session.project],
    ['agent', session.agent],
    ['agent status', describeAgentStatus(session)],
    ['command', session.argv === null ? null : session.argv.map(shellQuote).join(' ')],
    ['parent', session.parent],
    ['terminal', `${session.terminal.cols}x${session.terminal.rows}`],
    ['created', session.createdAt],
    ['started', session.startedAt],
    [session.status === 'lost' ? 'lost' : 'ended', session.endedAt],
    ['last output', session.lastOutputAt],
    ['transcript', describeTranscript(session)],
  ]
  const asked = commands.toReversed().map((command) => [`command ${command.number}`, describeCommand(command)] as const)
  const shown = [...facts, ...asked]
  for (const [name, value] of shown) {
    if (value !== null)
      process.stdout.write(`${paint(name.padEnd(nameColumns), 'bold', colour)} ${neutralise(value)}\n`)
  }
  return 0
}

/** For the shell's completion: an id a line, with what it is. Says nothing rather than getting in the way of typing. */
export async function completeIds(options: ServiceOptions): Promise<number> {
  const { sessions } = await withClient(options, (client) => client.listSessions({ limit: pageLimit }))
  for (const session of sessions) process.stdout.write(`${session.id}\t${titleWithOwner(session)}\n`)
  return 0
}

function describeUnseen(count: number): string {
  return `${count === 1 ? 'There is a notice' : `There are ${count} notices`} that you have not seen: telec notices`
}

type Listed = { readonly sessions: SessionView[]; readonly more: boolean; readonly unseenNotices: number }

async function readSessions(client: Client, options: ListOptions): Promise<Listed> {
  const wanted = options.all ? Number.POSITIVE_INFINITY : (options.limit ?? defaultLimit)
  const sessions: SessionView[] = []
  let cursor: string | null = null
  let unseenNotices = 0
  do {
    const page = await client.listSessions({
      limit: Math.min(pageLimit, wanted - sessions.length),
      ...(options.live ? { status: 'live' } : {}),
      ...(options.project === undefined ? {} : { project: resolve(options.project) }),
      ...(options.person === undefined ? {} : { person: options.person }),
      ...(cursor === null ? {} : { cursor }),
    })
    sessions.push(...page.sessions)
    unseenNotices = page.unseenNotices
    cursor = page.nextCursor
  } while (cursor !== null && sessions.length < wanted)
  return { sessions, more: cursor !== null, unseenNotices }
}

/** Of its own, so that no title can look like a badge. */
const ownerColumn: Column<SessionView> = { title: '', value: ownerBadge, style: () => 'cyan' }

/** What the agents of live sessions are up to, and for how long. */
const agentColumn: Column<SessionView> = {
  title: 'DOES',
  value: (session) => (hasAgentStatus(session) ? `${session.agentStatus.state} ${statusAge(session)}` : ''),
  style: ({ agentStatus }) => agentStyles[agentStatus.state],
}

function hasAgentStatus(session: SessionView): boolean {
  return !isOver(session) && session.agentStatus.state !== 'unknown'
}

function isWaiting(session: SessionView): boolean {
  return !isOver(session) && session.agentStatus.state === 'waiting'
}

/** One table, so that its columns align throughout, with each project's name above its sessions. */
function formatByProject(sessions: readonly SessionView[], colour: boolean): string {
  const idLength = uniqueLength(sessions.map((session) => session.id))
  const nowUs = Date.now() * 1000
  const columns: readonly Column<SessionView>[] = [
    { title: '  ID', value: (session) => `  ${session.id.slice(0, idLength)}` },
    { title: 'STATUS', value: describeStatus, style: (session) => statusStyles[session.status] },
    { title: 'AGE', value: (session) => age(Date.parse(session.createdAt) * 1000, nowUs), align: 'right' },
    { title: 'AGENT', value: (session) => session.agent ?? '-' },
    ...(sessions.some(hasAgentStatus) ? [agentColumn] : []),
    ...(sessions.every(({ own }) => own) ? [] : [ownerColumn]),
    { title: 'TITLE', value: (session) => session.title, flexible: true },
  ]
  // Who waits for a human comes first: the order is otherwise as it was.
  const order = sessions.toSorted((one, other) => Number(isWaiting(other)) - Number(isWaiting(one)))
  const byProject = Map.groupBy(order, (session) => session.project)
  const projects = new Set(sessions.map((session) => session.project))
  const groups = [...projects].map((project) => [project, byProject.get(project) ?? []] as const)
  const width = process.stdout.isTTY ? process.stdout.columns : null
  const [header = '', ...lines] = renderTable(
    groups.flatMap(([, group]) => group),
    columns,
    { width, colour },
  ).split('\n')
  const parts = [header]
  for (const [project, group] of groups) {
    parts.push(paint(shortenHome(neutralise(project)), 'bold', colour), ...lines.splice(0, group.length))
  }
  return `${parts.join('\n')}\n`
}

/** Asked before the service is, so that a personal file that is wrong starts nothing. Programs that take JSON get it in any case. */
async function wantsColourFor(options: Output): Promise<boolean> {
  return !options.json && (await wantsColourOn(process.stdout, options))
}

function describeOwner({ own, owner }: SessionView): string {
  return `${owner.person} (${owner.osUser}, uid ${owner.uid})${own ? ', you' : ''}`
}

function describeAgentStatus(session: SessionView): string | null {
  const { state, source } = session.agentStatus
  if (source === null || isOver(session)) return null
  const says = source === 'hook' ? 'the agent says so' : 'its terminal shows it'
  return `${state}, for ${statusAge(session)} (${says})`
}

function statusAge({ agentStatus: { since } }: SessionView): string {
  return since === null ? '' : age(Date.parse(since) * 1000, Date.now() * 1000)
}

function describeTranscript({ transcriptBytes, transcriptRemovedAt }: SessionView): string {
  return `${transcriptBytes} bytes${transcriptRemovedAt === null ? '' : `, removed ${transcriptRemovedAt}`}`
}

function describeCommand(command: CommandView): string {
  const { kind, enter, force, state, reason, createdAt, expiresAt, requestedBy } = command
  const how = `${enter ? ' --enter' : ''}${force ? ' --force' : ''}`
  const why = reason ?? (state === 'queued' ? `until ${expiresAt}` : null)
  return `${createdAt} ${kind}${how} by ${requestedBy}: ${state}${why === null ? '' : ` (${why})`}`
}

/** As short as it can be while all of them stay apart, and no shorter than people are used to. */
function uniqueLength(ids: readonly string[]): number {
  let length = shortIdLength
  while (new Set(ids.map((id) => id.slice(0, length))).size < ids.length) length++
  return length
}

function shortenHome(path: string): string {
  const home = homedir()
  return path === home || path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path
}
