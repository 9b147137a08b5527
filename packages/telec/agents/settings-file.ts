// The settings file that an agent reads while its session goes on: in ~/.teleclaude/run/agents, by the session's id. Runners load
// this too, so it needs little.

import { lstatSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensurePrivateDirectory } from '@teleclaude/config/directories.ts'
import { isThere, singleUserLayout } from '@teleclaude/config/layout.ts'

/** A session that is starting has its file before it has a spool. */
const beginningMs = 60_000

/** Returns the file's path.
 *  @throws DirectoryError, or what the file system says */
export function writeSettingsFile(sessionId: string, text: string): string {
  const { root, runDir, spoolDir } = singleUserLayout(homedir())
  // Whoever else could write there would decide what runs as this person.
  for (const path of [root, runDir, settingsDirectory()]) ensurePrivateDirectory(path)
  removeForgotten(spoolDir)
  const file = settingsFile(sessionId)
  writeFileSync(file, text, { mode: 0o600, flag: 'wx' })
  return file
}

/** At the end of a session, whether or not it has one. */
export function removeSettingsFile(sessionId: string): void {
  rmSync(settingsFile(sessionId), { force: true })
}

/** Those of sessions whose runner was killed. */
function removeForgotten(spoolDir: string): void {
  for (const name of readdirSync(settingsDirectory())) {
    const path = join(settingsDirectory(), name)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found === undefined || Date.now() - found.mtimeMs < beginningMs) continue
    if (!isThere(join(spoolDir, name.replace(/\.json$/, '')))) rmSync(path, { force: true })
  }
}

function settingsDirectory(): string {
  return join(singleUserLayout(homedir()).runDir, 'agents')
}

function settingsFile(sessionId: string): string {
  return join(settingsDirectory(), `${sessionId}.json`)
}
