// What contract.ts promises of events and of hints, on both real engines. One file: a hint is only ever about what is tested here.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import type { Store } from './contract.ts'
import { openStore } from './open.ts'
import {
  ending,
  engineNames,
  newSession,
  queryRows,
  spawnScript,
  startEngine,
  type TestEngine,
} from './test-engines.ts'

const everyone = { kind: 'all' } as const
const ofAlice = { kind: 'person', person: 'alice' } as const
const bob = { person: 'bob', uid: 1001, osUser: 'bob' }
const exit = { kind: 'exited', code: 0 } as const

const read = (store: Store, afterOrdinal = 0, scope: Parameters<Store['events']['find']>[0] = everyone) =>
  store.events.read({ scope, afterOrdinal, limit: 10_000 })

async function kindsOf(store: Store, id: SessionId): Promise<readonly string[]> {
  const all = await read(store)
  return all.filter(({ session }) => session.id === id).map(({ event }) => event.kind)
}

/** What a listener hears, in order; `next` waits for one that was not waited for yet. */
function hearing() {
  const heard: string[] = []
  let wake = () => {
    // Nobody waits.
  }
  async function next(what: string): Promise<void> {
    while (!heard.includes(what)) {
      const { promise, resolve } = Promise.withResolvers<void>()
      wake = resolve
      await promise
    }
    heard.splice(heard.indexOf(what), 1)
  }
  return {
    heard,
    onHint(what: string) {
      heard.push(what)
      wake()
    },
    next,
    /** One of each, as there is when the connection is made. */
    async nextOfAll(): Promise<void> {
      for (const what of ['commands', 'events', 'access', 'auditor']) await next(what)
    },
  }
}

/** Changes sessions as fast as it can, many at once. */
const changingScript = `
  import { openStore } from './open.ts'
  const { target, sessions } = JSON.parse(process.argv[1])
  const store = await openStore(target)
  await Promise.all(sessions.map(async (id, setter) => {
    for (let round = 0; round < 10; round++) await store.sessions.rename(id, process.pid + ' ' + setter + ' ' + round, round)
  }))
  await store.close()`

/** Goes on creating sessions, and prints each one that was created. */
const creatingScript = `
  import { openStore } from './open.ts'
  const { target, session } = JSON.parse(process.argv[1])
  const store = await openStore(target)
  for (;;) await Promise.all([1, 2, 3].map(async () => {
    const { id } = await store.sessions.create({ ...session, id: crypto.randomUUID() })
    console.log(id)
  }))`

