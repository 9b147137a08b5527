// `GET /v1/whoami` beside bare express on the same kind of socket, each on one core.

import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { Installation } from '../support/installation.ts'
import type { Run } from './bench.ts'
import { type Cores, findCores, pin, readCpuSeconds } from './cores.ts'
import type { Budget, Finding, Unit } from './finding.ts'
import { Program } from './program.ts'
import { type Served, serveMachine } from './served.ts'

const rounds = 5
/** Each with their own limit, which is not what is measured: together they may ask for more than one core can answer. */
const users = Array.from({ length: 8 }, (_, index) => 54_011 + index)
const connectionsPerUser = 2
const connections = users.length * connectionsPerUser

const config = `people:
${users.map((uid) => `  - { name: user-${uid}, role: member, os_uid: ${uid} }`).join('\n')}
limits: { requests_per_second: 10000 }
`
const loadSchema = z.object({ answered: z.int(), seconds: z.number(), p99Us: z.number() })
type Load = {
  readonly perSecond: number
  /** Of the server's own time. */
  readonly perCpuSecond: number | null
  readonly p99Us: number
}

export async function benchWhoami({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  const cores = findCores()
  if (cores === null) say('server and load share their cores: there are not two, or no taskset')
  const ours = process.getuid?.() === 0 ? await serveMachine(scope, cores, config) : await serveOne(scope, cores)
  const clients = await startClients(scope, cores)
  const [json = ''] = await Promise.all(
    clients.map((client) => client.ask(z.string(), { kind: 'read', socket: ours.socket })),
  )
  const bare = await serveBare(scope, cores, json)

  async function load({ socket, pid }: Served, seconds: number): Promise<Load> {
    const before = readCpuSeconds(pid)
    const question = { kind: 'load', socket, seconds, connections: connectionsPerUser }
    const loads = await Promise.all(clients.map((client) => client.ask(loadSchema, question)))
    const after = readCpuSeconds(pid)
    const answered = sum(loads.map((found) => found.answered))
    return {
      perSecond: sum(loads.map((found) => found.answered / found.seconds)),
      perCpuSecond: before === null || after === null ? null : answered / (after - before),
      p99Us: Math.max(...loads.map(({ p99Us }) => p99Us)),
    }
  }

  for (const server of [ours, bare]) await load(server, isQuick ? 1 : 3)
  const found: { readonly ours: Load; readonly bare: Load }[] = []
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`)
    found.push({ ours: await load(ours, isQuick ? 1 : 2), bare: await load(bare, isQuick ? 1 : 2) })
  }
  const values = (whose: 'ours' | 'bare', of: (load: Load) => number | null) =>
    found.map((round) => of(round[whose])).filter((value) => value !== null)
  const finding = (what: string, unit: Unit, of: (load: Load) => number | null, budget: Budget | null): Finding => ({
    what: `whoami, ${connections} connections: ${what}`,
    unit,
    rounds: values('ours', of),
    beside: { kind: 'peer', what: 'bare express', rounds: values('bare', of) },
    budget,
  })
  const half = { kind: 'at least', ratio: 0.5 } as const
  return [
    finding('answers', 'per s', ({ perSecond }) => perSecond, half),
    finding('answers by CPU time', 'per s', ({ perCpuSecond }) => perCpuSecond, half),
    finding('p99', 'ms', ({ p99Us }) => p99Us / 1000, null),
  ].filter(({ rounds }) => rounds.length > 0)
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

async function startClients(scope: AsyncDisposableStack, cores: Cores | null): Promise<readonly Program[]> {
  return Promise.all(users.map((uid) => Program.start(scope, 'load', { args: [String(uid)], core: cores?.load })))
}

/** Without root there is nobody else to be: single-user mode, on SQLite. */
async function serveOne(scope: AsyncDisposableStack, cores: Cores | null): Promise<Served> {
  const installation = scope.use(await Installation.make('sqlite'))
  const daemon = await installation.startDaemon()
  pin(daemon.pid, cores?.server)
  return { socket: installation.client.socketPath, pid: daemon.pid }
}

async function serveBare(scope: AsyncDisposableStack, cores: Cores | null, json: string): Promise<Served> {
  const directory = mkdtempSync('/tmp/tc-bench-')
  scope.defer(() => rmSync(directory, { recursive: true }))
  chmodSync(directory, 0o755)
  const socket = join(directory, 's')
  const { pid } = await Program.start(scope, 'express-server', { args: [socket, json], core: cores?.server })
  return { socket, pid }
}
