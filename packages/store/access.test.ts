// Access grants, what was delivered under them, and who is told, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { AccessGrant, AccessView, Notice } from '@teleclaude/core/access.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { GrantQuery } from './access-contract.ts'
import type { Store } from './contract.ts'
import { openStore } from './open.ts'
import { engineNames, newSession, queryRows, startEngine, type TestEngine } from './test-engines.ts'

const all = { kind: 'all' } as const
const of = (person: string) => ({ kind: 'person', person }) as const

type NewGrant = Omit<AccessGrant, 'ended'>

function newGrant(sessionId: SessionId, change: Partial<NewGrant> = {}): NewGrant {
  return {
    id: crypto.randomUUID(),
    host: 'testhost',
    sessionId,
    owner: 'alice',
    grantee: { person: 'carol', uid: 4_294_967_294 },
    reason: 'a reason: Zoë 🌍',
    drive: false,
    openedAtUs: 100,
    expiresAtUs: 200,
    ...change,
  }
}

async function openGrants(store: Store, changes: readonly Partial<NewGrant>[]): Promise<readonly NewGrant[]> {
  const { id } = await store.sessions.create(newSession())
  const grants = changes.map((change) => newGrant(id, change))
  for (const grant of grants) await store.access.open(grant, crypto.randomUUID())
  return grants
}

const ids = (found: readonly { readonly id: string }[]) => found.map(({ id }) => id)

/** Counts how often `access` is hinted, from the first hint on, which comes of itself. */
async function hearAccess(store: Store) {
  let count = 0
  let wake = () => {
    // Nobody waits.
  }
  const listening = store.listen('testhost', (what) => {
    if (what === 'access') count += 1
    wake()
  })
  const reach = async (wanted: number) => {
    while (count < wanted) {
      const { promise, resolve } = Promise.withResolvers<void>()
      wake = resolve
      await promise
    }
    assert.equal(count, wanted)
  }
  await reach(1)
  return { reach: (more: number) => reach(1 + more), close: () => listening.close() }
}