for (const engineName of engineNames) {
  describe(`events on ${engineName}`, () => {
    let engine: TestEngine
    let store: Store
    before(async () => {
      engine = await startEngine(engineName)
      store = (await engine.createStore()).store
    })
    after(() => engine.stop())

    test('each change of a session is one event, and what changes nothing is none', async () => {
      const { store: own } = await engine.createStore()
      assert.equal(await own.events.newest(), 0)
      const { id, createdAtUs } = await own.sessions.create(newSession())
      await own.sessions.markRunning(id, 11)
      await own.sessions.markRunning(id, 12)
      await own.sessions.setAgentStatus(id, { state: 'working', source: 'hook' }, 13)
      await own.sessions.setAgentStatus(id, { state: 'working', source: 'hook' }, 14)
      await own.sessions.rename(id, 'another', 15)
      await own.sessions.rename(id, 'another', 16)
      await own.sessions.markLost(id, 17)
      await own.sessions.markLost(id, 18)
      await own.sessions.markRunning(id, 19)
      await own.sessions.end(id, exit, 20)
      await own.sessions.end(id, exit, 21)
      await own.sessions.markLost(id, 22)
      await own.sessions.markRunning(id, 23)
      await own.sessions.setAgentStatus(id, { state: 'idle', source: 'hook' }, 24)
      await own.sessions.rename(id, 'after the end', 25)
      const events = (await read(own)).map(({ event }) => event)
      assert.deepEqual(
        events.map(({ kind, atUs }) => [kind, atUs]),
        [
          ['created', createdAtUs],
          ['running', 11],
          ['agent', 13],
          ['renamed', 15],
          ['lost', 17],
          ['running', 19],
          ['ended', 20],
          ['renamed', 25],
        ],
      )
      assert.deepEqual(
        events,
        events.toSorted((a, b) => a.ordinal - b.ordinal),
      )
      assert.equal(await own.events.newest(), events.at(-1)?.ordinal)
      for (const { id: eventId } of events)
        assert.match(eventId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.equal(new Set(events.map((event) => event.id)).size, events.length)
    })

    test('a change that fails leaves no event', async () => {
      const newest = await store.events.newest()
      const { id } = await store.sessions.create(newSession())
      await assert.rejects(store.sessions.create(newSession({ id })))
      await assert.rejects(store.sessions.create(newSession({ parentId: newSession().id })), /foreign key|FOREIGN KEY/)
      await assert.rejects(store.sessions.rename(id, 'a\0', 1), RangeError)
      await assert.rejects(store.sessions.end(id, { kind: 'exited', code: 256 }, 1))
      await assert.rejects(store.sessions.markRunning(id, -1))
      assert.equal((await store.sessions.find(id))?.status, 'starting')
      assert.deepEqual(
        (await read(store, newest)).map(({ event }) => event.kind),
        ['created'],
      )
    })

    test('an event comes with its session as it is now', async () => {
      const { store: own } = await engine.createStore()
      const parent = await own.sessions.create(newSession())
      const { id } = await own.sessions.create(newSession({ parentId: parent.id }))
      await own.sessions.setAgentStatus(id, { state: 'waiting', source: 'terminal' }, 7)
      const now = await own.sessions.find(id)
      assert.deepEqual(
        (await read(own)).map(({ session }) => session),
        [parent, now, now],
      )
      assert.deepEqual(now?.agentStatus, { state: 'waiting', source: 'terminal', sinceUs: 7 })
    })

    test('pages go on after any ordinal and hold each event once', async () => {
      const { store: own } = await engine.createStore()
      for (let i = 0; i < 7; i += 1) await own.sessions.create(newSession())
      const all = (await read(own)).map(({ event }) => event.ordinal)
      const paged: number[] = []
      for (;;) {
        const page = await own.events.read({ scope: everyone, afterOrdinal: paged.at(-1) ?? 0, limit: 3 })
        if (page.length === 0) break
        paged.push(...page.map(({ event }) => event.ordinal))
      }
      assert.deepEqual(paged, all)
    })

    test("who may see their own only is told nothing of others', neither in pages nor by id", async () => {
      const { store: own } = await engine.createStore()
      const alices = await own.sessions.create(newSession())
      const bobs = await own.sessions.create(newSession({ owner: bob }))
      await own.sessions.rename(bobs.id, 'another', 1)
      await own.sessions.rename(alices.id, 'another', 1)
      const all = await read(own)
      const seen = await read(own, 0, ofAlice)
      assert.deepEqual(
        seen.map(({ event }) => event.kind),
        ['created', 'renamed'],
      )
      assert.ok(seen.every(({ session }) => session.id === alices.id))
      for (const { event, session } of all) {
        assert.equal(await own.events.find(everyone, event.id), event.ordinal)
        const expected = session.id === alices.id ? event.ordinal : null
        assert.equal(await own.events.find(ofAlice, event.id), expected)
      }
      for (const person of ['carol', 'Alice', '', 'a\0', '\ud800']) {
        assert.deepEqual(await read(own, 0, { kind: 'person', person }), [])
        assert.equal(await own.events.find({ kind: 'person', person }, all[0]?.event.id ?? ''), null)
      }
    })

    test('what is no id of an event finds none', async () => {
      const { id } = await store.sessions.create(newSession())
      const eventId = (await read(store))[0]?.event.id ?? ''
      assert.ok((await store.events.find(everyone, eventId)) !== null)
      for (const asked of [
        '',
        'x',
        '\0',
        "'",
        '%',
        id,
        eventId.slice(0, -1),
        `${eventId}0`,
        eventId.replace('-4', '-c'),
        eventId.toUpperCase(),
      ])
        assert.equal(await store.events.find(everyone, asked), null, asked)
    })

    test('old events are removed a few at a time, and ordinals go on', async () => {
      const { store: own } = await engine.createStore()
      const { id } = await own.sessions.create(newSession({ createdAtUs: 1 }))
      for (const atUs of [2, 3, 4, 5]) await own.sessions.rename(id, `at ${atUs}`, atUs)
      const all = (await read(own)).map(({ event }) => event)
      assert.equal(await own.events.remove(4, 2), 2)
      assert.equal(await own.events.remove(4, 2), 1)
      assert.equal(await own.events.remove(4, 2), 0)
      assert.deepEqual(
        (await read(own)).map(({ event }) => event.atUs),
        [4, 5],
      )
      assert.equal(await own.events.find(everyone, all[0]?.id ?? ''), null)
      assert.equal(await own.events.remove(100, 100), 2)
      assert.equal(await own.events.newest(), 0)
      await own.sessions.rename(id, 'later', 6)
      assert.ok((await own.events.newest()) > (all.at(-1)?.ordinal ?? Number.MAX_SAFE_INTEGER))
    })

    test('whoever has seen an event never finds a new one before it, with forty changing at once in two processes', async () => {
      const { store: own, target } = await engine.createStore()
      const other = await openStore(target)
      const sessions = await Promise.all(
        Array.from({ length: 20 }, async () => (await own.sessions.create(newSession())).id),
      )
      const already = await own.events.newest()
      const argument = JSON.stringify({ target, sessions })
      const endings = Promise.all([1, 2].map(() => ending(spawnScript(changingScript, argument))))
      let isOver = false
      const over = endings.then((all) => {
        isOver = true
        return all
      })
      const followed: number[] = []
      for (let wasOver = false; !wasOver; ) {
        // A turn of the event loop: SQLite answers within one.
        await nextTurn()
        wasOver = isOver
        const newest = await other.events.newest()
        const page = await other.events.read({ scope: everyone, afterOrdinal: followed.at(-1) ?? already, limit: 7 })
        followed.push(...page.map(({ event }) => event.ordinal))
        if (page.length === 7) wasOver = false
        else assert.ok((followed.at(-1) ?? already) >= newest)
      }
      assert.deepEqual(await over, [0, 0])
      const all = (await read(own, already)).map(({ event }) => event.ordinal)
      assert.equal(all.length, 400)
      assert.deepEqual(followed, all)
      await other.close()
    })

    test('of twenty that set the same at once, one does', async () => {
      const { store: own, target } = await engine.createStore()
      const other = await openStore(target)
      const { id } = await own.sessions.create(newSession())
      const twenty = (set: (of: Store) => Promise<boolean>) =>
        Promise.all(Array.from({ length: 20 }, (_, index) => set(index % 2 === 0 ? own : other)))
      const wins = (outcomes: readonly boolean[]) => outcomes.filter((outcome) => outcome).length
      assert.equal(wins(await twenty((of) => of.sessions.markRunning(id, 1))), 20)
      const waiting = { state: 'waiting', source: 'hook' } as const
      assert.equal(wins(await twenty((of) => of.sessions.setAgentStatus(id, waiting, 2))), 1)
      assert.equal(wins(await twenty((of) => of.sessions.rename(id, 'another', 3))), 1)
      assert.equal(wins(await twenty((of) => of.sessions.markLost(id, 4))), 1)
      assert.equal(wins(await twenty((of) => of.sessions.end(id, exit, 5))), 1)
      assert.deepEqual(await kindsOf(own, id), ['created', 'running', 'agent', 'renamed', 'lost', 'ended'])
      await other.close()
    })

    test('kill -9 leaves no session without its event, and no event without its session', async () => {
      const { store: own, target } = await engine.createStore()
      const child = spawnScript(creatingScript, JSON.stringify({ target, session: newSession() }))
      const created: string[] = []
      assert.ok(child.stdout)
      const lines = createInterface({ input: child.stdout }).on('line', (line) => {
        created.push(line)
        if (created.length === 20) child.kill('SIGKILL')
      })
      await once(lines, 'close')
      assert.equal(await ending(child), 'SIGKILL')
      // Waits for the events' lock, and so for a commit that PostgreSQL is still at.
      const after = await own.sessions.create(newSession())
      const sessions = await own.sessions.list({ scope: everyone, limit: 10_000 })
      const told = (await read(own)).map(({ session }) => session.id)
      assert.deepEqual(told.toSorted(), sessions.map(({ id }) => id).toSorted())
      assert.ok(created.every((id) => sessions.some((session: Session) => session.id === id)))
      assert.ok(told.includes(after.id))
    })
  })

  describe(`hints on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    const send = (sessionId: SessionId) => ({
      sessionId,
      request: { kind: 'send', text: 'hello', enter: true } as const,
      requestedBy: 'alice',
      createdAtUs: 1,
      expiresAtUs: 100,
    })

    test('who listens hears of what may have come before, then of commands and of events, until it closes', async () => {
      const { store } = await engine.createStore()
      const ears = hearing()
      const listening = store.listen('testhost', ears.onHint)
      await ears.nextOfAll()
      const { id } = await store.sessions.create(newSession())
      await ears.next('events')
      await store.sessions.setAgentStatus(id, { state: 'idle', source: 'hook' }, 1)
      await ears.next('events')
      await store.commands.enqueue(send(id))
      await ears.next('commands')
      assert.deepEqual(ears.heard, [])
      await listening.close()
      const others = hearing()
      const other = store.listen('testhost', others.onHint)
      await others.nextOfAll()
      await store.commands.enqueue(send(id))
      await others.next('commands')
      assert.deepEqual(ears.heard, [])
      await other.close()
    })

    test('the answer is there before the hint, what it tells of is committed, and who listens may use the store', async () => {
      const { store } = await engine.createStore()
      const { id } = await store.sessions.create(newSession())
      const taken = Promise.withResolvers<string | null | undefined>()
      const listening = store.listen('testhost', (what) => {
        if (what === 'commands')
          store.commands.take(id, 2).then((command) => {
            if (command !== null) taken.resolve(command.text)
          }, taken.reject)
      })
      await store.commands.enqueue(send(id))
      assert.equal(await taken.promise, 'hello')
      await listening.close()
    })

    test('what changes nothing and what fails is no news', async () => {
      const { store } = await engine.createStore()
      const { id } = await store.sessions.create(newSession())
      const ears = hearing()
      const listening = store.listen('testhost', ears.onHint)
      await ears.nextOfAll()
      await store.sessions.rename(id, 'a session', 1)
      await assert.rejects(store.sessions.create(newSession({ id })))
      await assert.rejects(store.commands.enqueue(send(newSession().id)))
      await store.commands.enqueue(send(id))
      await ears.next('commands')
      assert.deepEqual(ears.heard, [])
      await listening.close()
    })

    test('closing the store closes who listens on it', async () => {
      const { target } = await engine.createStore()
      const store = await openStore(target)
      const ears = hearing()
      store.listen('testhost', ears.onHint)
      await ears.next('events')
      await store.close()
      await assert.rejects(store.ping())
      if (engineName === 'postgres')
        assert.deepEqual(
          await queryRows(
            target,
            `SELECT application_name FROM pg_stat_activity
             WHERE datname = current_database() AND application_name LIKE 'teleclaude hints%'`,
          ),
          [],
        )
    })
  })
}

describe('two hosts on one PostgreSQL', () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('postgres')
  })
  after(() => engine.stop())

  async function listenOnBoth() {
    const { store: one, target } = await engine.createStore()
    const two = await openStore(target)
    const [first, second] = [hearing(), hearing()]
    one.listen('first', first.onHint)
    two.listen('second', second.onHint)
    for (const ears of [first, second]) await ears.nextOfAll()
    return { one, two, first, second, target }
  }
  const interrupt = (sessionId: SessionId) =>
    ({ sessionId, request: { kind: 'interrupt' }, requestedBy: 'alice', createdAtUs: 1, expiresAtUs: 100 }) as const

  test('a command reaches the host of its session, wherever it was asked for, and events reach both', async () => {
    const { one, two, first, second } = await listenOnBoth()
    const { id } = await one.sessions.create(newSession({ host: 'second' }))
    for (const ears of [first, second]) await ears.next('events')
    await one.commands.enqueue(interrupt(id))
    await second.next('commands')
    assert.deepEqual(await two.commands.listWaiting('second'), [id])
    assert.deepEqual(await two.commands.listWaiting('first'), [])
    const elsewhere = await two.sessions.create(newSession({ host: 'first' }))
    await first.next('events')
    await two.commands.enqueue(interrupt(elsewhere.id))
    await first.next('commands')
    assert.deepEqual(first.heard, [], 'of the command to the other host nothing was heard')
    await two.close()
  })

  test('a connection that was cut is made again, and tells that something may have come meanwhile', async () => {
    const { one, two, first, second, target } = await listenOnBoth()
    const cut = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'teleclaude hints of second'`
    await queryRows(target, cut)
    await second.nextOfAll()
    const { id } = await one.sessions.create(newSession({ host: 'second' }))
    await second.next('events')
    await one.commands.enqueue(interrupt(id))
    await second.next('commands')
    await first.next('events')
    assert.deepEqual(first.heard, [])
    await two.close()
  })
})
