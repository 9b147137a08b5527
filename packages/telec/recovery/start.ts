// Before each command of `telec`: whether runners of this person's sessions are gone without a word, as after a crash or a
// restart of the machine. It costs well under a millisecond where none is.

import { openSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { singleUserLayout } from '@teleclaude/config/layout.ts'

/** The command that is asked for never waits for the recovery, nor fails with it. */
export async function startRecoveryIfNeeded(): Promise<void> {
  const { spoolDir, logDir } = singleUserLayout(homedir())
  // Nothing else is loaded where no session is.
  if (!hasEntries(spoolDir)) return
  try {
    const { findOrphans } = await import('./orphans.ts')
    if (findOrphans(spoolDir).length > 0) startRecovery(spoolDir, join(logDir, 'runner.log'))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error
    process.stderr.write(`telec: cannot recover sessions whose runners are gone: ${error.message}\n`)
  }
}

function startRecovery(spoolDirectory: string, logFile: string): void {
  // Loaded where it is used: this module is on the way of every `telec`.
  const { spawn } = process.getBuiltinModule('node:child_process')
  const log = openSync(logFile, 'a', 0o600)
  const program = fileURLToPath(new URL('../runner/process.mjs', import.meta.url))
  const child = spawn(process.execPath, [program, 'recover', spoolDirectory], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log],
  })
  // The next command tries again.
  child.on('error', () => undefined)
  child.unref()
}

function hasEntries(directory: string): boolean {
  try {
    return readdirSync(directory).length > 0
  } catch (error) {
    // Not there, no directory, or not to be read: no session of ours has a spool in it.
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}
