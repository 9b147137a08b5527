// Pages of the audit log, on both real engines: what is asked for, of whom one may ask, newest first.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type AuditAction, type AuditEvent, parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import fc from 'fast-check'
import type { AuditQuery } from './audit-contract.ts'
import type { Store } from './contract.ts'
import { engineNames, startEngine, type TestEngine } from './test-engines.ts'

const host = 'build-box'
const people = ['alice', 'bob', 'Zoë']
const actions: readonly AuditAction[] = ['session.started', 'session.ended', 'content.opened']
const sessions = ['s1', 's2', 's3']
const all = { kind: 'all' } as const

type Fact = {
  readonly actor: string | null
  readonly owner: string | null
  readonly session: string
  readonly action: AuditAction
  readonly atUs: number
}

const toEvent = ({ actor, owner, session, action }: Fact): AuditEvent => ({
  action,
  actor:
    actor === null ? { kind: 'service', name: 'api' } : { kind: 'caller', person: actor, osUser: null, uid: 1, pid: 2 },
  session: owner === null ? null : { id: session, owner },
  detail: {},
})

/** 300 entries in each of all combinations, and some of another host. */
async function fill(store: Store): Promise<readonly Fact[]> {
  const facts = Array.from(
    { length: 300 },
    (_, n): Fact => ({
      actor: n % 7 === 0 ? null : (people[n % 3] ?? null),
      owner: n % 5 === 0 ? null : (people[Math.floor(n / 3) % 3] ?? null),
      session: sessions[Math.floor(n / 7) % 3] ?? 's1',
      action: actions[n % 11 === 0 ? 2 : n % 2] ?? 'session.started',
      // As of a clock that jumps.
      atUs: 1000 + ((n * 37) % 100),
    }),
  )
  for (const fact of facts) void store.audit.append(host, [toEvent(fact)], fact.atUs)
  await store.audit.append('elsewhere', [toEvent({ ...(facts[1] ?? facts[0]), atUs: 1 } as Fact)], 1)
  // One group after the other: this one is the last.
  await store.audit.append(
    host,
    [toEvent({ actor: null, owner: null, session: 's1', action: 'session.ended', atUs: 1 })],
    1,
  )
  return [...facts, { actor: null, owner: null, session: 's1', action: 'session.ended', atUs: 1 }]
}

function expected(facts: readonly Fact[], query: AuditQuery): readonly number[] {
  const { scope, sessionId, actor, owner, action, sinceUs, untilUs, beforeSeq, limit } = query
  return facts
    .map((fact, index) => ({ ...fact, seq: index + 1 }))
    .filter(
      (fact) =>
        (scope.kind === 'all' || fact.actor === scope.person || fact.owner === scope.person) &&
        (sessionId === undefined || (fact.owner !== null && fact.session === sessionId)) &&
        (actor === undefined || fact.actor === actor) &&
        (owner === undefined || fact.owner === owner) &&
        (action === undefined || fact.action === action) &&
        (sinceUs === undefined || fact.atUs >= sinceUs) &&
        (untilUs === undefined || fact.atUs <= untilUs) &&
        (beforeSeq === undefined || fact.seq < beforeSeq),
    )
    .map(({ seq }) => seq)
    .toReversed()
    .slice(0, limit)
}

const queries: fc.Arbitrary<AuditQuery> = fc.record(
  {
    scope: fc.oneof(
      fc.constant(all),
      fc.constantFrom(...people, 'nobody').map((person) => ({ kind: 'person', person }) as const),
    ),
    sessionId: fc.constantFrom(...sessions, 's4').map((id) => id as SessionId),
    actor: fc.constantFrom(...people, 'nobody'),
    owner: fc.constantFrom(...people),
    action: fc.constantFrom(...actions, 'never.was'),
    sinceUs: fc.integer({ min: 990, max: 1110 }),
    untilUs: fc.integer({ min: 990, max: 1110 }),
    beforeSeq: fc.integer({ min: 0, max: 310 }),
    limit: fc.integer({ min: 1, max: 60 }),
  },
  { requiredKeys: ['scope', 'limit'] },
)

for (const engineName of engineNames) {
  describe(`finding in the audit log on ${engineName}`, () => {
    let engine: TestEngine
    let store: Store
    let facts: readonly Fact[]
    before(async () => {
      engine = await startEngine(engineName)
      store = (await engine.createStore()).store
      facts = await fill(store)
    })
    after(() => engine.stop())

    test('every way to ask gives what matches, newest first, up to the limit', async () => {
      await fc.assert(
        fc.asyncProperty(queries, async (query) => {
          const found = await store.audit.find(host, query)
          assert.deepEqual(
            found.map(({ seq }) => seq),
            expected(facts, query),
          )
          for (const { seq, bytes } of found) assert.equal(parseAuditEntry(bytes)?.seq, seq)
        }),
        { numRuns: 150 },
      )
    })

    test('page after page gives everything that a person may see, once', async () => {
      const scope = { kind: 'person', person: 'alice' } as const
      const seqs: number[] = []
      for (;;) {
        const beforeSeq = seqs.at(-1)
        const page = await store.audit.find(host, { scope, limit: 9, ...(beforeSeq !== undefined && { beforeSeq }) })
        if (page.length === 0) break
        seqs.push(...page.map(({ seq }) => seq))
      }
      assert.deepEqual(seqs, expected(facts, { scope, limit: 1000 }))
      assert.ok(seqs.length > 100)
    })

    test('what no database can hold finds nothing', async () => {
      for (const query of [
        { scope: { kind: 'person', person: 'a\0b' } },
        { scope: all, actor: '\ud800' },
        { scope: all, action: 'a\0b' },
        { scope: all, sessionId: 'a\0b' as SessionId },
      ] as const)
        assert.deepEqual(await store.audit.find(host, { ...query, limit: 10 }), [])
    })
  })
}
