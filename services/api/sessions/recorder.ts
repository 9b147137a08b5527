// Writes what runners send into the store: batches across sessions, one transaction at a time. A chunk counts as
// recorded (and its runner hears so) only after the commit; until then it stays with its session, whatever fails.

import { nowUs } from '@teleclaude/core/instant.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { isLastKind, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { type ChunkAppend, type Store, StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'

/** Something that has chunks to record, in order. */
export type ChunkSource = {
  readonly id: SessionId
  /** Received and not yet committed. */
  readonly pending: readonly TranscriptChunk[]
  /** Chunks up to `seq` are durable. */
  committed(seq: number): void
  /** The store will never take these chunks. */
  rejected(error: StoreError): void
}

/** Time for chunks to gather, so that a hundred sessions typing cost one commit and not a hundred. */
const gatherMs = 25
/** From one commit to the next, where little has come in between: SQLite stops the service for as long as the disk takes, and who
 *  types would meet one at every key. */
const defaultRestMs = 200
/** More than this does not wait for that. */
const littleBytes = 256 * 1024
const maxBatchBytes = 4 * 1024 * 1024
const firstRetryMs = 200
const maxRetryMs = 3_000

export class Recorder {
  readonly #store: Store
  readonly #log: Logger
  readonly #restMs: number
  readonly #waiting = new Set<ChunkSource>()
  #timer: NodeJS.Timeout | null = null
  /** When it goes off. */
  #dueMs = 0
  #running: Promise<void> | null = null
  /** Of chunks that wait. */
  #newBytes = 0
  /** Somebody waits for what has come: a session's end. */
  #isAwaited = false
  #gatheredAtMs = 0
  #restedAtMs = 0
  #retryMs = 0
  #stopped = false

  constructor(store: Store, log: Logger, restMs = defaultRestMs) {
    this.#store = store
    this.#log = log
    this.#restMs = restMs
  }

  /** Has the source's pending chunks written soon, of which this is the newest. */
  record(source: ChunkSource, { kind, bytes }: TranscriptChunk): void {
    this.#waiting.add(source)
    this.#newBytes += bytes.length
    this.#isAwaited ||= isLastKind(kind)
    this.#schedule(gatherMs)
  }

  /** Writes what is pending, once: where the store does not take it now, it stays with the runners' spools. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#running
    while (this.#waiting.size > 0 && this.#retryMs === 0) await this.#writeBatch()
  }

  #schedule(delayMs: number): void {
    if (this.#running !== null || this.#stopped) return
    const nowMs = performance.now()
    const mayRest = !this.#isAwaited && this.#newBytes <= littleBytes
    if (this.#timer === null) this.#gatheredAtMs = nowMs + Math.max(delayMs, this.#retryMs)
    const dueMs = Math.max(this.#gatheredAtMs, mayRest ? this.#restedAtMs : 0)
    if (this.#timer !== null) {
      if (this.#dueMs <= dueMs) return
      clearTimeout(this.#timer)
    }
    this.#dueMs = dueMs
    this.#timer = setTimeout(
      () => {
        this.#timer = null
        this.#running = this.#writeBatch().finally(() => {
          this.#running = null
          this.#restedAtMs = performance.now() + this.#restMs
          this.#countNew()
          if (this.#waiting.size > 0) this.#schedule(0)
        })
      },
      Math.max(0, dueMs - nowMs),
    )
  }

  /** A batch may have left some, or put it back. */
  #countNew(): void {
    this.#newBytes = 0
    this.#isAwaited = false
    for (const { pending } of this.#waiting) {
      for (const { kind, bytes } of pending) {
        this.#newBytes += bytes.length
        this.#isAwaited ||= isLastKind(kind)
      }
    }
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#takeBatch()
    try {
      await this.#store.transcripts.append(batch.map((entry) => entry.append))
      this.#retryMs = 0
      for (const { source, append } of batch) this.#committed(source, append)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (error.code === 'sequence-broken') await this.#writeOneByOne(batch)
      else this.#putBack(batch, error)
    }
  }

  /** One session's broken sequence must not keep the others' chunks from being recorded. */
  async #writeOneByOne(batch: readonly Entry[]): Promise<void> {
    for (const entry of batch) {
      try {
        await this.#store.transcripts.append([entry.append])
        this.#committed(entry.source, entry.append)
      } catch (error) {
        if (!(error instanceof StoreError)) throw error
        if (error.code === 'sequence-broken') entry.source.rejected(error)
        else this.#putBack([entry], error)
      }
    }
  }

  #takeBatch(): Entry[] {
    const batch: Entry[] = []
    const atUs = nowUs()
    let bytes = 0
    for (const source of this.#waiting) {
      if (bytes >= maxBatchBytes) break
      this.#waiting.delete(source)
      const chunks: TranscriptChunk[] = []
      for (const chunk of source.pending) {
        if (bytes >= maxBatchBytes) break
        chunks.push(chunk)
        bytes += chunk.bytes.length
      }
      if (chunks.length > 0) batch.push({ source, append: { sessionId: source.id, chunks, atUs } })
    }
    return batch
  }

  #committed(source: ChunkSource, append: ChunkAppend): void {
    const last = append.chunks.at(-1)
    if (last !== undefined) source.committed(last.seq)
    if (source.pending.length > 0) this.#waiting.add(source)
  }

  #putBack(batch: readonly Entry[], error: StoreError): void {
    if (this.#retryMs === 0)
      this.#log.warn({ err: error }, 'cannot record now: sessions keep their output until it works again')
    this.#retryMs = Math.min(maxRetryMs, Math.max(firstRetryMs, this.#retryMs * 2))
    for (const { source } of batch) this.#waiting.add(source)
  }
}

type Entry = { readonly source: ChunkSource; readonly append: ChunkAppend }
