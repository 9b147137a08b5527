// Starts a session's runner under its guard, away from this terminal: in a scope of its own where there can be one, and in a
// session of its own (setsid(2)) in any case.

import { writeSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { spawnReporting } from '../spawn-detached.ts'
import type { RunnerTask } from './runner.ts'
import { readScopeFacts, scopeCommand } from './scope.ts'

/** Returns `ok` when the program runs, the reason why it does not, or nothing where the runner ended without a word.
 *  @param logFd takes what the runner and its guard have to say
 *  @param inScope the command that runs another in a scope, where there can be one */
export async function startRunner(
  task: RunnerTask,
  logFd: number,
  inScope: readonly string[] | null = scopeCommand(task.sessionId, readScopeFacts(process.env)),
): Promise<string> {
  const guard = [
    fileURLToPath(new URL('./guard.sh', import.meta.url)),
    process.execPath,
    fileURLToPath(new URL('./process.mjs', import.meta.url)),
    task.spoolDirectory,
    task.sessionId,
  ]
  // systemd puts the values of variables for `$` in a command's words.
  if (inScope !== null && !guard.some((word) => word.includes('$'))) {
    const said = await start([...inScope, '/bin/sh', ...guard], task, logFd)
    if (said !== null) return said
    writeSync(logFd, `session ${task.sessionId} has no scope of its own: systemd-run has failed\n`)
  }
  return (await start(['/bin/sh', ...guard], task, logFd)) ?? ''
}

/** Null where the guard was not even reached. */
async function start([file = '', ...args]: readonly string[], task: RunnerTask, logFd: number): Promise<string | null> {
  try {
    const { text } = await spawnReporting(file, { args, input: JSON.stringify(task), logFd, cwd: task.cwd })
    return text === '' ? null : text.trimStart()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
