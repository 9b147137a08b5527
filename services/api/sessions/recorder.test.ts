import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionId } from '@teleclaude/core/session.ts'
import { maxChunkBytes, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { pino } from 'pino'
import { newSession, startEngine } from '../../../packages/store/test-engines.ts'
import { type ChunkSource, Recorder } from './recorder.ts'

/** More than any test takes. */
const restMs = 600_000

class Source implements ChunkSource {
  readonly id: SessionId
  readonly pending: TranscriptChunk[] = []
  readonly #recorder: Recorder
  readonly #commits = new EventEmitter()
  #seq = 0
  committedSeq = 0

  constructor(id: SessionId, recorder: Recorder) {
    this.id = id
    this.#recorder = recorder
  }

  receive(kind: 'output' | 'exit', bytes: Uint8Array): void {
    this.#seq += 1
    const chunk = { seq: this.#seq, kind, offsetUs: this.#seq, bytes }
    this.pending.push(chunk)
    this.#recorder.record(this, chunk)
  }

  committed(seq: number): void {
    this.committedSeq = seq
    while (this.pending[0] !== undefined && this.pending[0].seq <= seq) this.pending.shift()
    this.#commits.emit('commit')
  }

  async untilCommitted(seq: number): Promise<void> {
    while (this.committedSeq < seq) await once(this.#commits, 'commit')
  }

  rejected(error: Error): void {
    throw error
  }
}

async function makeSource(t: TestContext) {
  const engine = await startEngine('sqlite')
  t.after(() => engine.stop())
  const { store } = await engine.createStore()
  const recorder = new Recorder(store, pino({ level: 'silent' }), restMs)
  const { id } = await store.sessions.create(newSession())
  const source = new Source(id, recorder)
  source.receive('output', Buffer.from('the first'))
  await source.untilCommitted(1)
  return { recorder, source }
}

test('little that comes soon after a commit waits for more, and what the session ends with does not', async (t) => {
  const { recorder, source } = await makeSource(t)
  source.receive('output', Buffer.from('k'))
  await delay(100)
  assert.equal(source.committedSeq, 1)
  source.receive('exit', Buffer.from('{}'))
  await source.untilCommitted(3)
  await recorder.stop()
})

test('much does not wait, also where it comes piece by piece', async (t) => {
  const { recorder, source } = await makeSource(t)
  const bytes = Buffer.alloc(maxChunkBytes, 'x')
  for (let piece = 0; piece < 5; piece++) source.receive('output', bytes)
  await source.untilCommitted(6)
  await recorder.stop()
})

test('what a commit had no room for does not wait where the session has ended', async (t) => {
  const { recorder, source } = await makeSource(t)
  const bytes = Buffer.alloc(maxChunkBytes, 'x')
  for (let piece = 0; piece < 66; piece++) source.receive('output', bytes)
  source.receive('exit', Buffer.from('{}'))
  await source.untilCommitted(68)
  await recorder.stop()
})

test('what waits is written when the service stops', async (t) => {
  const { recorder, source } = await makeSource(t)
  source.receive('output', Buffer.from('k'))
  await recorder.stop()
  assert.equal(source.committedSeq, 2)
})
