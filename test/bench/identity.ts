// What it costs to know who has connected: the kernel asked, the rules applied. Measured where it happens, in the process that
// accepts real connections of real other users.

import { z } from 'zod'
import type { Run } from './bench.ts'
import { findCores } from './cores.ts'
import { type Finding, limit, quantile } from './finding.ts'
import { Program } from './program.ts'

const limitUs = 60
const rounds = 5

/** As the table calls them, by the names that the programs have for them. */
const callers = {
  person: 'the last of 50 people',
  group: 'the last of 10 groups',
  stranger: 'nobody known',
  new: 'a uid never seen, without account',
} as const
const kinds = Object.keys(callers) as (keyof typeof callers)[]

const samples = z.array(z.number()).min(1)
const takenSchema = z.object({
  person: samples,
  group: samples.optional(),
  stranger: samples.optional(),
  new: samples.optional(),
})

export async function benchIdentity({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  const cores = findCores()
  const server = await Program.start(scope, 'identity-server', { args: [], core: cores?.server })
  const { socket } = await server.ask(z.object({ socket: z.string() }), { kind: 'listen' })
  const connector = await Program.start(scope, 'connector', { args: [socket], core: cores?.load })
  const times = isQuick ? 100 : 250
  const connect = () => connector.ask(z.null(), { times })
  const take = () => server.ask(takenSchema, { kind: 'take' })

  await connect()
  await take()
  const found: z.output<typeof takenSchema>[] = []
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`)
    await connect()
    found.push(await take())
  }
  return kinds.flatMap((kind) => {
    const measured = found.map((taken) => taken[kind]).filter((taken) => taken !== undefined)
    if (measured.length === 0) return []
    return [
      ['p50', 0.5],
      ['p99', 0.99],
    ].map(
      ([label, share]): Finding => ({
        what: `identity ${label}: ${callers[kind]}`,
        unit: 'µs',
        rounds: measured.map((taken) => quantile(taken, Number(share))),
        ...limit(limitUs),
        // It takes what the machine's directory takes, once in a while.
        ...(kind === 'new' && { budget: null }),
      }),
    )
  })
}
