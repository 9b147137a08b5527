// Which core does what. A server and its load that share one measure each other.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus } from 'node:os'

export type Cores = { readonly server: string; readonly load: string }

/** Null where the machine has no two to give, or no way to say so (taskset of util-linux): then the system decides. */
export function findCores(): Cores | null {
  if (process.platform !== 'linux' || spawnSync('taskset', ['--version']).status !== 0) return null
  const allowed = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'ascii'))?.[1] ?? ''
  const numbers = allowed.split(/[,-]/)
  const [server] = numbers
  const load = numbers.at(-1)
  return server === undefined || load === undefined || server === load ? null : { server, load }
}

/** All threads that it has, and those that they start. @throws Error */
export function pin(pid: number | undefined, core: string | undefined): void {
  if (core === undefined) return
  const { status, stderr } = spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', core, String(pid)])
  if (status !== 0) throw new Error(`cannot keep process ${pid} on core ${core}: ${stderr}`)
}

/** What a process has used so far, all its threads together; `withEnded`: and its children that have ended, and theirs. In the
 *  kernel's ticks, 100 a second wherever we run (proc_pid_stat(5)). Null where there is no such file. */
export function readCpuSeconds(pid: number | undefined, { withEnded = false } = {}): number | null {
  if (process.platform !== 'linux') return null
  const stat = readFileSync(`/proc/${pid}/stat`, 'ascii')
  // What the program is called comes before, in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, withEnded ? 15 : 13).map(Number)
  return ticks.reduce((total, count) => total + count, 0) / 100
}

/** Begins to look at what everybody else does on this machine.
 *  @returns what share of all cores that took since then, once all that we started has ended; null where nobody can say */
export function watchOthers(): () => number | null {
  const own = () => readCpuSeconds(process.pid, { withEnded: true })
  const before = { own: own(), ...readMachine() }
  return () => {
    const after = { own: own(), ...readMachine() }
    if (before.own === null || after.own === null) return null
    const others = after.busyS - before.busyS - (after.own - before.own)
    return Math.max(0, others) / (after.allS - before.allS)
  }
}

function readMachine(): { readonly busyS: number; readonly allS: number } {
  let idleMs = 0
  let allMs = 0
  for (const { times } of cpus()) {
    idleMs += times.idle
    allMs += times.user + times.nice + times.sys + times.irq + times.idle
  }
  return { busyS: (allMs - idleMs) / 1000, allS: allMs / 1000 }
}
