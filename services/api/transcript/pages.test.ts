import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { newSession, startEngine } from '../../../packages/store/test-engines.ts'
import { TranscriptPages } from './pages.ts'

const ann = { uid: 1 }
const ben = { uid: 2 }

test('each user’s readers come one after the other, read everything, and hold up nobody else', async (t) => {
  const engine = await startEngine('sqlite')
  t.after(() => engine.stop())
  const { store } = await engine.createStore()
  const { id } = await store.sessions.create(newSession())
  const chunks: TranscriptChunk[] = Array.from({ length: 40 }, (_, index) => ({
    seq: index + 1,
    kind: 'output',
    offsetUs: 1,
    bytes: Buffer.alloc(20_000, index),
  }))
  await store.transcripts.append([{ sessionId: id, chunks, atUs: 1 }])
  let reading = 0
  let most = 0
  const pages = new TranscriptPages({
    transcripts: {
      async read(session, options) {
        reading += 1
        most = Math.max(most, reading)
        const page = await store.transcripts.read(session, options)
        reading -= 1
        return page
      },
    },
  })
  async function readAll(reader: { uid: number }, session: SessionId): Promise<readonly number[]> {
    const seen: number[] = []
    for (;;) {
      const page = await pages.read(reader, session, seen.at(-1) ?? 0)
      if (page.length === 0) return seen
      seen.push(...page.map(({ seq }) => seq))
    }
  }
  const expected = chunks.map(({ seq }) => seq)
  for (const seen of await Promise.all(Array.from({ length: 20 }, () => readAll(ann, id)))) {
    assert.deepEqual(seen, expected)
  }
  assert.equal(most, 1)
  await Promise.all([readAll(ann, id), readAll(ann, id), readAll(ben, id)])
  assert.equal(most, 2)
})

test('a read that fails is not in the way of the next', async () => {
  let isAway = true
  const pages = new TranscriptPages({
    transcripts: { read: async () => (isAway ? Promise.reject(new Error('away')) : []) },
  })
  const id = crypto.randomUUID() as SessionId
  await assert.rejects(pages.read(ann, id, 0), { message: 'away' })
  isAway = false
  assert.deepEqual(await pages.read(ann, id, 0), [])
})
