// The socket, who is at its other end, and what that says of itself, in either mode. Nothing is said to a daemon that is not
// the one it should be.

import { once } from 'node:events'
import { lstatSync } from 'node:fs'
import { Agent, type IncomingMessage, request } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { readVersion } from '@teleclaude/api/version.ts'
import { type FoundSocket, type Layout, maxSocketPathBytes, systemLayout } from '@teleclaude/config/layout.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { readinessSchema, whoamiSchema } from '@teleclaude/core/api.ts'
import { osUserOf } from '@teleclaude/peercred/os-user.ts'
import { readPeer } from '@teleclaude/peercred/peer.ts'
import { PeerError } from '@teleclaude/peercred/peer-error.ts'
import { checkDatabaseLogin } from './database-login.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'
import { checkRunDirectory, describeCaller, describeSafeguards, systemMends } from './system.ts'

const patienceMs = 5_000

export type DaemonFindings = { readonly isSystem: boolean; readonly findings: readonly Finding[] }

/** `isSystem`: that it is the service of the whole machine, as far as is known. */
export async function checkDaemon(found: FoundSocket, layout: Layout): Promise<DaemonFindings> {
  const isSystem = found.path === systemLayout(process.platform).socket
  const reached = await connectTo(found, layout)
  if ('fault' in reached) return { isSystem, findings: [reached.fault] }
  const { socket } = reached
  const finding = ok('socket', `${found.path} answers (chosen by: ${found.origin})`)
  try {
    const identity = checkIdentity(socket, found)
    if (identity.state === 'fail') return { isSystem, findings: [finding, identity] }
    const get = askOver(socket)
    const readiness = await checkReadiness(get, found, layout)
    const who = whoamiSchema.safeParse(await get('/v1/whoami').catch(reason)).data
    if (!isSystem && who?.mode !== 'system') return { isSystem, findings: [finding, identity, ...readiness] }
    const outside = [
      checkRunDirectory(found.path, listenerUid(socket)),
      await checkDatabaseLogin(join(dirname(found.path), 'postgres')),
    ]
    const inside =
      who === undefined ? [] : [describeCaller(who), ...describeSafeguards(await get('/v1/safeguards').catch(reason))]
    return { isSystem: true, findings: [finding, identity, ...readiness, ...outside, ...inside] }
  } finally {
    socket.destroy()
  }
}

/** The connected socket, or what keeps it from being one. */
export async function connectTo(
  found: FoundSocket,
  layout: Layout,
): Promise<{ readonly socket: Socket } | { readonly fault: Finding }> {
  const fault = checkSocketFile(found, layout)
  if (fault !== null) return { fault }
  const socket = createConnection(found.path)
  try {
    await once(socket, 'connect')
    return { socket }
  } catch (error) {
    return { fault: explainConnection(found, layout, error) }
  }
}

/** Null where a socket is there to connect to. */
function checkSocketFile(found: FoundSocket, layout: Layout): Finding | null {
  const { path, origin } = found
  const limit = maxSocketPathBytes(process.platform)
  const bytes = Buffer.byteLength(path)
  if (bytes > limit) {
    const mend =
      origin === 'single-user' ? 'use a home directory with a shorter path (HOME)' : `use a shorter path (${origin})`
    return fail('socket', `${path}: ${bytes} bytes are too many for a socket's path, which holds ${limit}`, mend)
  }
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) return notRunning(found, layout, `there is no socket at ${path}`)
    if (stats.isSocket()) return null
    const quoted = shellQuote(path)
    return fail('socket', `what is at ${path} is not a socket`, `mv ${quoted} ${shellQuote(`${path}.old`)}`)
  } catch (error) {
    return explainConnection(found, layout, error)
  }
}

/** In single-user mode, telec starts the daemon when it needs it. */
function notRunning({ path }: FoundSocket, layout: Layout, what: string): Finding {
  if (path === layout.socket) return warn('socket', `no daemon runs: ${what}`, 'telec daemon --ensure')
  if (path !== systemLayout(process.platform).socket)
    return fail('socket', what, 'name the socket of a running service with --socket')
  return fail(
    'socket',
    what,
    process.platform === 'darwin' ? 'sudo launchctl kickstart system/teleclaude' : systemMends.start,
  )
}

