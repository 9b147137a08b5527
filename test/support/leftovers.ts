// Finds the processes that tests started and did not end. A mark in the environment tells them: it is inherited by every
// child, whatever process group or session that has moved to.

import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

const mark = `TELECLAUDE_TEST_RUN=${randomUUID()}`
process.env.TELECLAUDE_TEST_RUN = mark.split('=')[1]

const graceMs = 3000
const pollMs = 100

export type Leftover = { readonly pid: number; readonly command: string }

/** Gives processes that are about to end the time to do so, kills those that still run then, and returns these.
 *  Finds nothing where there is no /proc. */
export async function endLeftovers(): Promise<readonly Leftover[]> {
  for (let waitedMs = 0; waitedMs < graceMs; waitedMs += pollMs) {
    if (findMarked().length === 0) return []
    await wait(pollMs)
  }
  const leftovers = findMarked()
  for (const { pid } of leftovers) kill(pid)
  return leftovers
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    const isGone = error instanceof Error && 'code' in error && error.code === 'ESRCH'
    if (!isGone) throw error
  }
}

function findMarked(): Leftover[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => readProc(pid, 'environ').split('\0').includes(mark))
    .map((pid) => ({ pid: Number(pid), command: readProc(pid, 'cmdline').replaceAll('\0', ' ').trim() }))
}

/** Empty for a process that is gone meanwhile, is a zombie, or is somebody else's: none that a test could have left. */
function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}
