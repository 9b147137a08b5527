// Spools whose runners are gone. Looked for before every command of `telec` where there are spools: it loads nothing but Node.

import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isClaimed } from './claim.ts'
import { isLifelineCut } from './lifeline.ts'
import { isAlive, type Machine, thisMachine } from './process-identity.ts'
import { removedSuffix } from './remove-spool.ts'
import { readSessionFile, type SessionFile } from './session-file.ts'

/** What could not be delivered is not tried again for this long. */
const retryAfterMs = 10 * 60_000
/** A runner writes its session file right after it has made the directory: one without it for this long is no beginning. */
const beginningMs = 60_000
const sessionName = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** In a spool that could not be delivered: why, and, by its time, when that was found. */
export const undeliveredName = 'undelivered'

export type Orphan = {
  readonly directory: string
  readonly machine: Machine
  /** Null where it is not known of which session it is, and for what is only to be deleted. */
  readonly session: SessionFile | null
}

/** Those that somebody should see to now. The directory has to be there. */
export function findOrphans(spoolDirectory: string): readonly Orphan[] {
  const names = readdirSync(spoolDirectory)
  const machine = thisMachine()
  // Whoever else can write here could have us end and send what they like.
  if (machine === null || !isOwn(spoolDirectory)) return []
  return names.flatMap((name) => {
    const directory = join(spoolDirectory, name)
    try {
      return examine(name, directory, machine) ?? []
    } catch (error) {
      // Delivered and removed by somebody else at this moment.
      if (codeOf(error) === 'ENOENT') return []
      throw error
    }
  })
}

function examine(name: string, directory: string, machine: Machine): Orphan | null {
  if (name.endsWith(removedSuffix)) return isOwn(directory) ? { directory, machine, session: null } : null
  if (!sessionName.test(name) || !isOwn(directory) || wasTriedLately(directory)) return null
  const session = readSessionFile(directory)
  if (session === null) return isFresh(directory, beginningMs) ? null : { directory, machine, session }
  if (session.sessionId !== name || !isGone(session, machine, directory) || isClaimed(directory, machine)) return null
  return { directory, machine, session }
}

/** Whether its runner is known to be gone: one of another machine is not. */
export function isGone({ machine, runner }: SessionFile, here: Machine, directory: string): boolean {
  if (machine.id !== here.id) return false
  if (machine.bootId !== here.bootId) return true
  return machine.pidNamespace === here.pidNamespace ? !isAlive(runner) : isLifelineCut(directory)
}

function wasTriedLately(directory: string): boolean {
  const found = lstatSync(join(directory, undeliveredName), { throwIfNoEntry: false })
  return found !== undefined && isRecent(found.mtimeMs, retryAfterMs)
}

function isFresh(directory: string, forMs: number): boolean {
  return isRecent(lstatSync(directory).mtimeMs, forMs)
}

/** What is from the future says nothing: the clock has been set. */
function isRecent(atMs: number, forMs: number): boolean {
  const ageMs = Date.now() - atMs
  return ageMs >= 0 && ageMs < forMs
}

function isOwn(path: string): boolean {
  const found = lstatSync(path)
  return found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o022) === 0
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : null
}
