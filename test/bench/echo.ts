// How long a key takes to come back: from a viewer that drives, through the service and the session's runner to a program that echoes
// it, and back. Beside tmux, from a terminal to the same program.

import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Installation } from '../support/installation.ts'
import type { Run } from './bench.ts'
import { type Finding, limit, quantile } from './finding.ts'
import { install, startSession } from './installed.ts'
import { Program } from './program.ts'

const limitMs = 2
const rounds = 5
const keys = 400
const quickKeys = 60

/** The terminal itself echoes nothing and gathers no lines, so that it is the program that answers each key. */
const echoing = ['sh', '-c', 'stty raw -echo; exec cat']
const flooding = ['yes', 'what a build prints, line by line']

/** One who can be asked for keys, and another session of the same service that can be made to print as fast as it can. */
type Side = { readonly typist: Program; flood(): Promise<() => Promise<void>> }
type Latencies = readonly number[]

const situations = { idle: 'nothing else', flooded: 'beside a session that floods' } as const
type Situation = keyof typeof situations

export async function benchEcho({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  const own = await install(scope, 'sqlite')
  const telec = await openTelec(scope, own)
  const tmux = await openTmux(scope, join(own.home, 'tmux'))
  if (tmux === null) say('not beside tmux: it is not there')

  const count = isQuick ? quickKeys : keys
  async function measure(side: Side, situation: Situation): Promise<Latencies> {
    const stop = situation === 'flooded' ? await side.flood() : null
    const found = await side.typist.ask(z.array(z.number()), { count })
    await stop?.()
    return found
  }
  const found: Record<Situation, { telec: Latencies[]; tmux: Latencies[] }> = {
    idle: { telec: [], tmux: [] },
    flooded: { telec: [], tmux: [] },
  }
  for (const side of [telec, tmux]) await side?.typist.ask(z.array(z.number()), { count: quickKeys })
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`)
    for (const situation of ['idle', 'flooded'] as const) {
      found[situation].telec.push(await measure(telec, situation))
      if (tmux !== null) found[situation].tmux.push(await measure(tmux, situation))
    }
  }
  return (['idle', 'flooded'] as const).flatMap((situation) =>
    (
      [
        ['p50', 0.5],
        ['p99', 0.99],
      ] as const
    ).flatMap(([label, share]): Finding[] => {
      const of = (side: 'telec' | 'tmux') => found[situation][side].map((latencies) => quantile(latencies, share))
      const finding = {
        what: `echo ${label}: a key through attach, ${situations[situation]}`,
        unit: 'ms',
        rounds: of('telec'),
      } as const
      const budget = label === 'p99' ? limit(limitMs) : { ...limit(limitMs), budget: null }
      const beside = { kind: 'peer', what: 'tmux', rounds: of('tmux') } as const
      return [{ ...finding, ...budget }, ...(tmux === null ? [] : [{ ...finding, beside, budget: null }])]
    }),
  )
}

async function openTelec(scope: AsyncDisposableStack, own: Installation): Promise<Side> {
  const id = await startSession(own, echoing)
  const typist = await Program.start(scope, 'typist', {
    args: ['telec', own.client.socketPath, id],
    core: undefined,
  })
  return {
    typist,
    async flood() {
      const flood = await startSession(own, flooding)
      await own.until(flood, ({ transcriptBytes }) => transcriptBytes > 1_000_000)
      return async () => {
        await own.telec(['stop', '--force', flood])
        await own.until(flood, ({ status }) => status === 'ended')
      }
    },
  }
}

/** A server with two sessions, and a client that looks at the one that does not flood. Null where there is no tmux. */
async function openTmux(scope: AsyncDisposableStack, directory: string): Promise<Side | null> {
  mkdirSync(directory)
  const server = ['-f', '/dev/null', '-S', join(directory, 'socket')]
  const tmux = (...args: readonly string[]) => spawnSync('tmux', [...server, ...args]).status === 0
  if (!tmux('new-session', '-d', '-s', 'echo', ...echoing)) return null
  scope.defer(() => {
    tmux('kill-server')
  })
  // It would print the time.
  tmux('set-option', '-g', 'status', 'off')
  const typist = await Program.start(scope, 'typist', {
    args: ['terminal', '/usr/bin/env', 'tmux', ...server, 'attach-session', '-t', 'echo'],
    core: undefined,
  })
  return {
    typist,
    async flood() {
      tmux('new-session', '-d', '-s', 'flood', ...flooding)
      return async () => {
        tmux('kill-session', '-t', 'flood')
      }
    },
  }
}
