// How much of the machine's memory the service and a session's runner take while nothing happens: what is resident of them, also
// where others share it (the program of Node itself).

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { decodeSnapshotPart, snapshotFrameCode } from '@teleclaude/core/transcript.ts'
import { readSessionFile } from '../../packages/telec/recovery/session-file.ts'
import { type Engine, engines, type Installation } from '../support/installation.ts'
import type { Run } from './bench.ts'
import { type Finding, limit } from './finding.ts'
import { findService, install, readResident, startSession } from './installed.ts'

const serviceMegabytes = 110
const runnerMegabytes = 75
const sessions = 5
/** By then what the start has left behind is cleared away, or stays. */
const settledMs = 10_000

const engineNames = { sqlite: 'SQLite', postgres: 'PostgreSQL' } as const

export async function benchMemory({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  if (process.platform !== 'linux') throw new Error('only Linux says how much of a process is in memory (/proc)')
  const findings: Finding[] = []
  for (const engine of engines) {
    const own = await install(scope, engine)
    findings.push(await measureService(own, engine, isQuick ? 1 : 3))
    if (engine === 'sqlite') findings.push(await measureRunners(own))
    say(`${engineNames[engine]}: done`)
  }
  return findings
}

async function measureService(own: Installation, engine: Engine, starts: number): Promise<Finding> {
  const rounds: number[] = []
  for (let start = 0; start < starts; start++) {
    await own.telec(['daemon', '--stop'])
    await own.telec(['ls'])
    await delay(settledMs)
    rounds.push(readResident(await findService(own)).megabytes)
  }
  return { what: `service, idle, on ${engineNames[engine]}`, unit: 'MB', rounds, ...limit(serviceMegabytes) }
}

async function measureRunners(own: Installation): Promise<Finding> {
  const ids: string[] = []
  for (let session = 0; session < sessions; session++) {
    const id = await startSession(own, ['sh', '-c', 'printf "prompt> "; exec cat'])
    await lookAt(own, id)
    ids.push(id)
  }
  await delay(settledMs)
  const rounds = ids.map((id) => {
    const file = readSessionFile(join(singleUserLayout(own.home).spoolDir, id))
    if (file === null) throw new Error(`the session ${id} has no runner`)
    const { pid } = file.runner
    const guard = Number(/^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
    return readResident(pid).megabytes + readResident(guard).megabytes
  })
  return { what: 'runner and guard of a session, idle', unit: 'MB', rounds, ...limit(runnerMegabytes) }
}

/** Until its screen has come, which its runner has to make for that. */
async function lookAt(own: Installation, id: string): Promise<void> {
  const query = { show: 'screen', afterSeq: 'end' }
  const socket = await own.client.openStream(`/v1/sessions/${id}/attach`, viewerProtocol, query)
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary && data[0] === snapshotFrameCode && decodeSnapshotPart(data).isLast) socket.close()
  })
  socket.resume()
  await once(socket, 'close')
}
