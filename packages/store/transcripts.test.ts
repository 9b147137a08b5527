// What contract.ts promises of transcripts, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SessionId } from '@teleclaude/core/session.ts'
import { chunkKinds, maxChunkBytes, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import fc from 'fast-check'
import { type Store, StoreError } from './contract.ts'
import { openStore } from './open.ts'
import { engineNames, newSession, queryRows, startEngine, type TestEngine } from './test-engines.ts'

function chunk(seq: number, text = `chunk ${seq}`, kind: TranscriptChunk['kind'] = 'output'): TranscriptChunk {
  return { seq, kind, offsetUs: seq * 1000, bytes: Buffer.from(text) }
}

async function readAll(store: Store, id: SessionId, maxBytes = 1_000_000): Promise<TranscriptChunk[]> {
  const all: TranscriptChunk[] = []
  for (;;) {
    const part = await store.transcripts.read(id, { afterSeq: all.at(-1)?.seq ?? 0, maxBytes })
    if (part.length === 0) return all
    all.push(...part)
  }
}

const exit = { kind: 'exited', code: 0 } as const

const isBroken = (error: unknown) => error instanceof StoreError && error.code === 'sequence-broken'

for (const engineName of engineNames) {
  describe(`transcripts on ${engineName}`, () => {
    let engine: TestEngine
    let store: Store
    before(async () => {
      engine = await startEngine(engineName)
      store = (await engine.createStore()).store
    })
    after(() => engine.stop())
    const create = async () => (await store.sessions.create(newSession())).id

    test('a session without chunks has none', async () => {
      const id = await create()
      assert.equal(await store.transcripts.lastSeq(id), 0)
      assert.deepEqual(await store.transcripts.read(id, { afterSeq: 0, maxBytes: 100 }), [])
      await store.transcripts.append([])
      await store.transcripts.append([{ sessionId: id, chunks: [], atUs: 1 }])
      assert.equal((await store.sessions.find(id))?.lastOutputAtUs, null)
    })

    test('any bytes of any kind come back as they were, in order', async () => {
      const bytes = fc.oneof(
        fc.uint8Array({ maxLength: 2000 }),
        fc
          .tuple(fc.string({ unit: 'binary' }), fc.nat(500))
          .map(([text, count]) => Buffer.from(text.repeat(count)).subarray(0, maxChunkBytes)),
        fc.constant(new Uint8Array(maxChunkBytes)),
        fc.constant(crypto.getRandomValues(new Uint8Array(maxChunkBytes))),
      )
      const written = fc.array(fc.record({ kind: fc.constantFrom(...chunkKinds), offsetUs: fc.maxSafeNat(), bytes }), {
        minLength: 1,
        maxLength: 8,
      })
      await fc.assert(
        fc.asyncProperty(written, fc.array(fc.integer({ min: 1, max: 3 })), async (records, cuts) => {
          const id = await create()
          const chunks = records.map((record, index) => ({ ...record, seq: index + 1 }))
          for (let start = 0, cut = 0; start < chunks.length; cut += 1) {
            const end = start + (cuts[cut] ?? 1)
            await store.transcripts.append([{ sessionId: id, chunks: chunks.slice(start, end), atUs: end }])
            start = end
          }
          const read = await readAll(store, id, 1)
          assert.deepEqual(
            read.map((found) => ({ ...found, bytes: Buffer.from(found.bytes) })),
            chunks.map((sent) => ({ ...sent, bytes: Buffer.from(sent.bytes) })),
          )
        }),
        { numRuns: 40 },
      )
    })

    test('reading stops at about the bytes asked for, and goes on from any chunk', async () => {
      const id = await create()
      await store.transcripts.append([
        { sessionId: id, atUs: 1, chunks: [1, 2, 3, 4].map((seq) => chunk(seq, 'x'.repeat(100))) },
      ])
      const seqs = async (afterSeq: number, maxBytes: number) =>
        (await store.transcripts.read(id, { afterSeq, maxBytes })).map(({ seq }) => seq)
      assert.deepEqual(await seqs(0, 1), [1])
      assert.deepEqual(await seqs(0, 100), [1])
      assert.deepEqual(await seqs(0, 101), [1, 2])
      assert.deepEqual(await seqs(2, 1000), [3, 4])
      assert.deepEqual(await seqs(4, 1000), [])
    })

    test('a transcript of many small chunks is read to its end', async () => {
      const id = await create()
      const chunks = Array.from({ length: 2500 }, (_, index) => chunk(index + 1, 'x'))
      await store.transcripts.append([{ sessionId: id, atUs: 1, chunks }])
      assert.equal((await readAll(store, id)).length, 2500)
    })

    test('only output counts as output', async () => {
      const id = await create()
      await store.transcripts.append([
        { sessionId: id, atUs: 7, chunks: [chunk(1, '12345'), chunk(2, '80x24', 'resize')] },
      ])
      await store.transcripts.append([{ sessionId: id, atUs: 9, chunks: [chunk(3, '{}', 'exit')] }])
      const session = await store.sessions.find(id)
      assert.deepEqual(
        [session?.transcriptBytes, session?.lastOutputAtUs, await store.transcripts.lastSeq(id)],
        [5, 7, 3],
      )
    })

    test('chunks that are there already are passed over', async () => {
      const id = await create()
      await store.transcripts.append([{ sessionId: id, atUs: 1, chunks: [chunk(1), chunk(2)] }])
      await store.transcripts.append([{ sessionId: id, atUs: 2, chunks: [chunk(1, 'another'), chunk(2), chunk(3)] }])
      await store.transcripts.append([{ sessionId: id, atUs: 3, chunks: [chunk(2), chunk(3)] }])
      assert.deepEqual(
        (await readAll(store, id)).map(({ bytes }) => String(bytes)),
        ['chunk 1', 'chunk 2', 'chunk 3'],
      )
      const session = await store.sessions.find(id)
      assert.deepEqual([session?.transcriptBytes, session?.lastOutputAtUs], [21, 2])
    })

    test('one session twice in an append is one sequence', async () => {
      const id = await create()
      await store.transcripts.append([
        { sessionId: id, atUs: 1, chunks: [chunk(1)] },
        { sessionId: id, atUs: 2, chunks: [chunk(1), chunk(2)] },
      ])
      assert.equal(await store.transcripts.lastSeq(id), 2)
    })

    test('a gap, or an unknown session, and nothing of the whole append is kept', async () => {
      const [first, second] = [await create(), await create()]
      const good = { sessionId: first, atUs: 1, chunks: [chunk(1)] }
      await assert.rejects(
        store.transcripts.append([good, { sessionId: second, atUs: 1, chunks: [chunk(2)] }]),
        isBroken,
      )
      await assert.rejects(
        store.transcripts.append([good, { sessionId: second, atUs: 1, chunks: [chunk(1), chunk(3)] }]),
        isBroken,
      )
      await assert.rejects(
        store.transcripts.append([good, { sessionId: newSession().id, atUs: 1, chunks: [chunk(1)] }]),
        isBroken,
      )
      assert.deepEqual([await store.transcripts.lastSeq(first), await store.transcripts.lastSeq(second)], [0, 0])
    })

    test('a chunk over the limit is refused', async () => {
      const id = await create()
      const tooLong = { ...chunk(1), bytes: new Uint8Array(maxChunkBytes + 1) }
      await assert.rejects(store.transcripts.append([{ sessionId: id, atUs: 1, chunks: [tooLong] }]), RangeError)
    })

    test('several connections that append the same chunks at once store each one once', async () => {
      const { store: one, target } = await engine.createStore()
      const other = await openStore(target)
      try {
        const ids = await Promise.all([1, 2, 3].map(async () => (await one.sessions.create(newSession())).id))
        const appendAll = (to: Store, order: readonly SessionId[]) =>
          Array.from({ length: 10 }, (_, round) =>
            to.transcripts.append(
              order.map((sessionId) => ({
                sessionId,
                atUs: 1,
                chunks: Array.from({ length: (round + 1) * 2 }, (_, index) => chunk(index + 1)),
              })),
            ),
          )
        await Promise.all([
          ...appendAll(one, ids),
          ...appendAll(other, ids.toReversed()),
          ...appendAll(one, ids.toReversed()),
        ])
        for (const id of ids) {
          assert.deepEqual(
            (await readAll(other, id)).map(({ seq }) => seq),
            Array.from({ length: 20 }, (_, index) => index + 1),
          )
          assert.equal(
            (await one.sessions.find(id))?.transcriptBytes,
            (await readAll(one, id)).reduce((sum, { bytes }) => sum + bytes.length, 0),
          )
        }
      } finally {
        await other.close()
      }
    })

    test('the transcripts of sessions that are over are removable, oldest first', async () => {
      const host = 'removable-host'
      const make = async (of = host) => (await store.sessions.create(newSession({ host: of }))).id
      const [later, lost, live, early] = [await make(), await make(), await make(), await make()]
      const elsewhere = await make('another-removable-host')
      await store.sessions.end(later, exit, 30)
      await store.sessions.markLost(lost, 20)
      await store.sessions.markRunning(live, 1)
      await store.sessions.end(early, exit, 10)
      await store.sessions.end(elsewhere, exit, 10)
      const removable = async (endedBeforeUs: number, limit = 100) =>
        (await store.transcripts.listRemovable(host, { endedBeforeUs, limit })).map(({ id }) => id)
      assert.deepEqual(await removable(10), [])
      assert.deepEqual(await removable(11), [early])
      assert.deepEqual(await removable(31), [early, lost, later])
      assert.deepEqual(await removable(31, 2), [early, lost])
      const [first] = await store.transcripts.listRemovable(host, { endedBeforeUs: 11, limit: 1 })
      assert.deepEqual(first, await store.sessions.find(early))
      assert.equal(await store.transcripts.remove(early, { maxChunks: 1, atUs: 40 }), true)
      assert.deepEqual(await removable(31), [lost, later])
      await store.sessions.markRunning(lost, 50)
      assert.deepEqual(await removable(31), [later])
    })

    test('a transcript is removed a few chunks at a time, oldest first, and what it was stays known', async () => {
      const { store: own, target } = await engine.createStore()
      const { id, host } = await own.sessions.create(newSession())
      const other = (await own.sessions.create(newSession())).id
      for (const sessionId of [id, other])
        await own.transcripts.append([{ sessionId, atUs: 5, chunks: [1, 2, 3, 4, 5].map((seq) => chunk(seq)) }])
      await own.sessions.end(id, exit, 10)
      const seqs = async () => (await readAll(own, id)).map(({ seq }) => seq)
      const isRemovable = async () =>
        (await own.transcripts.listRemovable(host, { endedBeforeUs: 11, limit: 10 })).some((found) => found.id === id)
      const before = await own.sessions.find(id)
      assert.equal(before?.transcriptRemovedAtUs, null)
      assert.equal(await own.transcripts.remove(id, { maxChunks: 2, atUs: 20 }), false)
      assert.deepEqual([await seqs(), await isRemovable()], [[3, 4, 5], true])
      assert.equal((await own.sessions.find(id))?.transcriptRemovedAtUs, 20)
      assert.equal(await own.transcripts.remove(id, { maxChunks: 3, atUs: 21 }), true)
      assert.deepEqual([await seqs(), await isRemovable()], [[], false])
      assert.equal(await own.transcripts.remove(id, { maxChunks: 3, atUs: 22 }), true)
      assert.deepEqual(await own.sessions.find(id), { ...before, transcriptRemovedAtUs: 20 })
      assert.equal(await own.transcripts.lastSeq(id), 5)
      assert.deepEqual(await queryRows(target, `SELECT seq FROM transcript_chunks WHERE session_id = '${id}'`), [])
      assert.equal((await readAll(own, other)).length, 5)
      assert.equal(await own.transcripts.remove(newSession().id, { maxChunks: 1, atUs: 1 }), true)
    })

    test('from the first removal on nothing is appended, and no runner comes back', async () => {
      const id = await create()
      await store.transcripts.append([{ sessionId: id, atUs: 1, chunks: [chunk(1), chunk(2)] }])
      await store.sessions.markLost(id, 10)
      assert.equal(await store.transcripts.remove(id, { maxChunks: 1, atUs: 20 }), false)
      for (const chunks of [[chunk(1)], [chunk(2), chunk(3)], [chunk(3)]])
        await assert.rejects(store.transcripts.append([{ sessionId: id, atUs: 2, chunks }]), isBroken)
      assert.equal(await store.sessions.markRunning(id, 30), false)
      assert.equal((await store.sessions.find(id))?.status, 'lost')
      assert.equal(await store.transcripts.remove(id, { maxChunks: 1, atUs: 20 }), true)
      await assert.rejects(store.transcripts.append([{ sessionId: id, atUs: 2, chunks: [chunk(3)] }]), isBroken)
      assert.deepEqual(await readAll(store, id), [])
      assert.equal(await store.sessions.end(id, exit, 40), true)
    })

    test('the transcript of a session that goes on is not removed', async () => {
      const id = await create()
      await store.transcripts.append([{ sessionId: id, atUs: 1, chunks: [chunk(1)] }])
      const remove = () => store.transcripts.remove(id, { maxChunks: 10, atUs: 20 })
      await assert.rejects(remove(), RangeError)
      await store.sessions.markRunning(id, 2)
      await assert.rejects(remove(), RangeError)
      assert.equal((await readAll(store, id)).length, 1)
      assert.equal((await store.sessions.find(id))?.transcriptRemovedAtUs, null)
    })

    test('of a removal, an append and a runner at the same time, either the removal or the runner comes first', async () => {
      const { store: one, target } = await engine.createStore()
      const other = await openStore(target)
      try {
        for (let round = 0; round < 10; round += 1) {
          const { id } = await one.sessions.create(newSession())
          await one.transcripts.append([{ sessionId: id, atUs: 1, chunks: [chunk(1)] }])
          await one.sessions.markLost(id, 2)
          const [removed, running, ...appended] = await Promise.allSettled([
            one.transcripts.remove(id, { maxChunks: 10, atUs: 3 }),
            other.sessions.markRunning(id, 3),
            ...[one, other].map((to) => to.transcripts.append([{ sessionId: id, atUs: 3, chunks: [chunk(2)] }])),
          ])
          const isRemoved = removed.status === 'fulfilled' && removed.value
          assert.deepEqual(running, { status: 'fulfilled', value: !isRemoved })
          const left = (await readAll(one, id)).map(({ seq }) => seq)
          if (isRemoved) assert.deepEqual(left, [])
          else assert.deepEqual(left, [1, 2])
          for (const outcome of appended) {
            if (!isRemoved) assert.equal(outcome.status, 'fulfilled')
            else if (outcome.status === 'rejected') assert.ok(isBroken(outcome.reason))
          }
        }
      } finally {
        await other.close()
      }
    })

    test('closing waits for an append under way, and refuses what comes later', async () => {
      const { store: closing, target } = await engine.createStore()
      const { id } = await closing.sessions.create(newSession())
      const append = closing.transcripts.append([{ sessionId: id, atUs: 1, chunks: [chunk(1, 'x'.repeat(50_000))] }])
      await closing.close()
      await append
      await assert.rejects(closing.ping(), (error) => error instanceof StoreError && error.code === 'unavailable')
      const reopened = await openStore(target)
      assert.equal(await reopened.transcripts.lastSeq(id), 1)
      await reopened.close()
    })
  })
}
