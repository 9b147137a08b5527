// What contract.ts promises of commands, on both real engines.

import assert from 'node:assert/strict'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { type CommandState, maxSendLength } from '@teleclaude/core/command.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { NewCommand, Store } from './contract.ts'
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

function stop(sessionId: SessionId, change: Partial<NewCommand> = {}): NewCommand {
  const request = { kind: 'stop', force: false } as const
  return { sessionId, request, requestedBy: 'alice', createdAtUs: 1, expiresAtUs: 1000, ...change }
}

/** Enqueues one command for each of the sessions at once, takes and finishes one of the first session's, and so on. Prints
 *  the numbers that its commands got. */
const enqueueingScript = `
  import { openStore } from './open.ts'
  const { target, ids, command, count } = JSON.parse(process.argv[1])
  const store = await openStore(target)
  const numbers = []
  for (let done = 0; done < count; done++) {
    const enqueued = await Promise.all(ids.map((sessionId) => store.commands.enqueue({ ...command, sessionId })))
    numbers.push(enqueued.map(({ number }) => number))
    const { number } = await store.commands.take(ids[0], 2)
    await store.commands.finish(ids[0], number, { state: 'done', reason: null, atUs: 3 })
  }
  process.stdout.write(JSON.stringify(numbers))
  await store.close()`

const oneTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)

