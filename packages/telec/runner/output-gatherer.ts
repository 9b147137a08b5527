// Gathers what a program prints into chunks: the first byte after a pause goes at once, and a flood in as few pieces as may be.

import { maxChunkBytes } from '@teleclaude/core/transcript.ts'
import { chunkRoomBytes } from './spool.ts'

/** Output gathers for this long once there is a lot of it. */
const gatherMs = 8

export type GathererEvents = {
  /** Microseconds since the program was started. */
  offsetUs(): number
  /** The bytes stand after `chunkRoomBytes` that are free: a flood is not copied again. Both are valid during the call alone. */
  chunk(offsetUs: number, room: Buffer): void
}

export class OutputGatherer {
  readonly #events: GathererEvents
  readonly #gathered = Buffer.allocUnsafe(chunkRoomBytes + maxChunkBytes)
  #bytes = 0
  #atUs = 0
  #cancelFlush: (() => void) | null = null
  #lastFlushMs = 0

  constructor(events: GathererEvents) {
    this.#events = events
  }

  add(bytes: Buffer): void {
    if (this.#bytes === 0) this.#atUs = this.#events.offsetUs()
    let taken = 0
    while (taken < bytes.length) {
      const copied = bytes.copy(this.#gathered, chunkRoomBytes + this.#bytes, taken)
      taken += copied
      this.#bytes += copied
      if (this.#bytes === maxChunkBytes) {
        this.flush()
        this.#atUs = this.#events.offsetUs()
      }
    }
    if (this.#bytes > 0 && this.#cancelFlush === null) this.#flushSoon()
  }

  /** Everything before goes now. */
  flush(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = null
    this.#lastFlushMs = performance.now()
    if (this.#bytes === 0) return
    const room = this.#gathered.subarray(0, chunkRoomBytes + this.#bytes)
    this.#bytes = 0
    this.#events.chunk(this.#atUs, room)
  }

  #flushSoon(): void {
    const waitedMs = performance.now() - this.#lastFlushMs
    if (waitedMs >= gatherMs) {
      const immediate = setImmediate(() => this.flush())
      this.#cancelFlush = () => clearImmediate(immediate)
    } else {
      const timer = setTimeout(() => this.flush(), gatherMs - waitedMs)
      this.#cancelFlush = () => clearTimeout(timer)
    }
  }
}
