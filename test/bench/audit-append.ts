// Appends to the audit log on PostgreSQL, each by a caller who waits for its commit, beside what the same server takes of plain rows:
// the same bytes, the same number at once, without a number, an index, a hash or anybody who waits.

import type { AuditEvent } from '@teleclaude/core/audit.ts'
import { migrate, openStore } from '@teleclaude/store/open.ts'
import pg from 'pg'
import { startEngine } from '../../packages/store/test-engines.ts'
import type { Run } from './bench.ts'
import type { Finding } from './finding.ts'

const callers = 256
const wanted = 20_000
const rounds = 5
const host = 'bench'

const event: AuditEvent = {
  action: 'session.started',
  actor: { kind: 'caller', person: 'alice', osUser: 'alice', uid: 1000, pid: 4242 },
  session: { id: '00000000-0000-4000-8000-000000000000', owner: 'alice' },
  detail: { project: '/home/alice/project', agent: 'claude', parent: null },
}

/** How often it was done in a second, by so many at once. */
async function countPerSecond(atOnce: number, ms: number, work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  let count = 0
  const repeat = async () => {
    while (performance.now() - startMs < ms) {
      await work()
      count += 1
    }
  }
  await Promise.all(Array.from({ length: atOnce }, repeat))
  return (count * 1000) / (performance.now() - startMs)
}

export async function benchAuditAppend({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  const ms = isQuick ? 500 : 2000
  const engine = await startEngine('postgres')
  scope.defer(() => engine.stop())
  const target = await engine.createTarget()
  if (target.engine !== 'postgres') throw new TypeError('this is measured on PostgreSQL')
  await migrate(target)
  const store = scope.adopt(await openStore(target), (opened) => opened.close())
  const client = new pg.Client({ connectionString: target.url })
  await client.connect()
  scope.defer(() => client.end())
  await client.query('CREATE TABLE plain_rows (host text, at timestamptz, entry bytea)')
  await store.audit.append(host, [event], 0)
  const [first] = await store.audit.read(host, { afterSeq: 0, limit: 1 })
  if (first === undefined) throw new Error('the entry is not there')
  const entries = Array.from({ length: callers }, () => Buffer.from(first.bytes))
  const insertPlain = () =>
    client.query('INSERT INTO plain_rows SELECT $1, now(), entry FROM unnest($2::bytea[]) AS entry', [host, entries])
  const append = () => store.audit.append(host, [event], Date.now() * 1000)

  const appended: number[] = []
  const inserted: number[] = []
  // The first of them warms up.
  for (let round = 0; round <= rounds; round++) {
    if (round > 0) say(`round ${round} of ${rounds}`)
    const perSecond = await countPerSecond(callers, ms, append)
    const plain = (await countPerSecond(1, ms, insertPlain)) * callers
    if (round === 0) continue
    appended.push(perSecond)
    inserted.push(plain)
  }
  const what = `audit entries, ${callers} callers waiting`
  const atLeast = { kind: 'at least', ratio: 1 } as const
  return [
    { what, unit: 'per s', rounds: appended, beside: { kind: 'limit', value: wanted }, budget: atLeast },
    {
      what: `${what}, beside plain rows`,
      unit: 'per s',
      rounds: appended,
      beside: { kind: 'peer', what: 'batched insert', rounds: inserted },
      budget: null,
    },
  ]
}
