// `telec ls`, `show`, `stop` and `transcript`: what is known of sessions, and what was recorded of them.

import { once } from 'node:events'
import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '@teleclaude/client/client.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import type { CommandView, SessionView } from '@teleclaude/core/api.ts'
import type { ToViewer } from '@teleclaude/core/link.ts'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { paint } from '@teleclaude/core/style.ts'
import { type Column, renderTable } from '@teleclaude/core/table.ts'
import { neutralise, truncate } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'
import { age } from '../output/time.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withClient, withService } from '../service.ts'

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
const shortestId = 8
const stopPatienceMs = 15_000
const pollMs = 100
/** Columns of a name that a list has room for. */
const maxBadgeName = 20
const statusStyles = { starting: 'yellow', running: 'green', lost: 'red', ended: 'dim' } as const
export const fullId = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export async function list(options: ListOptions): Promise<number> {
  const colour = await wantsColourFor(options)
  const { sessions, more } = await withService(options, (client) => readSessions(client, options))
  if (options.json) {
    printJson({ sessions, more })
    return 0
  }
  if (sessions.length === 0 && options.person !== undefined) {
    process.stdout.write(`There are no sessions of ${neutralise(options.person)} that you may see.\n`)
  } else if (sessions.length === 0) process.stdout.write('There are no sessions. Start one: telec run -- COMMAND\n')
  else process.stdout.write(formatByProject(sessions, colour))
  if (more) process.stdout.write('There are more: --all shows them.\n')
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
    ['command', session.argv === null ? null : session.argv.map(shellQuote).join(' ')],
    ['terminal', `${session.terminal.cols}x${session.terminal.rows}`],
    ['created', session.createdAt],
    ['started', session.startedAt],
    [session.status === 'lost' ? 'lost' : 'ended', session.endedAt],
    ['last output', session.lastOutputAt],
    ['transcript', `${session.transcriptBytes} bytes`],
  ]
  const shown = [...facts, ...commands.map((command) => ['request', describeCommand(command)] as const)]
  for (const [name, value] of shown) {
    if (value !== null) process.stdout.write(`${paint(name.padEnd(12), 'bold', colour)} ${neutralise(value)}\n`)
  }
  return 0
}

export async function stop(id: string, options: Output & { readonly force?: true }): Promise<number> {
  const session = await withService(options, async (client) => {
    const found = await findSession(client, id)
    const ask = () => client.enqueueCommand(found.id, { kind: 'stop', force: options.force ?? false })
    // Who may end it and not look at it has to ask how it is.
    if (!found.own) {
      await ask()
      return pollEnd(client, found.id)
    }
    // Joined before asking, so that the end can't be missed.
    const watch = await watchEnd(client, found.id)
    await ask()
    return (await watch.ended) ?? (await client.readSession(found.id))
  })
  if (session.status !== 'ended') {
    const next =
      session.status === 'lost' ? 'its runner is gone' : 'it is being stopped; `telec show` says when it is done'
    throw new Failure(exitCodes.unavailable, `cannot say that the session ${session.id} has ended: ${next}`)
  }
  if (options.json) printJson({ session })
  else process.stdout.write(`Stopped ${session.id}: ${describeStatus(session)}.\n`)
  return 0
}

export type TranscriptOptions = ServiceOptions & {
  readonly format: 'text' | 'raw' | 'cast'
  readonly castVersion: '2' | '3'
}

export async function transcript(id: string, options: TranscriptOptions): Promise<number> {
  if (options.format === 'raw' && process.stdout.isTTY) {
    const next = 'Send it to a file or a pipe, or leave --format out to read it as text.'
    throw new Failure(
      exitCodes.usage,
      `cannot show the raw transcript on a terminal: its bytes could do anything to it\n${next}`,
    )
  }
  const colour = options.format === 'text' && (await wantsColourOn(process.stdout, options)) ? 'true' : 'false'
  const answer = await withService(options, async (client) => {
    const session = await findSession(client, id)
    const query = { format: options.format, colour, version: options.castVersion } as const
    return { client, session, stream: await client.readTranscript(session.id, query) }
  })
  try {
    await pipeline(answer.stream, process.stdout, { end: false })
  } catch (error) {
    const isCutOff = error instanceof Error && 'code' in error && error.code === 'ECONNRESET'
    if (!isCutOff) throw error
    // An answer that has begun can't say why it ends. Who may not any more is told so here.
    await answer.client.readSession(answer.session.id)
    throw new Failure(exitCodes.unavailable, 'cannot show all of the transcript: the service broke off; try again')
  }
  return 0
}

