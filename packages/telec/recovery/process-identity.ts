// Which process is meant, for others that read it from a file later: by then its number may be another's. A number and a start
// time say it within one boot and one PID namespace; where those differ, or can't be known, nothing is said of the process.

import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

export type ProcessIdentity = { readonly pid: number; readonly startedAt: string }

/** Where process numbers mean the same processes. Homes are shared between machines, and with containers and sandboxes. */
export type Machine = { readonly id: string; readonly bootId: string; readonly pidNamespace: string }

/** Null where the system does not say: then there is nothing that could be told of any process. */
export function thisMachine(): Machine | null {
  try {
    if (process.platform === 'darwin') {
      return { id: hostname(), bootId: ask('/usr/sbin/sysctl', '-n', 'kern.bootsessionuuid'), pidNamespace: '' }
    }
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return { id: machineId(), bootId, pidNamespace: readlinkSync('/proc/self/ns/pid') }
  } catch (error) {
    if (error instanceof Error && ('code' in error || 'status' in error)) return null
    throw error
  }
}

/** machine-id(5). Containers often have none, and a host name of their own. */
function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim() || hostname()
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return hostname()
    throw error
  }
}

/** Null where there is no such process, or it has ended and only waits to be noticed. */
export function identify(pid: number): ProcessIdentity | null {
  const startedAt = process.platform === 'darwin' ? startTimeByPs(pid) : (processStat(pid)?.startedAt ?? null)
  return startedAt === null ? null : { pid, startedAt }
}

/** For processes of this machine's present boot, in our PID namespace. */
export function isAlive(wanted: ProcessIdentity): boolean {
  return identify(wanted.pid)?.startedAt === wanted.startedAt
}

type ProcessStat = { readonly groupId: number; readonly startedAt: string }

/** proc_pid_stat(5). The name of the program comes before the rest, in parentheses, and may hold anything. */
export function processStat(pid: number): ProcessStat | null {
  const text = readProc(`/proc/${pid}/stat`)
  if (text === null) return null
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, , groupId] = fields
  const startedAt = fields[19]
  if (startedAt === undefined || state === 'Z' || state === 'X') return null
  return { groupId: Number(groupId), startedAt }
}

/** Null where the process is gone, or not ours to look at. */
export function readProc(path: string): string | null {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return null
    throw error
  }
}

function startTimeByPs(pid: number): string | null {
  try {
    return ask('/bin/ps', '-o', 'lstart=', '-p', `${pid}`) || null
  } catch (error) {
    if (error instanceof Error && 'status' in error) return null
    throw error
  }
}

function ask(file: string, ...args: readonly string[]): string {
  // Loaded where it is used: this module is on the way of every `telec`.
  const { execFileSync } = process.getBuiltinModule('node:child_process')
  const env = { LC_ALL: 'C', TZ: 'UTC' }
  return execFileSync(file, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null
}
