// What contract.ts promises of commands, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { NewCommand, Store } from './contract.ts'
import { openStore } from './open.ts'
import { engineNames, newSession, startEngine, type TestEngine } from './test-engines.ts'

function stop(sessionId: SessionId, change: Partial<NewCommand> = {}): NewCommand {
  return { sessionId, kind: 'stop', force: false, requestedBy: 'alice', createdAtUs: 1, expiresAtUs: 1000, ...change }
}

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
      const queued = await store.commands.enqueue(stop(id, { force: true }))
      const { id: commandId, ...rest } = queued
      assert.deepEqual(rest, { ...stop(id, { force: true }), state: 'queued', reason: null, finishedAtUs: null })
      assert.deepEqual(await store.commands.take(id, 5), { ...queued, state: 'delivered' })
      assert.equal(await store.commands.finish(commandId, { state: 'done', reason: null, atUs: 9 }), true)
      assert.equal(await store.commands.finish(commandId, { state: 'failed', reason: 'late', atUs: 10 }), false)
      assert.deepEqual(await store.commands.list(id, 10), [{ ...queued, state: 'done', finishedAtUs: 9 }])
    })

    test('what was never delivered can not be finished', async () => {
      const id = await create()
      const command = await store.commands.enqueue(stop(id))
      assert.equal(await store.commands.finish(command.id, { state: 'done', reason: null, atUs: 9 }), false)
      assert.equal(await store.commands.finish(command.id + 1_000_000, { state: 'done', reason: null, atUs: 9 }), false)
    })

    test('a session takes its own commands in order, and lists them newest first', async () => {
      const [id, other] = [await create(), await create()]
      const ids: number[] = []
      for (let i = 0; i < 3; i += 1) {
        ids.push((await store.commands.enqueue(stop(id))).id)
        await store.commands.enqueue(stop(other))
      }
      const taken = [
        await store.commands.take(id, 2),
        await store.commands.take(id, 2),
        await store.commands.take(id, 2),
      ]
      assert.deepEqual(
        taken.map((command) => command?.id),
        ids,
      )
      assert.equal(await store.commands.take(id, 2), null)
      assert.deepEqual(
        (await store.commands.list(id, 2)).map((command) => command.id),
        ids.toReversed().slice(0, 2),
      )
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
              own.push(command.id)
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
          enqueued.map((command) => command.id).sort((a, b) => a - b),
        )
      } finally {
        await Promise.all(others.map((other) => other.close()))
      }
    })

    test('a command past its expiry is never delivered', async () => {
      const id = await create()
      await store.commands.enqueue(stop(id, { expiresAtUs: 10 }))
      const later = await store.commands.enqueue(stop(id, { expiresAtUs: 11 }))
      assert.equal((await store.commands.take(id, 10))?.id, later.id)
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
      const command = await store.commands.enqueue(stop(id))
      await store.commands.take(id, 1)
      await assert.rejects(
        store.commands.finish(command.id, { state: 'failed', reason: '\ud800', atUs: 1 }),
        RangeError,
      )
    })
  })
}