/** For the shell's completion: an id a line, with what it is. Says nothing rather than getting in the way of typing. */
export async function completeIds(options: ServiceOptions): Promise<number> {
  const { sessions } = await withClient(options, (client) => client.listSessions({ limit: pageLimit }))
  for (const session of sessions) process.stdout.write(`${session.id}\t${titleWithOwner(session)}\n`)
  return 0
}

async function readSessions(client: Client, options: ListOptions): Promise<{ sessions: SessionView[]; more: boolean }> {
  const wanted = options.all ? Number.POSITIVE_INFINITY : (options.limit ?? defaultLimit)
  const sessions: SessionView[] = []
  let cursor: string | null = null
  do {
    const page = await client.listSessions({
      limit: Math.min(pageLimit, wanted - sessions.length),
      ...(options.live ? { status: 'live' } : {}),
      ...(options.project === undefined ? {} : { project: resolve(options.project) }),
      ...(options.person === undefined ? {} : { person: options.person }),
      ...(cursor === null ? {} : { cursor }),
    })
    sessions.push(...page.sessions)
    cursor = page.nextCursor
  } while (cursor !== null && sessions.length < wanted)
  return { sessions, more: cursor !== null }
}

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

/** Resolves once joined; `ended` then does at the session's end, to null where that takes too long to wait for. */
async function watchEnd(client: Client, id: string): Promise<{ readonly ended: Promise<SessionView | null> }> {
  const socket = await client.openStream(`/v1/sessions/${id}/attach`, viewerProtocol, { afterSeq: 'end' })
  let last: SessionView | null = null
  socket.on('message', (data, isBinary) => {
    if (isBinary) return
    const message = JSON.parse((data as Buffer).toString('utf8')) as ToViewer
    if (message.type === 'end') last = message.session
  })
  socket.resume()
  const timer = setTimeout(() => socket.close(), stopPatienceMs)
  const ended = once(socket, 'close').then(() => {
    clearTimeout(timer)
    return last
  })
  return { ended }
}

/** The session at its end, or as it is when that takes too long to wait for. */
async function pollEnd(client: Client, id: string): Promise<SessionView> {
  const startMs = performance.now()
  for (;;) {
    const session = await client.readSession(id)
    if (session.status === 'ended' || session.status === 'lost') return session
    if (performance.now() - startMs > stopPatienceMs) return session
    await delay(pollMs)
  }
}

/** Of its own, so that no title can look like a badge. */
const ownerColumn: Column<SessionView> = { title: '', value: ownerBadge, style: () => 'cyan' }

/** One table, so that its columns align throughout, with each project's name above its sessions. */
function formatByProject(sessions: readonly SessionView[], colour: boolean): string {
  const idLength = uniqueLength(sessions.map((session) => session.id))
  const nowUs = Date.now() * 1000
  const columns: readonly Column<SessionView>[] = [
    { title: '  ID', value: (session) => `  ${session.id.slice(0, idLength)}` },
    { title: 'STATUS', value: describeStatus, style: (session) => statusStyles[session.status] },
    { title: 'AGE', value: (session) => age(Date.parse(session.createdAt) * 1000, nowUs), align: 'right' },
    { title: 'AGENT', value: (session) => session.agent ?? '-' },
    ...(sessions.every(({ own }) => own) ? [] : [ownerColumn]),
    { title: 'TITLE', value: (session) => session.title, flexible: true },
  ]
  const groups = Map.groupBy(sessions, (session) => session.project)
  const width = process.stdout.isTTY ? process.stdout.columns : null
  const [header = '', ...lines] = renderTable([...groups.values()].flat(), columns, { width, colour }).split('\n')
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

/** `[alice]` for who looks at alice's session and is not her. */
function ownerBadge({ own, owner }: SessionView): string {
  return own ? '' : `[${truncate(neutralise(owner.person), maxBadgeName)}]`
}

function titleWithOwner(session: SessionView): string {
  return `${ownerBadge(session)} ${neutralise(session.title)}`.trimStart()
}

function describeStatus({ status, exit }: SessionView): string {
  if (exit === null) return status
  return exit.kind === 'exited' ? `ended (${exit.code})` : `ended (${exit.signal})`
}

function describeCommand({ kind, state, reason, createdAt, requestedBy }: CommandView): string {
  return `${createdAt} ${kind} by ${requestedBy}: ${state}${reason === null ? '' : ` (${reason})`}`
}

/** As short as it can be while all of them stay apart, and no shorter than people are used to. */
function uniqueLength(ids: readonly string[]): number {
  let length = shortestId
  while (new Set(ids.map((id) => id.slice(0, length))).size < ids.length) length++
  return length
}

function shortenHome(path: string): string {
  const home = homedir()
  return path === home || path.startsWith(`${home}/`) ? `~${path.slice(home.length)}` : path
}

function printJson(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}
