// `telec doctor --isolation`: becomes a user whom nobody knows, in a process of its own, and shows that they can do nothing here.
// Changes nothing: where something is possible that should not be, trying it has no effect, or is undone at once.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { FoundSocket, Layout } from '@teleclaude/config/layout.ts'
import { readPeer } from '@teleclaude/peercred/peer.ts'
import { PeerError } from '@teleclaude/peercred/peer-error.ts'
import { connectTo } from '../daemon.ts'
import { type Finding, fail, ok, reason, warn } from '../finding.ts'
import { parseReport, type Report, type Task } from './attempts.ts'
import {
  findSession,
  type Guarded,
  type GuardedCheck,
  guardHomes,
  guardProcess,
  guardService,
  guardSocketDirectory,
  machinePlaces,
  type Places,
} from './places.ts'
import { judgeAnswers, listRequests } from './requests.ts'
import { findThrowawayUid } from './throwaway-uid.ts'

export type Target = {
  /** Path of the service's socket, at which it answers. */
  readonly socket: string
  /** Of the process that listens there; 0 where it is not known. */
  readonly pid: number
}

/** Of the service that is found on this machine. */
export async function checkInstallationIsolation(found: FoundSocket, layout: Layout): Promise<readonly Finding[]> {
  const reached = await connectTo(found, layout)
  if ('fault' in reached) return [reached.fault]
  const { socket } = reached
  try {
    const pid = listenerPid(socket)
    const answers = ok('socket', `${found.path} answers (chosen by: ${found.origin})`)
    const places = machinePlaces(fileURLToPath(new URL('../../../..', import.meta.url)))
    return [answers, ...(await checkIsolation(findThrowawayUid(), { socket: found.path, pid }, places))]
  } finally {
    socket.destroy()
  }
}

function listenerPid(socket: Socket): number {
  try {
    return readPeer(socket).pid
  } catch (error) {
    if (error instanceof PeerError) return 0
    throw error
  }
}

/** Only root can. @param uid that is nobody's */
export async function checkIsolation(
  uid: number,
  { socket, pid }: Target,
  places: Places,
): Promise<readonly Finding[]> {
  const check = 'throwaway-user'
  const name = `.telec-doctor-${randomBytes(8).toString('hex')}`
  const requests = listRequests(findSession(places.homes))
  const guarded = [
    ...guardSocketDirectory(socket, name),
    ...guardService(places, name),
    ...guardHomes(places.homes, name),
    ...guardProcess(pid),
  ]
  const task = {
    uid,
    socket,
    probes: requests.map(({ probe }) => probe),
    attempts: guarded.map(({ attempt }) => attempt),
    databaseDirectory: join(dirname(socket), 'postgres'),
  }
  let report: Report
  try {
    report = parseReport(await runThrowaway(task), task)
  } catch (error) {
    const mend = 'run this as root of the machine itself, not of a container or a user namespace'
    return [fail(check, `cannot become uid ${uid} and try: ${reason(error)}`, mend)]
  }
  return [
    ok(check, `what follows was tried as uid ${uid}, which has no account, and with no group but its own`),
    ...judgeAnswers(uid, report.whoami, requests, report.probes),
    ...judgeGuarded(uid, guarded, report.outcomes),
    report.database,
  ]
}

/** @returns what the process wrote. @throws Error where it did not come to its end */
async function runThrowaway(task: Task): Promise<string> {
  const program = fileURLToPath(new URL('./main.ts', import.meta.url))
  const child = spawn(process.execPath, [program], { cwd: '/', env: {}, stdio: 'pipe' })
  child.stdin.on('error', () => undefined)
  child.stdin.end(JSON.stringify(task))
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  if (code === 0) return stdout
  const [said = 'it said nothing'] = /^\w*Error.*$/m.exec(stderr) ?? []
  throw new Error(`it ended with ${code ?? signal}: ${said}`)
}

const checks: Readonly<Record<GuardedCheck, { readonly closed: string; readonly absent: string }>> = {
  'socket-directory': {
    closed: "can put nothing into the socket's directory, and take nothing out of it",
    absent: 'there is no socket',
  },
  secrets: { closed: "can not read the service's secrets", absent: 'no files with secrets of the service are here' },
  state: {
    closed: "can neither look into the service's state and logs nor put anything there",
    absent: 'no state or logs of the service are here: in the appliance, they are in volumes of the engine',
  },
  homes: {
    closed: "can neither look into what people's runners keep in their homes nor put anything there",
    absent: "nothing of ours is in anybody's home",
  },
  process: {
    closed: "can neither look into the service's process nor signal it",
    absent: 'which process the service is, is not known here',
  },
  engine: { closed: 'can not use the container engine', absent: 'no container engine is here' },
}

/** What keeps somebody out, or has gone meanwhile. */
const refusals = ['EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'ELOOP', 'ECONNREFUSED', 'ESRCH']

/** @param outcomes of `guarded`, in their order */
function judgeGuarded(
  uid: number,
  guarded: readonly Guarded[],
  outcomes: readonly (string | null)[],
): readonly Finding[] {
  const tried = guarded.map((each, index) => ({ ...each, outcome: outcomes[index] ?? null }))
  return (Object.keys(checks) as GuardedCheck[]).flatMap((check) => {
    const { closed, absent } = checks[check]
    const ofCheck = tried.filter((each) => each.check === check)
    if (ofCheck.length === 0) return [ok(check, absent)]
    const faults = ofCheck.flatMap(({ outcome, harm, mend }) => {
      if (outcome === null) return [fail(check, `DANGER: uid ${uid} ${harm}`, mend)]
      return refusals.includes(outcome)
        ? []
        : [warn(check, `it is not known whether uid ${uid} ${harm}: ${outcome}`, mend)]
    })
    return faults.length > 0 ? faults : [ok(check, `uid ${uid} ${closed}`)]
  })
}
