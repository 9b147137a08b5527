// Finds the service, and in single-user mode starts it where none runs.

import { once } from 'node:events'
import { mkdirSync, openSync } from 'node:fs'
import { createConnection } from 'node:net'
import { homedir } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Client, ConnectionError } from '@teleclaude/client/client.ts'
import { type FoundSocket, findSocket, type Layout, singleUserLayout } from '@teleclaude/config/layout.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { exitCodes, Failure } from './failure.ts'
import { spawnDetached } from './spawn-detached.ts'

export type ServiceOptions = { readonly socket?: string }

/** How long a daemon that somebody else is starting has to become ready. */
const startPatienceMs = 15_000
const pollMs = 50

/** What a daemon says of its start, on the report's file descriptor. */
export type DaemonReport =
  | { readonly ready: true }
  | { readonly ready: false; readonly code: string; readonly message: string }

/** Does something with the service that runs. */
export async function withClient<T>(options: ServiceOptions, use: (client: Client) => Promise<T>): Promise<T> {
  const found = findSocket({ flag: options.socket, env: process.env, home: homedir() })
  try {
    return await use(new Client(found.path))
  } catch (error) {
    throw error instanceof ConnectionError ? explain(found, error) : error
  }
}

/** Does something with the service; where single-user mode's daemon is not running, starts it and tries once more. */
export async function withService<T>(options: ServiceOptions, use: (client: Client) => Promise<T>): Promise<T> {
  const layout = singleUserLayout(homedir())
  const found = findSocket({ flag: options.socket, env: process.env, home: homedir() })
  const client = new Client(found.path)
  try {
    return await use(client)
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error
    const isAbsent = error.code === 'no-socket' || error.code === 'refused'
    if (!isAbsent || found.path !== layout.socket) throw explain(found, error)
    await startDaemon(layout)
    return await use(client)
  }
}

/** The same failure, with what to do about it. */
function explain({ path, origin }: FoundSocket, { code, message, cause }: ConnectionError): ConnectionError {
  const mends: Readonly<Record<ConnectionError['code'], string | null>> = {
    'no-socket':
      origin === 'system'
        ? "This machine's TeleClaude is not up: its admin can look with `docker compose ps`, or `systemctl status teleclaude`."
        : 'Start the service there, or name its socket with --socket.',
    refused:
      origin === 'system'
        ? "This machine's TeleClaude has died or is just starting: try again; its admin can look with `docker compose logs api`, or `journalctl -u teleclaude`."
        : 'Start the service there, or name its socket with --socket.',
    'not-permitted': `Its owner or the admin says who may: ls -l ${shellQuote(path)}`,
    broken: null,
  }
  const mend = mends[code]
  return mend === null
    ? new ConnectionError(code, message, { cause })
    : new ConnectionError(code, `${message}\n${mend}`, { cause })
}

/** Starts the single-user daemon in the background and waits until it is ready.
 *  @throws Failure with the daemon's own reason */
export async function startDaemon(layout: Layout): Promise<'started' | 'running'> {
  if (await answers(layout.socket)) return 'running'
  const report = await spawnDetached('./bin/telec.mjs', {
    args: ['daemon', '--report'],
    // It gives back what its start took (give-back.ts). And glibc keeps what threads have freed in two places, and not in up to
    // eight for each core (mallopt(3)).
    nodeArgs: ['--expose-gc'],
    env: { MALLOC_ARENA_MAX: '2' },
    logFd: openLog(layout.logFile),
    cwd: '/',
  })
  const parsed = report.text === '' ? null : (JSON.parse(report.text) as DaemonReport)
  if (parsed?.ready) return 'started'
  if (parsed?.code === 'lock-held' && (await answersWithin(layout.socket, startPatienceMs))) return 'running'
  throw new Failure(
    parsed?.code === 'config' ? exitCodes.config : exitCodes.unavailable,
    parsed?.message ?? `cannot start the daemon: it ended without a word; its log is ${layout.logFile}`,
  )
}

function openLog(path: string): number {
  try {
    mkdirSync(dirname(dirname(path)), { recursive: true, mode: 0o700 })
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return openSync(path, 'a', 0o600)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Failure(
      exitCodes.unavailable,
      `cannot start the daemon: its log ${path} can not be written (${reason}); TeleClaude needs a home directory that you can write to`,
      { cause: error },
    )
  }
}

async function answersWithin(socketPath: string, patienceMs: number): Promise<boolean> {
  const deadline = performance.now() + patienceMs
  while (performance.now() < deadline) {
    if (await answers(socketPath)) return true
    await delay(pollMs)
  }
  return false
}

async function answers(socketPath: string): Promise<boolean> {
  const socket = createConnection(socketPath)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    // A full queue is somebody's (connect(2)).
    return error instanceof Error && 'code' in error && error.code === 'EAGAIN'
  } finally {
    socket.destroy()
  }
}
