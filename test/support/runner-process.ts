// The process of a session's runner, found as anybody finds a process.

import { readdirSync, readFileSync } from 'node:fs'

/** Runners carry their session's id in their title. */
export function runnerPid(id: string): number {
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (commandLine(entry).startsWith(`telec-runner ${id}`)) return Number(entry)
  }
  throw new Error(`no runner of session ${id} is there`)
}

/** Empty where the process has gone meanwhile. */
function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}
