// What a host's auditor keeps in the database, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Alarm, AuditorWord } from './audit-contract.ts'
import { openStore } from './open.ts'
import { engineNames, startEngine, type TestEngine } from './test-engines.ts'

const host = 'build-box'
const maxTime = Number.MAX_SAFE_INTEGER

const word: AuditorWord = {
  vkey: 'teleclaude.auditor/build-box+00000000+BAAA',
  startedAtUs: 1,
  atUs: 2,
  state: 'shipping',
  message: null,
  verifiedSeq: 0,
}

const alarm = (change: Partial<Alarm> = {}): Omit<Alarm, 'acknowledged'> => {
  const { acknowledged: _, ...rest } = {
    id: crypto.randomUUID(),
    kind: 'fork' as const,
    atUs: 5,
    fromSeq: 3,
    toSeq: 9,
    message: 'it is not a continuation',
    acknowledged: null,
    ...change,
  }
  return rest
}

for (const engineName of engineNames) {
  describe(`the auditor's part of ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('the last word is what was said last, of each host', async () => {
      const { store } = await engine.createStore()
      assert.equal(await store.auditor.lastWord(host), null)
      await store.auditor.say(host, word)
      assert.deepEqual(await store.auditor.lastWord(host), word)
      const other = { ...word, atUs: maxTime, state: 'alarm', message: 'Zoë: a fork', verifiedSeq: maxTime } as const
      await store.auditor.say(host, other)
      await store.auditor.say('elsewhere', word)
      assert.deepEqual(await store.auditor.lastWord(host), other)
      await assert.rejects(store.auditor.say(host, { ...word, message: 'a\0b' }), RangeError)
    })

    test('what is new is heard, once: another word, a cosignature, an alarm', async () => {
      const { store, target } = await engine.createStore()
      let count = 0
      let wake = () => {
        // Nobody waits.
      }
      const listening = store.listen(host, (what) => {
        if (what === 'auditor') count += 1
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
      // Of whatever came before.
      await reach(1)
      const cosignature = { size: 1, signer: 'auditor', line: 'line', atUs: 1 }
      await store.auditor.say(host, word)
      await reach(2)
      await store.auditor.say(host, { ...word, atUs: 3 })
      await store.auditor.say(host, { ...word, atUs: 3, verifiedSeq: 1 })
      await reach(3)
      await store.auditor.cosign(host, cosignature)
      await reach(4)
      await store.auditor.cosign(host, cosignature)
      await store.auditor.raiseAlarm(host, alarm())
      await reach(5)
      await store.auditor.raiseAlarm(host, alarm())
      // In SQLite there is one host.
      if (engineName === 'postgres') {
        const elsewhere = await openStore(target)
        await elsewhere.auditor.say('elsewhere', word)
        await elsewhere.close()
      }
      await store.auditor.say(host, { ...word, verifiedSeq: 2 })
      await reach(6)
      await listening.close()
    })

    test('an alarm is raised once until somebody acknowledges it', async () => {
      const { store } = await engine.createStore()
      const [first, again, later] = [alarm(), alarm({ atUs: 6 }), alarm({ atUs: 7 })]
      const [gap, unknown] = [alarm({ kind: 'gap', atUs: 4 }), alarm({ kind: 'sink', fromSeq: null, toSeq: null })]
      const unknownAgain = { ...unknown, id: crypto.randomUUID() }
      for (const raised of [first, again, gap, unknown, unknownAgain]) await store.auditor.raiseAlarm(host, raised)
      await store.auditor.raiseAlarm('elsewhere', alarm())
      const listed = async (unacknowledged: boolean) =>
        (await store.auditor.listAlarms(host, { unacknowledged })).map(({ id }) => id)
      assert.deepEqual(new Set((await listed(true)).slice(0, 2)), new Set([first.id, unknown.id]))
      assert.equal((await listed(true))[2], gap.id)
      assert.deepEqual(await store.auditor.acknowledgeAlarm(host, first.id, 'carol', 8), true)
      for (const [at, id] of [
        [host, first.id],
        [host, again.id],
        [host, 'no id'],
        ['elsewhere', gap.id],
      ] as const)
        assert.equal(await store.auditor.acknowledgeAlarm(at, id, 'carol', 9), false)
      await store.auditor.raiseAlarm(host, later)
      assert.deepEqual((await listed(true))[0], later.id)
      const everything = await store.auditor.listAlarms(host, { unacknowledged: false })
      assert.equal(everything.length, 4)
      assert.deepEqual(
        everything.find(({ id }) => id === first.id),
        { ...first, acknowledged: { by: 'carol', atUs: 8 } },
      )
      assert.deepEqual(
        everything.find(({ id }) => id === unknown.id),
        { ...unknown, acknowledged: null },
      )
    })

    test('a sink is as far as its cursor, and what it would not take is kept until it does', async () => {
      const { store } = await engine.createStore()
      assert.deepEqual(await store.auditor.listSinks(host), [])
      await store.audit.moveCursor(host, 'webhook', 4)
      await store.audit.moveCursor(host, 'file', 20)
      const parked = [
        { seq: 7, reason: 'answered 422' },
        { seq: 5, reason: 'answered 413' },
      ]
      await store.auditor.park(host, 'webhook', parked, 8, 100)
      await store.auditor.park(host, 'webhook', [{ seq: 7, reason: 'another' }], 8, 200)
      await store.auditor.park(host, 'otlp', [{ seq: 5, reason: 'refused' }], 5, 300)
      assert.deepEqual(
        (await store.auditor.listSinks(host)).map(({ sink, seq, parked, firstParkedSeq }) => [
          sink,
          seq,
          parked,
          firstParkedSeq,
        ]),
        [
          ['file', 20, 0, null],
          ['otlp', 5, 1, 5],
          ['webhook', 8, 2, 5],
        ],
      )
      assert.equal((await store.auditor.listSinks(host))[1]?.movedAtUs, 300)
      assert.equal(await store.audit.readCursor(host, 'webhook'), 8)
      const list = async (sink: string | null, afterSeq: number, limit: number) =>
        (await store.auditor.listParked(host, { sink, afterSeq, limit })).map((entry) => `${entry.sink} ${entry.seq}`)
      assert.deepEqual(await list('webhook', 0, 10), ['webhook 5', 'webhook 7'])
      assert.deepEqual(await list('webhook', 5, 10), ['webhook 7'])
      // All that have the last number of a page: the next one is after it.
      assert.deepEqual(await list(null, 0, 1), ['otlp 5', 'webhook 5'])
      assert.deepEqual(await list(null, 5, 1), ['webhook 7'])
      assert.deepEqual(await list(null, 7, 1), [])
      await store.auditor.noteAttempt(host, 'webhook', 7, 'still 422', 400)
      await store.auditor.unpark(host, 'webhook', 5)
      await store.auditor.unpark(host, 'webhook', 6)
      assert.deepEqual(await store.auditor.listParked(host, { sink: 'webhook', afterSeq: 0, limit: 10 }), [
        { sink: 'webhook', seq: 7, reason: 'still 422', attempts: 2, parkedAtUs: 100, triedAtUs: 400 },
      ])
    })
  })
}
