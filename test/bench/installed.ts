// Single-user mode as its owner has it: a service that the first `telec` started by itself, and what Node compiled is there already.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readPeer } from '@teleclaude/peercred/peer.ts'
import { type Engine, Installation } from '../support/installation.ts'

export async function install(scope: AsyncDisposableStack, engine: Engine): Promise<Installation> {
  // A cache of its own: that of the tests may be another user's.
  const cache = mkdtempSync(join(tmpdir(), 'tc-bench-cache-'))
  scope.defer(() => rmSync(cache, { recursive: true, force: true }))
  const own = scope.use(await Installation.make(engine, { XDG_CACHE_HOME: cache }))
  // Node writes what it compiled at the end of a process.
  for (const args of [
    ['run', '--', 'true'],
    ['daemon', '--stop'],
    ['run', '--', 'true'],
  ]) {
    const { code, stderr } = await own.telec(args)
    if (code !== 0) throw new Error(`telec ${args.join(' ')} failed with ${code}: ${stderr}`)
  }
  return own
}

export async function findService(own: Installation): Promise<number> {
  const socket = createConnection(own.client.socketPath)
  await once(socket, 'connect')
  const { pid } = readPeer(socket)
  socket.destroy()
  return pid
}

/** What of a process is in memory now, and the most that ever was (VmRSS and VmHWM, proc_pid_status(5)).
 *  @throws Error where there is no such process, or no such file system */
export function readResident(pid: number): { readonly megabytes: number; readonly mostMegabytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const read = (name: string) => {
    const kilobytes = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1]
    if (kilobytes === undefined) throw new Error(`the process ${pid} has no memory: it has ended`)
    return (Number(kilobytes) * 1024) / 1_000_000
  }
  return { megabytes: read('VmRSS'), mostMegabytes: read('VmHWM') }
}

/** A session in the background. Returns its id. */
export async function startSession(own: Installation, words: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await own.telec(['run', '--detach', '--', ...words])
  if (code !== 0) throw new Error(`telec run --detach failed with ${code}: ${stderr}`)
  return stdout.toString('utf8').trim()
}