function explainConnection(found: FoundSocket, layout: Layout, error: unknown): Finding {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ECONNREFUSED') return notRunning(found, layout, `the socket ${found.path} is left over, nobody listens`)
  if (code === 'ENOENT') return notRunning(found, layout, `there is no socket at ${found.path}`)
  if (code === 'EACCES' || code === 'EPERM') {
    const mend = `ls -l ${shellQuote(found.path)}  # its owner and group can use it: ask them, or the admin`
    return fail('socket', `you may not use the socket ${found.path}`, mend)
  }
  const mend =
    found.path === layout.socket
      ? `telec daemon --stop && telec daemon --ensure  # its log: ${layout.logFile}`
      : systemMends.log
  return fail('socket', `cannot connect to ${found.path}: ${reason(error)}`, mend)
}

function listenerUid(socket: Socket): number | null {
  try {
    return readPeer(socket).uid
  } catch (error) {
    if (error instanceof PeerError) return null
    throw error
  }
}

/** Only the uid that owns the state may serve it, or whom root gave a place for that: anybody else there reads what is typed. */
function checkIdentity(socket: Socket, { path, origin }: FoundSocket): Finding {
  const check = 'daemon'
  try {
    const { uid, pid } = readPeer(socket)
    const account = osUserOf(uid)
    const who = `${account === null ? `uid ${uid}, which has no account here` : `${account} (uid ${uid})`}, process ${pid}`
    const isRoots = () => origin !== 'single-user' && checkRunDirectory(path, null).state === 'ok'
    if (uid === process.getuid?.() || path === systemLayout(process.platform).socket || isRoots())
      return ok(check, `runs as ${who}`)
    const what = `DANGER: ${who} listens on ${path}, not you: whatever you type there is theirs`
    return fail(check, what, `ls -l ${shellQuote(path)}; ps -fp ${pid}  # find out how it got there, and do not use it`)
  } catch (error) {
    return fail(check, `nobody knows who listens on ${path}: ${reason(error)}`, 'do not use this socket')
  }
}

async function checkReadiness(get: Ask, found: FoundSocket, layout: Layout): Promise<readonly Finding[]> {
  const isOwn = found.path === layout.socket
  const log = isOwn ? `tail -n 20 ${shellQuote(layout.logFile)}` : systemMends.log
  const restart = isOwn ? 'telec daemon --stop && telec daemon --ensure' : systemMends.update
  let answer: unknown
  try {
    answer = await get('/readyz')
  } catch (error) {
    return [fail('service', `the daemon does not answer as TeleClaude does: ${reason(error)}`, log)]
  }
  const parsed = readinessSchema.safeParse(answer)
  if (!parsed.success)
    return [fail('service', `the daemon is of another version, or no TeleClaude: ${describe(answer)}`, restart)]
  const { version, database } = parsed.data
  const own = readVersion()
  return [
    version === own
      ? ok('service', `version ${version}`)
      : warn('service', `the daemon has version ${version}, this telec ${own}`, restart),
    database.status === 'ok' ? ok('database', 'answers') : fail('database', `does not answer: ${database.reason}`, log),
  ]
}

type Ask = (path: string) => Promise<unknown>

/** Over the connection whose other end is known by now, and no other; one after the other. */
function askOver(socket: Socket): Ask {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  agent.createConnection = () => socket
  return async (path) => {
    const sent = request({ agent, path, signal: AbortSignal.timeout(patienceMs) })
    sent.end()
    const [response]: IncomingMessage[] = await once(sent, 'response')
    if (response === undefined) throw new Error('there was no answer')
    return JSON.parse(await text(response))
  }
}

/** A refusal is a problem document (RFC 9457). */
function describe(answer: unknown): string {
  const hasDetail = typeof answer === 'object' && answer !== null && 'detail' in answer
  return hasDetail ? String(answer.detail) : 'its answer can not be read'
}
