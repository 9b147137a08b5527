// What contract.ts promises of sessions, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { AgentSource, AgentState, Session, SessionId } from '@teleclaude/core/session.ts'
import fc from 'fast-check'
import type { SessionQuery, Store } from './contract.ts'
import { engineNames, newSession, startEngine, type TestEngine } from './test-engines.ts'

async function pages(store: Store, query: SessionQuery): Promise<Session[]> {
  const all: Session[] = []
  for (let before: number | undefined; ; before = all.at(-1)?.ordinal) {
    const page = await store.sessions.list({ ...query, ...(before !== undefined && { beforeOrdinal: before }) })
    all.push(...page)
    if (page.length < query.limit) return all
  }
}

const everyone = { kind: 'all' } as const
const maxTime = Number.MAX_SAFE_INTEGER
const agentUnknown = { state: 'unknown', source: null, sinceUs: null }

for (const engineName of engineNames) {
  describe(`sessions on ${engineName}`, () => {
    let engine: TestEngine
    let store: Store
    before(async () => {
      engine = await startEngine(engineName)
      store = (await engine.createStore()).store
    })
    after(() => engine.stop())

    test('a new session is starting and is found as it was created', async () => {
      const created = newSession()
      const session = await store.sessions.create(created)
      const { ordinal, ...rest } = session
      assert.ok(ordinal >= 1)
      assert.deepEqual(rest, {
        ...created,
        status: 'starting',
        exit: null,
        startedAtUs: null,
        endedAtUs: null,
        lastOutputAtUs: null,
        transcriptBytes: 0,
        transcriptRemovedAtUs: null,
        agentStatus: agentUnknown,
      })
      assert.deepEqual(await store.sessions.find(created.id), session)
    })

    test('an unknown id finds nothing and changes nothing', async () => {
      const id = newSession().id
      assert.equal(await store.sessions.find(id), null)
      assert.equal(await store.sessions.markRunning(id, 1), false)
      assert.equal(await store.sessions.markLost(id, 1), false)
      assert.equal(await store.sessions.end(id, { kind: 'exited', code: 0 }, 1), false)
      assert.equal(await store.sessions.setAgentStatus(id, { state: 'idle', source: 'hook' }, 1), false)
      assert.equal(await store.sessions.rename(id, 'another', 1), false)
    })

    test('a second session with the same id is refused', async () => {
      const { id } = await store.sessions.create(newSession())
      await assert.rejects(store.sessions.create(newSession({ id })))
    })

    test('a session runs, is lost, is found again and ends once', async () => {
      const { id } = await store.sessions.create(newSession())
      assert.equal(await store.sessions.markRunning(id, 10), true)
      assert.equal(await store.sessions.markLost(id, 20), true)
      assert.equal(await store.sessions.markLost(id, 21), false)
      const lost = await store.sessions.find(id)
      assert.deepEqual([lost?.status, lost?.startedAtUs, lost?.endedAtUs], ['lost', 10, 20])
      assert.equal(await store.sessions.markRunning(id, 30), true)
      const running = await store.sessions.find(id)
      assert.deepEqual([running?.status, running?.startedAtUs, running?.endedAtUs], ['running', 10, null])
      assert.equal(await store.sessions.end(id, { kind: 'signalled', signal: 'SIGTERM' }, 40), true)
      assert.equal(await store.sessions.end(id, { kind: 'exited', code: 0 }, 50), false)
      assert.equal(await store.sessions.markRunning(id, 60), false)
      assert.equal(await store.sessions.markLost(id, 60), false)
      const ended = await store.sessions.find(id)
      assert.deepEqual(
        [ended?.status, ended?.exit, ended?.endedAtUs],
        ['ended', { kind: 'signalled', signal: 'SIGTERM' }, 40],
      )
    })

    test('a session that never ran can end with its exit code', async () => {
      const { id } = await store.sessions.create(newSession())
      assert.equal(await store.sessions.end(id, { kind: 'exited', code: 127 }, 5), true)
      assert.deepEqual((await store.sessions.find(id))?.exit, { kind: 'exited', code: 127 })
    })

    test('a session started in another one has it as its parent, which has to be there', async () => {
      const parent = await store.sessions.create(newSession())
      const child = await store.sessions.create(newSession({ parentId: parent.id }))
      assert.equal(child.parentId, parent.id)
      assert.equal((await store.sessions.find(child.id))?.parentId, parent.id)
      await assert.rejects(store.sessions.create(newSession({ parentId: newSession().id })), /foreign key|FOREIGN KEY/)
    })

    test('what the agent does is known while the session lives, with who said so and when', async () => {
      const { id } = await store.sessions.create(newSession())
      const agentStatus = async () => (await store.sessions.find(id))?.agentStatus
      const set = (state: AgentState, source: AgentSource, atUs: number) =>
        store.sessions.setAgentStatus(id, { state, source }, atUs)
      assert.equal(await set('working', 'hook', 10), true)
      assert.deepEqual(await agentStatus(), { state: 'working', source: 'hook', sinceUs: 10 })
      assert.equal(await set('working', 'hook', 11), false)
      assert.deepEqual(await agentStatus(), { state: 'working', source: 'hook', sinceUs: 10 })
      assert.equal(await set('working', 'terminal', 12), true)
      assert.equal(await set('waiting', 'terminal', 13), true)
      assert.equal(await set('unknown', 'hook', 14), true)
      assert.deepEqual(await agentStatus(), { state: 'unknown', source: 'hook', sinceUs: 14 })
      await store.sessions.markRunning(id, 15)
      assert.equal(await set('idle', 'hook', maxTime), true)
      assert.deepEqual(await agentStatus(), { state: 'idle', source: 'hook', sinceUs: maxTime })

      await store.sessions.markLost(id, 16)
      assert.deepEqual(await agentStatus(), agentUnknown)
      assert.equal(await set('idle', 'hook', 17), false)
      await store.sessions.markRunning(id, 18)
      assert.deepEqual(await agentStatus(), agentUnknown)
      await set('waiting', 'terminal', 19)
      await store.sessions.end(id, { kind: 'exited', code: 0 }, 20)
      assert.deepEqual(await agentStatus(), agentUnknown)
      assert.equal(await set('idle', 'hook', 21), false)
      assert.deepEqual(await agentStatus(), agentUnknown)
    })

    test('a session is renamed in any status, to any text that the database can hold', async () => {
      const { id } = await store.sessions.create(newSession())
      for (const title of ["it's \u001b[31m", '', 'é'.repeat(10_000)]) {
        assert.equal(await store.sessions.rename(id, title, 1), true)
        assert.equal(await store.sessions.rename(id, title, 2), false)
        assert.equal((await store.sessions.find(id))?.title, title)
        await store.sessions.end(id, { kind: 'exited', code: 0 }, 3)
      }
      for (const title of ['a\0b', '\udc00']) await assert.rejects(store.sessions.rename(id, title, 1), RangeError)
    })

    test('a host lists the live sessions that are too old or too silent, oldest first', async () => {
      const host = 'overdue-host'
      const create = async (createdAtUs: number, outputAtUs: number | null = null, of = host) => {
        const { id } = await store.sessions.create(newSession({ host: of, createdAtUs }))
        const chunks = [{ seq: 1, kind: 'output', offsetUs: 0, bytes: Buffer.from('x') }] as const
        if (outputAtUs !== null) await store.transcripts.append([{ sessionId: id, chunks, atUs: outputAtUs }])
        return id
      }
      const silent = await create(20)
      const busy = await create(10, 100)
      const quiet = await create(30, 40)
      const young = await create(90, 91)
      const [lost, ended] = [await create(1), await create(1)]
      await create(1, 1, 'another-overdue-host')
      await store.sessions.markRunning(busy, 1)
      await store.sessions.markLost(lost, 1)
      await store.sessions.end(ended, { kind: 'exited', code: 0 }, 1)
      const overdue = async (createdBeforeUs: number | null, silentSinceUs: number | null, limit = 100) =>
        (await store.sessions.listOverdue(host, { createdBeforeUs, silentSinceUs, limit })).map(({ id }) => id)
      assert.deepEqual(await overdue(null, null), [])
      assert.deepEqual(await overdue(0, 0), [])
      assert.deepEqual(await overdue(10, null), [])
      assert.deepEqual(await overdue(11, null), [busy])
      assert.deepEqual(await overdue(31, null), [silent, busy, quiet])
      assert.deepEqual(await overdue(null, 20), [])
      assert.deepEqual(await overdue(null, 21), [silent])
      assert.deepEqual(await overdue(null, 41), [silent, quiet])
      assert.deepEqual(await overdue(11, 41), [silent, busy, quiet])
      assert.deepEqual(await overdue(11, 41, 2), [silent, busy])
      assert.deepEqual(await overdue(maxTime, maxTime), [silent, busy, quiet, young])
      const [first] = await store.sessions.listOverdue(host, { createdBeforeUs: 11, silentSinceUs: null, limit: 1 })
      assert.deepEqual(first, await store.sessions.find(busy))
    })

    test('a host lists its live sessions, oldest first', async () => {
      const host = 'live-host'
      const ids: SessionId[] = []
      for (let i = 0; i < 4; i += 1) ids.push((await store.sessions.create(newSession({ host }))).id)
      const [starting, running, lost, ended] = ids
      assert.ok(starting && running && lost && ended)
      await store.sessions.markRunning(running, 1)
      await store.sessions.markLost(lost, 1)
      await store.sessions.end(ended, { kind: 'exited', code: 0 }, 1)
      assert.deepEqual(await store.sessions.listLive(host), [starting, running])
      assert.deepEqual(await store.sessions.listLive('another-host'), [])
    })

    test("a person's live sessions are counted on each host by itself, and those of others are not", async () => {
      const create = async (host: string, person = 'alice') =>
        (await store.sessions.create(newSession({ host, owner: { person, uid: 1000, osUser: 'alice' } }))).id
      assert.equal(await store.sessions.countLive('count-host', 'alice'), 0)
      await create('count-host')
      const [running, lost, ended] = [
        await create('count-host'),
        await create('count-host'),
        await create('count-host'),
      ]
      await create('count-host', 'bob')
      await create('count-elsewhere')
      await store.sessions.markRunning(running, 1)
      await store.sessions.markLost(lost, 1)
      await store.sessions.end(ended, { kind: 'exited', code: 0 }, 1)
      const count = (host: string, person: string) => store.sessions.countLive(host, person)
      assert.equal(await count('count-host', 'alice'), 2)
      assert.equal(await count('count-host', 'bob'), 1)
      assert.equal(await count('count-elsewhere', 'alice'), 1)
      assert.equal(await count('count-elsewhere', 'bob'), 0)
      assert.equal(await count('count-host', 'Alice'), 0)
      await store.sessions.markRunning(lost, 2)
      assert.equal(await count('count-host', 'alice'), 3)
    })

    test('times are exact to the microsecond', async () => {
      await fc.assert(
        fc.asyncProperty(fc.maxSafeNat(), fc.constantFrom(0, 1, 999_999, maxTime, maxTime - 1), async (any, edge) => {
          for (const us of [any, edge]) {
            const { id, createdAtUs } = await store.sessions.create(newSession({ createdAtUs: us }))
            await store.sessions.markRunning(id, us)
            await store.sessions.end(id, { kind: 'exited', code: 0 }, us)
            const session = await store.sessions.find(id)
            assert.deepEqual([createdAtUs, session?.startedAtUs, session?.endedAtUs], [us, us, us])
          }
        }),
        { numRuns: 30 },
      )
    })

    test('any well-formed text comes back unchanged', async () => {
      const text = fc.string({ unit: 'binary', maxLength: 200 }).map((value) => value.replaceAll('\0', ''))
      await fc.assert(
        fc.asyncProperty(text, fc.array(text, { minLength: 1, maxLength: 5 }), async (title, argv) => {
          const { id } = await store.sessions.create(newSession({ title, argv, project: `/${title}` }))
          const session = await store.sessions.find(id)
          assert.deepEqual([session?.title, session?.argv, session?.project], [title, argv, `/${title}`])
        }),
        { numRuns: 40 },
      )
      const title = '👩‍👩‍👧 "quoted" \\ {a,NULL} \u001b[31m'.padEnd(10_000, 'é')
      const { id } = await store.sessions.create(
        newSession({ title, argv: ['', 'NULL', '{}', title], project: `/${title.slice(0, 4000)}` }),
      )
      assert.equal((await store.sessions.find(id))?.title, title)
      assert.deepEqual((await store.sessions.find(id))?.argv, ['', 'NULL', '{}', title])
    })

    for (const [what, change] of Object.entries({
      'a NUL in the title': { title: 'a\0b' },
      'a NUL in an argument': { argv: ['a', '\0'] },
      'a NUL in the project': { project: '/\0' },
      'a NUL in the agent': { agent: '\0' },
      'a lone surrogate in the title': { title: 'a\ud800' },
      'a lone surrogate in the owner': { owner: { person: '\udc00', uid: 1, osUser: 'a' } },
      'a host of 256 characters': { host: 'h'.repeat(256) },
      'no arguments': { argv: [] },
    })) {
      test(`${what} is refused before the database`, async () => {
        const session = newSession(change)
        await assert.rejects(store.sessions.create(session), RangeError)
        assert.equal(await store.sessions.find(session.id), null)
      })
    }

    test('values out of range are refused by the database', async () => {
      for (const change of [
        { owner: { person: 'a', uid: 4_294_967_295, osUser: 'a' } },
        { owner: { person: 'a', uid: -1, osUser: 'a' } },
        { terminal: { cols: 0, rows: 24 } },
        { terminal: { cols: 80, rows: 10_001 } },
        { createdAtUs: -1 },
      ]) {
        await assert.rejects(store.sessions.create(newSession(change)))
      }
    })
  })

  describe(`lists of sessions on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('every filter gives what filtering the whole list gives, in pages of any size', async () => {
      const { store } = await engine.createStore()
      const people = ['alice', 'bob', 'ca%rol', 'da_ve']
      const projects = ['/a', '/b', `/${'long'.repeat(100)}/1`, `/${'long'.repeat(100)}/2`]
      for (let i = 0; i < 120; i += 1) {
        const person = people[i % 4] ?? ''
        const { id } = await store.sessions.create(
          newSession({ owner: { person, uid: i, osUser: person }, project: projects[(i >> 2) % 4] ?? '' }),
        )
        if (i % 3 > 0) await store.sessions.markRunning(id, i)
        if (i % 5 === 1) await store.sessions.markLost(id, i)
        if (i % 5 > 2) await store.sessions.end(id, { kind: 'exited', code: i }, i)
      }
      const all = await store.sessions.list({ scope: everyone, limit: 1000 })
      assert.equal(all.length, 120)
      assert.deepEqual(
        all,
        [...all].sort((a, b) => b.ordinal - a.ordinal),
      )
      const idPrefix = fc
        .tuple(fc.nat(119), fc.constantFrom(0, 1, 2, 3, 9, 36))
        .map(([index, length]) => all[index]?.id.slice(0, length) ?? '')
      const query = fc.record(
        {
          scope: fc.oneof(
            fc.constant(everyone),
            fc.constantFrom(...people, 'nobody').map((person) => ({ kind: 'person' as const, person })),
          ),
          limit: fc.integer({ min: 1, max: 60 }),
          idPrefix: fc.oneof(idPrefix, fc.constantFrom('%', '_', 'a%', '__', '0-', 'g', "'", '\0', 'ABC', '\\')),
          project: fc.constantFrom(...projects, '/%', '/nowhere', '\0'),
          statuses: fc.subarray(['starting', 'running', 'lost', 'ended'] as const),
        },
        { requiredKeys: ['scope', 'limit'] },
      )
      await fc.assert(
        fc.asyncProperty(query, async (asked) => {
          const expected = all.filter(
            (session) =>
              (asked.scope.kind === 'all' || session.owner.person === asked.scope.person) &&
              session.id.startsWith(asked.idPrefix ?? '') &&
              session.project === (asked.project ?? session.project) &&
              (asked.statuses ?? [session.status]).includes(session.status),
          )
          assert.deepEqual(await pages(store, asked), expected)
        }),
        { numRuns: 150 },
      )
    })

    test('pages hold every earlier session once while others are created', async () => {
      const { store } = await engine.createStore()
      const earlier: string[] = []
      for (let i = 0; i < 40; i += 1) earlier.unshift((await store.sessions.create(newSession())).id)
      let creating = true
      const creator = (async () => {
        for (let i = 0; creating || i < 10; i += 1)
          await Promise.all([store.sessions.create(newSession()), store.sessions.create(newSession())])
      })()
      const listed = await pages(store, { scope: everyone, limit: 7 })
      creating = false
      await creator
      const ids = listed.map((session) => session.id)
      assert.equal(new Set(ids).size, ids.length)
      assert.deepEqual(ids.slice(-40), earlier)
    })
  })
}
