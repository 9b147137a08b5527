// `telec daemon`: the single-user service in the foreground; `--ensure` and `--stop` see to the one in the background.

import { once } from 'node:events'
import { closeSync, writeSync } from 'node:fs'
import { createConnection } from 'node:net'
import { homedir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import { exitCodes, Failure } from '../failure.ts'
import { type DaemonReport, startDaemon } from '../service.ts'
import { reportFd } from '../spawn-detached.ts'

export type DaemonOptions = {
  readonly ensure?: true
  readonly stop?: true
  readonly report?: true
  readonly newAuditKey?: true
}

const stopPatienceMs = 15_000
const pollMs = 25

export async function daemon(options: DaemonOptions): Promise<number> {
  if (options.stop) return stop()
  if (options.ensure) {
    const state = await startDaemon(singleUserLayout(homedir()))
    process.stdout.write(state === 'started' ? 'TeleClaude is started.\n' : 'TeleClaude is running.\n')
    return 0
  }
  return serve(options.report ?? false, options.newAuditKey ?? false)
}

/** Where a parent waits for the report, it gets the reason why this did not start; a person gets it on stderr in any case. */
async function serve(reports: boolean, newAuditKey: boolean): Promise<number> {
  const report = (message: DaemonReport): void => {
    if (!reports) return
    writeSync(reportFd, JSON.stringify(message))
    closeSync(reportFd)
    reports = false
  }
  try {
    const { runDaemon } = await import('@teleclaude/api/single-user.ts')
    await runDaemon({
      layout: singleUserLayout(homedir()),
      newAuditKey,
      env: process.env,
      ready: () => report({ ready: true }),
    })
    return 0
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    report({ ready: false, code, message })
    throw error
  }
}

/** Who listens on the socket is asked of the kernel: a number in a file could by now be another process. */
async function stop(): Promise<number> {
  const { socket: path } = singleUserLayout(homedir())
  const pid = await listenerPid(path)
  if (pid === null) {
    process.stdout.write('TeleClaude is not running.\n')
    return 0
  }
  process.kill(pid, 'SIGTERM')
  const deadline = performance.now() + stopPatienceMs
  while (isAlive(pid)) {
    if (performance.now() > deadline) {
      throw new Failure(
        exitCodes.unavailable,
        `cannot stop the daemon: process ${pid} is still ending; \`kill -9 ${pid}\` ends it at once, sessions keep their output`,
      )
    }
    await delay(pollMs)
  }
  process.stdout.write('TeleClaude is stopped. Sessions go on; their output is kept until it runs again.\n')
  return 0
}

async function listenerPid(path: string): Promise<number | null> {
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') return null
    throw error
  }
  try {
    const { readPeer } = await import('@teleclaude/peercred/peer.ts')
    const peer = readPeer(socket)
    if (peer.uid === process.getuid?.() && peer.pid > 0) return peer.pid
    throw new Failure(
      exitCodes.notPermitted,
      `cannot stop the daemon at ${path}: it runs as uid ${peer.uid}, not as you`,
    )
  } finally {
    socket.destroy()
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
