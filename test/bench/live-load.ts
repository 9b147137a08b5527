// Five hundred sessions that all print at once: whether everything is recorded, how soon, and what that costs the service.

import { z } from 'zod'
import { queryRows } from '../../packages/store/test-engines.ts'
import { engines, type Installation } from '../support/installation.ts'
import type { Run } from './bench.ts'
import { findCores, pin, readCpuSeconds } from './cores.ts'
import { type Finding, limit, type Unit } from './finding.ts'
import { findService, install, readResident } from './installed.ts'
import { Program } from './program.ts'

const sessions = 500
const seconds = 60
const quickSeconds = 20
const limitMegabytes = 400

const engineNames = { sqlite: 'SQLite', postgres: 'PostgreSQL' } as const
const loadSchema = z.object({
  bytes: z.int(),
  seconds: z.number(),
  p50Ms: z.number(),
  p99Ms: z.number(),
})

export async function benchLiveLoad({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  if (process.platform !== 'linux') throw new Error('only Linux says how much of a process is in memory (/proc)')
  const cores = findCores()
  if (cores === null) say('server and load share their cores: there are not two, or no taskset')
  const findings: Finding[] = []
  for (const engine of engines) {
    const own = await install(scope, engine)
    const service = await findService(own)
    pin(service, cores?.server)
    const runners = await Program.start(scope, 'live-runners', {
      args: [own.client.socketPath],
      core: cores?.load,
    })
    await runners.ask(z.null(), { kind: 'open', sessions })
    const readCommits = await countCommits(own)
    const startCpuS = readCpuSeconds(service) ?? 0
    const load = await runners.ask(loadSchema, { kind: 'print', seconds: isQuick ? quickSeconds : seconds })
    const cpuS = (readCpuSeconds(service) ?? 0) - startCpuS
    const commits = await readCommits()
    const broken = await runners.ask(z.int(), { kind: 'check' })
    if (broken > 0) throw new Error(`${broken} of ${sessions} transcripts are not what was printed`)
    say(`${engineNames[engine]}: all of ${load.bytes} bytes are in the transcripts`)
    const what = `${sessions} live sessions on ${engineNames[engine]}`
    const one = (name: string, unit: Unit, value: number): Finding => ({
      what: `${what}: ${name}`,
      unit,
      rounds: [value],
      beside: null,
      budget: null,
    })
    findings.push(
      { ...one('service, at most', 'MB', readResident(service).mostMegabytes), ...limit(limitMegabytes) },
      one('printed', 'MB a s', load.bytes / load.seconds / 1_000_000),
      one('from sent to recorded, p50', 'ms', load.p50Ms),
      one('from sent to recorded, p99', 'ms', load.p99Ms),
      one('CPU time of the service, for a second of theirs', 'ms', (cpuS / load.seconds) * 1000),
      ...(commits === null ? [] : [one('commits', 'per s', commits / load.seconds)]),
    )
  }
  return findings
}

/** Begins to count the transactions of the installation's database. Null where it does not count them. */
async function countCommits(own: Installation): Promise<() => Promise<number | null>> {
  const url = own.env.DATABASE_URL
  if (url === undefined) return async () => null
  const read = async () => {
    const query = 'SELECT xact_commit::int AS commits FROM pg_stat_database WHERE datname = current_database()'
    const [row] = z.array(z.object({ commits: z.int() })).parse(await queryRows({ engine: 'postgres', url }, query))
    return row?.commits ?? 0
  }
  const before = await read()
  return async () => (await read()) - before
}
