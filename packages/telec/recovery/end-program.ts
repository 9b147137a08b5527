// Ends the program of a session whose runner is gone: nothing goes on unrecorded. Its terminal is gone with the runner, and most
// programs with the terminal; this is for those that ignore the hangup.

import { readdirSync } from 'node:fs'
import { isAlive, type Machine, processStat, readProc } from './process-identity.ts'
import type { SessionFile } from './session-file.ts'

/** Kills the program's process group. What it has put into groups of their own goes on, as after any end of a session. */
export function endProgram(session: SessionFile, here: Machine): void {
  const { program, machine } = session
  if (program === null || machine.bootId !== here.bootId || machine.pidNamespace !== here.pidNamespace) return
  if (isAlive(program)) kill(-program.pid)
  else if (process.platform === 'linux') for (const pid of leftBehind(program.pid, session.sessionId)) kill(pid)
}

/** Members of a group whose leader is gone. The number could be another group's by now, so each has to carry the session's id. */
function leftBehind(groupId: number, sessionId: string): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => {
    if (processStat(pid)?.groupId !== groupId) return false
    const environment = readProc(`/proc/${pid}/environ`) ?? ''
    return environment.split('\0').includes(`TELECLAUDE_SESSION_ID=${sessionId}`)
  })
}

function kill(target: number): void {
  try {
    process.kill(target, 'SIGKILL')
  } catch (error) {
    // ESRCH: it has ended by itself. EPERM: it has become another user's (sudo), and is not ours to end.
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}
