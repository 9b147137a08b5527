// `session.json` in a session's spool: what somebody needs who takes over from a runner that is gone. It is read before every
// command of `telec`, so no schema library is loaded for it.

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine, ProcessIdentity } from './process-identity.ts'

export type SessionFile = {
  readonly sessionId: string
  readonly socketPath: string
  readonly machine: Machine
  readonly runner: ProcessIdentity
  /** The program, once it was started: the leader of its own process group. */
  readonly program: ProcessIdentity | null
}

export const sessionFileName = 'session.json'

/** There is always the old or the new one, also after a crash of the machine. */
export function writeSessionFile(directory: string, content: SessionFile): void {
  const temporary = join(directory, `${sessionFileName}.new`)
  const fd = openSync(temporary, 'w', 0o600)
  try {
    writeSync(fd, JSON.stringify(content))
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, join(directory, sessionFileName))
}

/** Null where there is none, or none that makes sense. */
export function readSessionFile(directory: string): SessionFile | null {
  try {
    return parse(JSON.parse(readFileSync(join(directory, sessionFileName), 'utf8')))
  } catch (error) {
    if (error instanceof SyntaxError) return null
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function parse(value: unknown): SessionFile | null {
  if (!isObject(value)) return null
  const { sessionId, socketPath, machine, runner, program } = value
  if (typeof sessionId !== 'string' || typeof socketPath !== 'string') return null
  if (!isMachine(machine) || !isProcess(runner) || !(program === null || isProcess(program))) return null
  return { sessionId, socketPath, machine, runner, program }
}

function isMachine(value: unknown): value is Machine {
  return (
    isObject(value) &&
    typeof value.id === 'string' &&
    typeof value.bootId === 'string' &&
    typeof value.pidNamespace === 'string'
  )
}

export function isProcess(value: unknown): value is ProcessIdentity {
  // 0 and 1 would be all of ours and all there are (kill(2)).
  return (
    isObject(value) && Number.isSafeInteger(value.pid) && Number(value.pid) > 1 && typeof value.startedAt === 'string'
  )
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
