// A page of a million sessions, through the store, on both engines: the first one, and one that lies near the end.

import type { SessionScope, Store } from '@teleclaude/store/contract.ts'
import { migrate, openStore } from '@teleclaude/store/open.ts'
import { engineNames, startEngine } from '../../packages/store/test-engines.ts'
import type { Run } from './bench.ts'
import { fillSessions, somebody } from './fill-sessions.ts'
import { type Finding, limit, quantile } from './finding.ts'

const limitMs = 5
const pageSize = 50
const rounds = 5
const pagesPerRound = 300
/** What does not grow with the depth is not steeper than noise is. */
const flatness = 1.5

const scopes: readonly { readonly what: string; readonly scope: SessionScope }[] = [
  { what: 'everybody’s', scope: { kind: 'all' } },
  { what: 'one’s own', scope: { kind: 'person', person: somebody } },
]

type Times = { readonly first: readonly number[]; readonly deep: readonly number[] }

export async function benchList({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  const count = isQuick ? 100_000 : 1_000_000
  const found: Finding[] = []
  for (const name of engineNames) {
    say(`${name}: filling with ${count} sessions`)
    const engine = await startEngine(name)
    scope.defer(() => engine.stop())
    const target = await engine.createTarget()
    await migrate(target)
    await fillSessions(target, count)
    const store = scope.adopt(await openStore(target), (opened) => opened.close())
    const listed = scopes.map(({ what, scope: whose }) => ({ what: `list ${what}, ${name}`, whose }))
    for (const { whose } of listed) await listPages(store, whose, count)
    for (const { what, whose } of listed) {
      say(what)
      const times: Times[] = []
      for (let round = 1; round <= rounds; round++) times.push(await listPages(store, whose, count))
      found.push(...describe(what, times))
    }
  }
  return found
}

/** In turns, each deep page another one. */
async function listPages(store: Store, scope: SessionScope, count: number): Promise<Times> {
  const time = async (beforeOrdinal?: number): Promise<number> => {
    const startMs = performance.now()
    const page = await store.sessions.list({
      scope,
      limit: pageSize,
      ...(beforeOrdinal !== undefined && { beforeOrdinal }),
    })
    const tookMs = performance.now() - startMs
    if (page.length !== pageSize) throw new Error(`a page has ${page.length} sessions`)
    return tookMs
  }
  const first: number[] = []
  const deep: number[] = []
  for (let page = 0; page < pagesPerRound; page++) {
    first.push(await time())
    deep.push(await time(Math.round(count * (0.05 + 0.05 * Math.random()))))
  }
  return { first, deep }
}

function describe(what: string, times: readonly Times[]): Finding[] {
  const quantiles = (depth: keyof Times, share: number) => times.map((round) => quantile(round[depth], share))
  return [
    { what: `${what}, first page, p99`, unit: 'ms', rounds: quantiles('first', 0.99), ...limit(limitMs) },
    { what: `${what}, deep page, p99`, unit: 'ms', rounds: quantiles('deep', 0.99), ...limit(limitMs) },
    {
      what: `${what}, deep page, p50`,
      unit: 'ms',
      rounds: quantiles('deep', 0.5),
      beside: { kind: 'peer', what: 'first page', rounds: quantiles('first', 0.5) },
      budget: { kind: 'at most', ratio: flatness },
    },
  ]
}
