// What one user notices of another one who asks for all that the service can give: `GET /v1/whoami` at a steady pace, alone and
// beside them, with the limits as they are without any configuration. Needs root.

import { randomUUID } from 'node:crypto'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { maxChunkBytes } from '@teleclaude/core/transcript.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { z } from 'zod'
import { alice, bob } from '../../services/api/test-service.ts'
import type { Run } from './bench.ts'
import { findCores } from './cores.ts'
import { type Finding, quantile } from './finding.ts'
import { Program } from './program.ts'
import { serveMachine } from './served.ts'

const rounds = 5
/** Somebody whose connections are all new: each has limits of their own. */
const carol = 54_004

const config = `people:
  - { name: alice, role: member, os_uid: ${alice} }
  - { name: bob, role: member, os_uid: ${bob} }
  - { name: carol, role: member, os_uid: ${carol} }
`
const hammers = {
  transcripts: '16 long transcripts',
  requests: '64 busy connections',
  connections: 'connect and close',
  pipelines: 'pipelining',
} as const
const kinds = Object.keys(hammers) as (keyof typeof hammers)[]

/** Both stay well below the limits: who is slowed down is slowed down by somebody else. */
const victims = {
  kept: { what: 'kept connection', args: [String(alice), 'kept', '12'] },
  new: { what: 'new connections', args: [String(carol), 'new', '16'] },
} as const
const ways = Object.keys(victims) as (keyof typeof victims)[]

const latencies = z.array(z.number()).min(1)
type Latencies = Readonly<Record<keyof typeof victims, readonly number[]>>
const tally = z.object({ answered: z.int(), refused: z.int(), connections: z.int() })

/** A session of the hammering user's, with 16 MiB of output. Returns its id. */
async function recordTranscript(databaseUrl: string): Promise<SessionId> {
  const store = await openStore({ engine: 'postgres', url: databaseUrl })
  const id = randomUUID() as SessionId
  const atUs = nowUs()
  await store.sessions.create({
    id,
    host: 'h',
    owner: { person: 'bob', uid: bob, osUser: 'bob' },
    project: '/srv/long',
    agent: null,
    title: 'long',
    argv: ['long'],
    terminal: { cols: 80, rows: 24 },
    parentId: null,
    createdAtUs: atUs,
  })
  const bytes = Buffer.alloc(maxChunkBytes, 'what a build prints, line by line\r\n')
  const chunks = Array.from({ length: 256 }, (_, index) => ({
    seq: index + 1,
    kind: 'output' as const,
    offsetUs: index,
    bytes,
  }))
  await store.transcripts.append([{ sessionId: id, chunks, atUs }])
  await store.sessions.end(id, { kind: 'exited', code: 0 }, nowUs())
  await store.close()
  return id
}

export async function benchFairness({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  if (process.getuid?.() !== 0) throw new Error('it takes two users of the machine: run it as root')
  const cores = findCores()
  if (cores === null) say('everybody shares the cores: there are not two, or no taskset')
  const { socket, databaseUrl } = await serveMachine(scope, cores, config)
  const start = (name: string, ...args: string[]) =>
    Program.start(scope, name, { args: [socket, ...args], core: cores?.load })
  const kept = await start('victim', ...victims.kept.args)
  const fresh = await start('victim', ...victims.new.args)
  const hammer = await start('hammer', String(bob), await recordTranscript(databaseUrl))

  const forMs = isQuick ? 1000 : 4000
  async function measure(): Promise<Latencies> {
    const [ofKept, ofNew] = await Promise.all([kept.ask(latencies, { forMs }), fresh.ask(latencies, { forMs })])
    return { kept: ofKept, new: ofNew }
  }
  async function measureBeside(kind: keyof typeof hammers): Promise<Latencies> {
    await hammer.ask(z.null(), { kind: 'start', what: kind })
    const found = await measure()
    const { answered, refused, connections } = await hammer.ask(tally, { kind: 'stop' })
    say(`  ${hammers[kind]}: ${answered} requests answered, ${refused} refused, ${connections} connections`)
    return found
  }

  await measure()
  const found: ({ readonly alone: Latencies } & Readonly<Record<keyof typeof hammers, Latencies>>)[] = []
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`)
    found.push({
      alone: await measure(),
      // First, while they owe nothing for the rounds in which they ask for more than they may.
      transcripts: await measureBeside('transcripts'),
      requests: await measureBeside('requests'),
      connections: await measureBeside('connections'),
      pipelines: await measureBeside('pipelines'),
    })
  }
  return kinds.flatMap((kind) =>
    ways.flatMap((way) =>
      (
        [
          ['p50', 0.5],
          ['p99', 0.99],
        ] as const
      ).map(
        ([label, share]): Finding => ({
          what: `fairness ${label}: ${victims[way].what}, beside ${hammers[kind]}`,
          unit: 'ms',
          rounds: found.map((round) => quantile(round[kind][way], share)),
          beside: { kind: 'peer', what: 'alone', rounds: found.map((round) => quantile(round.alone[way], share)) },
          budget: { kind: 'at most', ratio: 2 },
        }),
      ),
    ),
  )
}