for (const engineName of engineNames) {
  describe(`access grants on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('a grant is opened with a notice to the owner, or not at all', async () => {
      const { store } = await engine.createStore()
      const [grant] = await openGrants(store, [{ drive: true, expiresAtUs: Number.MAX_SAFE_INTEGER }])
      assert.ok(grant)
      assert.deepEqual(await store.access.find(grant.id), { ...grant, ended: null })
      const [notice] = await store.notices.list({ person: 'alice', limit: 10 })
      assert.ok(notice)
      assert.deepEqual(
        { ...notice, id: '' },
        {
          id: '',
          kind: 'access.opened',
          person: 'alice',
          atUs: 100,
          sessionId: grant.sessionId,
          by: 'carol',
          grantId: grant.id,
          seenAtUs: null,
        },
      )
      const other = newGrant(grant.sessionId)
      await assert.rejects(store.access.open(other, notice.id))
      assert.equal(await store.access.find(other.id), null)
      await assert.rejects(store.access.open(newGrant(newSession().id), crypto.randomUUID()))
      for (const change of [{ reason: 'a\0b' }, { reason: 'x'.repeat(501) }, { owner: '\ud800' }])
        await assert.rejects(store.access.open(newGrant(grant.sessionId, change), crypto.randomUUID()), RangeError)
      await assert.rejects(store.access.open(newGrant(grant.sessionId, { reason: '' }), crypto.randomUUID()))
      assert.equal((await store.notices.list({ person: 'alice', limit: 10 })).length, 1)
      for (const unknown of [crypto.randomUUID(), 'no id', '']) assert.equal(await store.access.find(unknown), null)
    })

    test('grants are listed newest first, of everybody, of who holds them and of whose sessions they open', async () => {
      const { store } = await engine.createStore()
      const dan = { person: 'dan', uid: 7 }
      const first = await openGrants(store, [{}, { owner: 'bob' }, { grantee: dan }, { expiresAtUs: 500 }])
      const second = await openGrants(store, [{ grantee: dan, owner: 'bob' }, {}])
      const grants = [...first, ...second]
      const expect = async (query: Omit<GrantQuery, 'limit'>, ...wanted: readonly number[]) =>
        assert.deepEqual(
          ids(await store.access.list({ ...query, limit: 10 })),
          wanted.map((index) => grants[index]?.id),
          JSON.stringify(query),
        )
      await expect({ scope: all }, 5, 4, 3, 2, 1, 0)
      await expect({ scope: of('dan') }, 4, 2)
      await expect({ scope: of('alice') }, 5, 3, 2, 0)
      await expect({ scope: of('nobody') })
      await expect({ scope: of('a\0b') })
      const sessionId = first[0]?.sessionId ?? newSession().id
      await expect({ scope: all, sessionId }, 3, 2, 1, 0)
      await expect({ scope: of('alice'), sessionId }, 3, 2, 0)
      await expect({ scope: all, sessionId: newSession().id })
      await expect({ scope: all, activeAtUs: 199 }, 5, 4, 3, 2, 1, 0)
      await expect({ scope: all, activeAtUs: 200 }, 3)
      await expect({ scope: of('alice'), activeAtUs: 200, sessionId }, 3)
      await expect({ scope: of('dan'), activeAtUs: 200 })
      await expect({ scope: all, before: grants[2]?.id ?? '' }, 1, 0)
      await expect({ scope: of('alice'), before: grants[3]?.id ?? '' }, 2, 0)
      // One of somebody else's is no place in one's own list.
      await expect({ scope: of('alice'), before: grants[4]?.id ?? '' })
      await expect({ scope: all, before: crypto.randomUUID() })
      await expect({ scope: all, before: 'no id' })
      const pages: string[] = []
      for (;;) {
        const before = pages.at(-1)
        const page = await store.access.list({ scope: all, limit: 4, ...(before !== undefined && { before }) })
        if (page.length === 0) break
        pages.push(...ids(page))
      }
      assert.deepEqual(pages, ids(grants).toReversed())
    })

    test('a grant ends once, and of several who end it one does', async () => {
      const { store } = await engine.createStore()
      const [grant] = await openGrants(store, [{}])
      assert.ok(grant)
      const ended = await Promise.all(
        ['carol', 'alice', null].map((by) =>
          store.access.end(grant.id, { atUs: 150, by, why: by === null ? 'expired' : 'ended' }),
        ),
      )
      assert.equal(ended.filter(Boolean).length, 1)
      const found = await store.access.find(grant.id)
      assert.equal(found?.ended?.atUs, 150)
      assert.deepEqual(await store.access.list({ scope: all, activeAtUs: 150, limit: 10 }), [])
      assert.equal(await store.access.end(crypto.randomUUID(), { atUs: 1, by: null, why: 'expired' }), false)
      assert.equal(await store.access.end('no id', { atUs: 1, by: null, why: 'expired' }), false)
    })

    test('whose time is over is listed until somebody notes its end, on its own host', async () => {
      const { store } = await engine.createStore()
      const [late, early, elsewhere] = await openGrants(store, [
        { expiresAtUs: 300 },
        { expiresAtUs: 200 },
        { expiresAtUs: 200, host: 'elsewhere' },
        { expiresAtUs: 301 },
      ])
      assert.ok(late && early && elsewhere)
      assert.deepEqual(await store.access.listExpired('testhost', 199, 10), [])
      assert.deepEqual(ids(await store.access.listExpired('testhost', 300, 10)), [early.id, late.id])
      assert.deepEqual(ids(await store.access.listExpired('testhost', 300, 1)), [early.id])
      assert.ok(await store.access.end(early.id, { atUs: 300, by: null, why: 'expired' }))
      assert.deepEqual(ids(await store.access.listExpired('testhost', 300, 10)), [late.id])
      assert.deepEqual(ids(await store.access.listExpired('elsewhere', 300, 10)), [elsewhere.id])
    })

    test('what was delivered is noted once at the end of each view', async () => {
      const { store } = await engine.createStore()
      const [one, two] = await openGrants(store, [{}, {}])
      assert.ok(one && two)
      const view = (change: Partial<Omit<AccessView, 'ended'>>): Omit<AccessView, 'ended'> => ({
        id: crypto.randomUUID(),
        grantId: one.id,
        host: 'testhost',
        kind: 'transcript',
        openedAtUs: 10,
        ...change,
      })
      const views = [view({ openedAtUs: 12 }), view({ kind: 'drive' }), view({ grantId: two.id, host: 'elsewhere' })]
      const [later, earlier, other] = views
      assert.ok(later && earlier && other)
      for (const begun of views) await store.access.beginView(begun)
      await assert.rejects(store.access.beginView(view({ grantId: crypto.randomUUID() })))
      assert.deepEqual(ids(await store.access.listOpenViews('testhost')), [earlier.id, later.id])
      const ended = { atUs: 20, firstSeq: 1, lastSeq: 9, bytes: Number.MAX_SAFE_INTEGER, isComplete: true }
      assert.equal(await store.access.endView(later.id, ended), true)
      assert.equal(await store.access.endView(later.id, { ...ended, bytes: 1 }), false)
      assert.equal(await store.access.endView('no id', ended), false)
      const nothing = { atUs: 21, firstSeq: null, lastSeq: null, bytes: 0, isComplete: false }
      assert.equal(await store.access.endView(other.id, nothing), true)
      assert.deepEqual(ids(await store.access.listOpenViews('testhost')), [earlier.id])
      assert.deepEqual(await store.access.listViews([one.id]), [
        { ...earlier, ended: null },
        { ...later, ended },
      ])
      assert.deepEqual(new Set(ids(await store.access.listViews([two.id, 'no id', one.id]))), new Set(ids(views)))
      assert.deepEqual(await store.access.listViews([]), [])
      const many = Array.from({ length: 201 }, () => one.id)
      await assert.rejects(store.access.listViews(many), RangeError)
    })

    test('notices are listed newest first to the person alone, and are seen once', async () => {
      const { store } = await engine.createStore()
      const { id: sessionId } = await store.sessions.create(newSession())
      const notice = (person: string, atUs: number): Omit<Notice, 'seenAtUs'> => ({
        id: crypto.randomUUID(),
        kind: 'session.stopped',
        person,
        atUs,
        sessionId,
        by: 'carol',
        grantId: null,
      })
      // The order is that in which they came, never that of a clock.
      const [first, others, second, third] = [
        notice('alice', 9),
        notice('bob', 1),
        notice('alice', 3),
        notice('alice', 5),
      ]
      for (const added of [first, others, second, third]) await store.notices.add(added)
      const list = async (query: Partial<Parameters<Store['notices']['list']>[0]>) =>
        ids(await store.notices.list({ person: 'alice', limit: 10, ...query }))
      assert.deepEqual(await list({}), [third.id, second.id, first.id])
      assert.deepEqual(await list({ limit: 2 }), [third.id, second.id])
      assert.deepEqual(await list({ before: second.id }), [first.id])
      for (const before of [others.id, crypto.randomUUID(), 'no id']) assert.deepEqual(await list({ before }), [])
      assert.deepEqual(await list({ person: 'a\0b' }), [])
      assert.equal(await store.notices.countUnseen('alice'), 3)
      for (const through of [others.id, crypto.randomUUID(), 'no id'])
        assert.equal(await store.notices.markSeen('alice', through, 50), 0)
      assert.equal(await store.notices.markSeen('alice', second.id, 50), 2)
      assert.equal(await store.notices.markSeen('alice', second.id, 60), 0)
      assert.equal(await store.notices.countUnseen('alice'), 1)
      assert.equal(await store.notices.countUnseen('bob'), 1)
      assert.equal(await store.notices.countUnseen('a\0b'), 0)
      assert.deepEqual(await list({ unseen: true }), [third.id])
      assert.deepEqual(await list({ unseen: true, before: third.id }), [])
      const seen = await store.notices.list({ person: 'alice', limit: 10 })
      assert.deepEqual(
        seen.map(({ seenAtUs }) => seenAtUs),
        [null, 50, 50],
      )
      assert.deepEqual(seen[0], { ...third, seenAtUs: null })
    })

    test('who listens hears when a grant is opened or ended and when somebody is told, and of nothing else', async () => {
      const { store, target } = await engine.createStore()
      const ears = await hearAccess(store)
      const other = engineName === 'postgres' ? await openStore(target) : store
      const [grant] = await openGrants(other, [{ host: 'elsewhere' }])
      assert.ok(grant)
      await ears.reach(1)
      const view = {
        id: crypto.randomUUID(),
        grantId: grant.id,
        host: 'testhost',
        kind: 'attach',
        openedAtUs: 1,
      } as const
      await other.access.beginView(view)
      await other.access.end(grant.id, { atUs: 1, by: 'carol', why: 'ended' })
      await ears.reach(2)
      assert.equal(await other.access.end(grant.id, { atUs: 1, by: 'carol', why: 'ended' }), false)
      const notice = { kind: 'session.renamed', person: 'alice', atUs: 1, by: 'carol', grantId: null } as const
      await other.notices.add({ ...notice, id: crypto.randomUUID(), sessionId: grant.sessionId })
      await ears.reach(3)
      await ears.close()
      if (other !== store) await other.close()
    })

    test('the database itself refuses what can not be', async () => {
      const { store, target } = await engine.createStore()
      const [grant] = await openGrants(store, [{}])
      assert.ok(grant)
      const time = engineName === 'sqlite' ? '1' : 'now()'
      for (const change of [
        `access_grants SET ended_at = ${time}`,
        "access_grants SET ended_why = 'expired'",
        "access_grants SET ended_by = 'carol'",
        `access_grants SET ended_at = ${time}, ended_why = 'forgotten'`,
        "access_grants SET reason = ''",
        'notices SET grant_id = NULL',
        "notices SET kind = 'danced'",
      ])
        await assert.rejects(queryRows(target, `UPDATE ${change}`), /constraint/, change)
    })
  })

  describe(`sealed transcripts on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('a transcript is sealed up to a chunk, and that never goes back', async () => {
      const { store } = await engine.createStore()
      const { id } = await store.sessions.create(newSession())
      assert.equal(await store.transcripts.sealedSeq(id), 0)
      for (const seq of [5, 3, 8, 0]) await store.transcripts.markSealed(id, seq)
      assert.equal(await store.transcripts.sealedSeq(id), 8)
      const unknown = newSession().id
      await store.transcripts.markSealed(unknown, 4)
      assert.equal(await store.transcripts.sealedSeq(unknown), 0)
    })
  })
}