for (const engineName of engineNames) {
  describe(`commands on ${engineName}`, () => {
    let engine: TestEngine
    let store: Store
    before(async () => {
      engine = await startEngine(engineName)
      store = (await engine.createStore()).store
    })
    after(() => engine.stop())
    const create = async (of = store) => (await of.sessions.create(newSession())).id

    test('a command is queued, delivered and done', async () => {
      const id = await create()
      const queued = await store.commands.enqueue(stop(id, { request: { kind: 'stop', force: true } }))
      assert.deepEqual(queued, {
        sessionId: id,
        number: 1,
        kind: 'stop',
        force: true,
        text: null,
        enter: false,
        requestedBy: 'alice',
        createdAtUs: 1,
        expiresAtUs: 1000,
        state: 'queued',
        reason: null,
        finishedAtUs: null,
      })
      assert.deepEqual(await store.commands.take(id, 5), { ...queued, state: 'delivered' })
      assert.equal(await store.commands.finish(id, 1, { state: 'done', reason: null, atUs: 9 }), true)
      assert.equal(await store.commands.finish(id, 1, { state: 'failed', reason: 'late', atUs: 10 }), false)
      assert.deepEqual(await store.commands.list(id, 10), [{ ...queued, state: 'done', finishedAtUs: 9 }])
    })

    test('what was taken and told nobody is put back in its old place', async () => {
      const id = await create()
      for (const text of ['one', 'two'])
        await store.commands.enqueue(stop(id, { request: { kind: 'send', text, enter: false } }))
      const taken = await store.commands.take(id, 2)
      assert.equal(await store.commands.putBack(id, 1), true)
      assert.equal(await store.commands.putBack(id, 1), false)
      assert.equal(await store.commands.putBack(id, 2), false)
      assert.deepEqual(await store.commands.take(id, 3), taken)
      assert.equal(await store.commands.finish(id, 1, { state: 'done', reason: null, atUs: 4 }), true)
      assert.equal(await store.commands.putBack(id, 1), false)
      assert.equal((await store.commands.take(id, 5))?.text, 'two')
    })

    test('whoever takes a text or an interrupt gets what was asked', async () => {
      const id = await create()
      const asked = [
        { kind: 'send', text: "it's 'é 👩‍👩‍👧 \u001b[A\r\n\\ {}", enter: true },
        { kind: 'send', text: '', enter: false },
        { kind: 'send', text: '👩'.repeat(maxSendLength / 2), enter: false },
        { kind: 'send', text: 'x'.repeat(maxSendLength), enter: true },
        { kind: 'interrupt' },
        { kind: 'stop', force: true },
      ] as const
      const none = { text: null, enter: false, force: false }
      for (const request of asked) await store.commands.enqueue(stop(id, { request }))
      for (const [index, request] of asked.entries()) {
        const taken = await store.commands.take(id, 2)
        assert.ok(taken)
        const { number, kind, text: typed, enter, force } = taken
        assert.deepEqual({ number, kind, text: typed, enter, force }, { number: index + 1, ...none, ...request })
      }
    })

    test('a text that is too long, or that no database can hold, is refused before one', async () => {
      const id = await create()
      for (const typed of ['x'.repeat(maxSendLength + 1), 'a\0', '\ud800'])
        await assert.rejects(
          store.commands.enqueue(stop(id, { request: { kind: 'send', text: typed, enter: false } })),
          RangeError,
        )
      assert.deepEqual(await store.commands.list(id, 10), [])
    })

    test('what was to be typed is gone from the table when it is done, has failed, expires or is closed', async () => {
      const { store: own, target } = await engine.createStore()
      const secrets = async () =>
        queryRows(target, "SELECT number FROM commands WHERE text LIKE '%secret%' ORDER BY session_id, commands.number")
      const left = async () => (await secrets()).length
      const id = await create(own)
      const send = (expiresAtUs = 1000, of = id) =>
        own.commands.enqueue(stop(of, { request: { kind: 'send', text: 'a secret', enter: true }, expiresAtUs }))
      for (const state of ['done', 'failed'] as const) {
        await send()
        assert.equal(await left(), 1)
        const taken = await own.commands.take(id, 2)
        assert.equal(await left(), 1)
        assert.equal(await own.commands.finish(id, taken?.number ?? 0, { state, reason: null, atUs: 3 }), true)
        assert.equal(await left(), 0)
      }
      await send(10)
      assert.equal(await own.commands.expire(10), 1)
      assert.equal(await left(), 0)
      await send(20)
      assert.equal(await own.commands.take(id, 20), null)
      assert.equal(await left(), 0)
      await send()
      await own.commands.take(id, 2)
      await send()
      const other = await create(own)
      await send(1000, other)
      assert.equal(await own.commands.close(id, 'the session has ended', 30), 2)
      assert.equal(await left(), 1)
      const commands = await own.commands.list(id, 100)
      assert.ok(commands.every((command) => command.text === null && command.enter && command.kind === 'send'))
      assert.equal((await own.commands.take(other, 31))?.text, 'a secret')
    })

    test('closing fails what is queued or delivered, and nothing else', async () => {
      const id = await create()
      for (let i = 0; i < 4; i += 1) await store.commands.enqueue(stop(id, { expiresAtUs: i === 0 ? 2 : 1000 }))
      assert.equal((await store.commands.take(id, 3))?.number, 2)
      await store.commands.finish(id, 2, { state: 'done', reason: null, atUs: 4 })
      assert.equal((await store.commands.take(id, 5))?.number, 3)
      assert.equal(await store.commands.close(id, 'the session has ended', 6), 2)
      assert.equal(await store.commands.close(id, 'again', 7), 0)
      assert.equal(await store.commands.close(newSession().id, 'unknown', 7), 0)
      assert.equal(await store.commands.take(id, 8), null)
      assert.equal(await store.commands.finish(id, 3, { state: 'done', reason: null, atUs: 9 }), false)
      const commands = await store.commands.list(id, 10)
      assert.deepEqual(
        commands.map(({ number, state, finishedAtUs }) => [number, state, finishedAtUs]),
        [
          [4, 'failed', 6],
          [3, 'failed', 6],
          [2, 'done', 4],
          [1, 'expired', 3],
        ],
      )
      assert.deepEqual([commands[0]?.reason, commands[1]?.reason], ['the session has ended', 'the session has ended'])
      await assert.rejects(store.commands.close(id, '\0', 1), RangeError)
    })

    test('a command is taken, or closed, or expired, by one of those who try at once', async () => {
      const { store: one, target } = await engine.createStore()
      const other = await openStore(target)
      try {
        const id = await create(one)
        for (let i = 0; i < 20; i += 1)
          await one.commands.enqueue(
            stop(id, { request: { kind: 'send', text: 'once', enter: false }, expiresAtUs: 10 }),
          )
        const takes = Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? one : other).commands.take(id, 9))
        const [taken, closed, expired] = await Promise.all([
          Promise.all(takes),
          one.commands.close(id, 'the session has ended', 11),
          other.commands.expire(10),
        ])
        const numbers = taken.flatMap((command) => (command === null ? [] : [command.number]))
        assert.equal(new Set(numbers).size, numbers.length)
        const commands = await one.commands.list(id, 100)
        assert.ok(commands.every(({ text: typed, state }) => typed === null || state === 'delivered'))
        const counted = (state: CommandState) => commands.filter((command) => command.state === state).length
        assert.deepEqual([counted('failed'), counted('expired')], [closed, expired])
        assert.equal(counted('delivered') + closed + expired, 20)
        // One that was delivered before everything was closed is counted there.
        assert.ok(counted('delivered') <= numbers.length)
      } finally {
        await other.close()
      }
    })

    test('a host lists its sessions that a command waits for', async () => {
      const host = 'waiting-host'
      const make = async (of = host) => (await store.sessions.create(newSession({ host: of }))).id
      const [first, second, third] = [await make(), await make(), await make()]
      const elsewhere = await make('another-waiting-host')
      assert.deepEqual(await store.commands.listWaiting(host), [])
      for (const id of [third, first, first, second, elsewhere]) await store.commands.enqueue(stop(id))
      await store.commands.take(first, 2)
      await store.commands.take(second, 2)
      assert.deepEqual(await store.commands.listWaiting(host), [first, third])
      await store.commands.close(third, 'the session has ended', 2)
      await store.commands.take(first, 1000)
      assert.deepEqual(await store.commands.listWaiting(host), [])
      assert.deepEqual(await store.commands.listWaiting('another-waiting-host'), [elsewhere])
    })

    test('what was never delivered can not be finished', async () => {
      const id = await create()
      const { number } = await store.commands.enqueue(stop(id))
      for (const asked of [number, number + 1, 0])
        assert.equal(await store.commands.finish(id, asked, { state: 'done', reason: null, atUs: 9 }), false)
    })

    test('a command is finished in its own session only', async () => {
      const [id, other] = [await create(), await create()]
      for (const sessionId of [id, other]) {
        await store.commands.enqueue(stop(sessionId))
        await store.commands.take(sessionId, 5)
      }
      assert.equal(await store.commands.finish(id, 1, { state: 'failed', reason: 'deaf', atUs: 9 }), true)
      const states = [id, other].map(async (sessionId) => (await store.commands.list(sessionId, 1))[0]?.state)
      assert.deepEqual(await Promise.all(states), ['failed', 'delivered'])
      assert.equal(await store.commands.finish(newSession().id, 1, { state: 'done', reason: null, atUs: 9 }), false)
    })

    test('a session takes its own commands in order, and lists them newest first', async () => {
      const [id, other] = [await create(), await create()]
      const numbers: number[] = []
      for (let i = 0; i < 3; i += 1) {
        numbers.push((await store.commands.enqueue(stop(id))).number)
        await store.commands.enqueue(stop(other))
      }
      assert.deepEqual(numbers, [1, 2, 3])
      const taken = [
        await store.commands.take(id, 2),
        await store.commands.take(id, 2),
        await store.commands.take(id, 2),
      ]
      assert.deepEqual(
        taken.map((command) => command?.number),
        numbers,
      )
      assert.equal(await store.commands.take(id, 2), null)
      assert.deepEqual(
        (await store.commands.list(id, 2)).map((command) => command.number),
        [3, 2],
      )
      assert.equal((await store.commands.enqueue(stop(id))).number, 4)
    })

    test('of four processes that enqueue at once, each session numbers its commands without a gap', async () => {
      const { store: own, target } = await engine.createStore()
      const [first, second] = [await create(own), await create(own)]
      const argument = JSON.stringify({ target, ids: [first, second], command: stop(first), count: 25 })
      const children = Array.from({ length: 4 }, () => spawnScript(enqueueingScript, argument))
      const printed = await Promise.all(children.map(({ stdout }) => text(stdout ?? process.stdin)))
      assert.deepEqual(await Promise.all(children.map(ending)), [0, 0, 0, 0])
      const told: readonly (readonly number[])[][] = printed.map((line) => JSON.parse(line))
      for (const [index, id] of [first, second].entries()) {
        const numbers = told.map((ofProcess) => ofProcess.map((ofSessions) => ofSessions[index] ?? 0))
        for (const ofProcess of numbers)
          assert.deepEqual(
            ofProcess,
            ofProcess.toSorted((a, b) => a - b),
          )
        assert.deepEqual(
          numbers.flat().sort((a, b) => a - b),
          oneTo(100),
        )
        const commands = await own.commands.list(id, 1000)
        assert.deepEqual(
          commands.map(({ number }) => number),
          oneTo(100).reverse(),
        )
        const state = id === first ? 'done' : 'queued'
        assert.ok(commands.every((command) => command.state === state))
      }
    })

    test('of eight takers at once, each command goes to one, in order for each', async () => {
      const { store: one, target } = await engine.createStore()
      const others = await Promise.all(Array.from({ length: 3 }, () => openStore(target)))
      try {
        const id = await create(one)
        const enqueued = await Promise.all(Array.from({ length: 30 }, () => one.commands.enqueue(stop(id))))
        const takers = [one, ...others].flatMap((taker) => [taker, taker])
        const taken = await Promise.all(
          takers.map(async (taker) => {
            const own: number[] = []
            for (
              let command = await taker.commands.take(id, 2);
              command !== null;
              command = await taker.commands.take(id, 2)
            )
              own.push(command.number)
            return own
          }),
        )
        for (const own of taken)
          assert.deepEqual(
            own,
            own.toSorted((a, b) => a - b),
          )
        assert.deepEqual(
          taken.flat().sort((a, b) => a - b),
          enqueued.map((command) => command.number).sort((a, b) => a - b),
        )
      } finally {
        await Promise.all(others.map((other) => other.close()))
      }
    })

    test('a command past its expiry is never delivered', async () => {
      const id = await create()
      await store.commands.enqueue(stop(id, { expiresAtUs: 10 }))
      const later = await store.commands.enqueue(stop(id, { expiresAtUs: 11 }))
      assert.equal((await store.commands.take(id, 10))?.number, later.number)
      const [, expired] = await store.commands.list(id, 2)
      assert.deepEqual([expired?.state, expired?.finishedAtUs], ['expired', 10])
      assert.ok(expired?.reason)
    })

    test('expiry goes over every session, and counts', async () => {
      const { store: own } = await engine.createStore()
      for (const expiresAtUs of [10, 20, 30]) await own.commands.enqueue(stop(await create(own), { expiresAtUs }))
      assert.equal(await own.commands.expire(9), 0)
      assert.equal(await own.commands.expire(20), 2)
      assert.equal(await own.commands.expire(20), 0)
    })

    test('a command needs a session, and text the database can hold', async () => {
      await assert.rejects(store.commands.enqueue(stop(newSession().id)))
      const id = await create()
      await assert.rejects(store.commands.enqueue(stop(id, { requestedBy: '\0' })), RangeError)
      const { number } = await store.commands.enqueue(stop(id))
      await store.commands.take(id, 1)
      await assert.rejects(
        store.commands.finish(id, number, { state: 'failed', reason: '\ud800', atUs: 1 }),
        RangeError,
      )
    })
  })
}
