// What contract.ts promises of transcripts, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SessionId } from '@teleclaude/core/session.ts'
import { maxChunkBytes, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import fc from 'fast-check'
import { type Store, StoreError } from './contract.ts'
import { openStore } from './open.ts'
import { engineNames, newSession, startEngine, type TestEngine } from './test-engines.ts'

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
      const written = fc.array(
        fc.record({ kind: fc.constantFrom('output', 'resize', 'exit'), offsetUs: fc.maxSafeNat(), bytes }),
        {
          minLength: 1,
          maxLength: 8,
        },
      )
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
