// Starts a session's runner under its guard, away from this terminal: in a scope of its own where there can be one, and in a
// session of its own (setsid(2)) in any case.

import { writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { spawnReporting } from '../spawn-detached.ts'
import type { RunnerTask } from './runner.ts'
import { findScope, readScopeFacts, type Scope } from './scope.ts'

/** How long a manager has to make a scope. One that hangs must not keep anybody from working. */
const scopePatienceMs = 5_000

/** Returns `ok` when the program runs, the reason why it does not, or nothing where the runner ended without a word.
 *  @param logFd takes what the runner and its guard have to say */
export async function startRunner(
  task: RunnerTask,
  logFd: number,
  scope: Scope = findScope(task.sessionId, readScopeFacts(process.env)),
): Promise<string> {
  const guard = [
    '/bin/sh',
    fileURLToPath(new URL('./guard.sh', import.meta.url)),
    process.execPath,
    fileURLToPath(new URL('./process.mjs', import.meta.url)),
    task.spoolDirectory,
    task.sessionId,
  ]
  const said = await startInScope(scope, guard, task, logFd)
  if (said.text !== null) return said.text
  if (said.why !== null) writeSync(logFd, `session ${task.sessionId} has no scope of its own: ${said.why}\n`)
  return (await start(guard, task, logFd)) ?? ''
}

type Said = { readonly text: string } | { readonly text: null; readonly why: string | null }

async function startInScope(scope: Scope, guard: readonly string[], task: RunnerTask, logFd: number): Promise<Said> {
  switch (scope.kind) {
    case 'none':
      return { text: null, why: null }
    case 'not-lingering':
    case 'no-manager':
      return { text: null, why: scope.why }
    case 'available': {
      const words = [...scope.command, ...guard]
      // systemd puts the values of variables for `$` in a command's words.
      if (words.some((word) => word.includes('$'))) return { text: null, why: 'there is a $ in a path' }
      const text = await start(words, task, logFd, scopePatienceMs)
      return text === null ? { text, why: 'systemd-run has failed' } : { text }
    }
  }
}

/** Null where the guard was not even reached, in the time that there is for that. */
async function start(
  [file = '', ...args]: readonly string[],
  task: RunnerTask,
  logFd: number,
  patienceMs?: number,
): Promise<string | null> {
  const limit = patienceMs === undefined ? {} : { patienceMs }
  try {
    const { text } = await spawnReporting(file, { args, input: JSON.stringify(task), logFd, cwd: task.cwd, ...limit })
    return text === '' ? null : text.trimStart()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
