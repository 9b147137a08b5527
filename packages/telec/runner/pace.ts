// How fast a session's output is passed on to the service while its program prints a flood of it. What makes a recording count is the
// spool: passing it on at once would take the processor from the very program that prints, and from everybody else.

import { maxFrameBytes } from '@teleclaude/core/transcript.ts'

/** More than most programs print. */
const leastBytesPerSecond = 1024 * 1024
/** Faster the more there is: who looks on from elsewhere is to be about so far behind, at most. */
const mostBehindS = 30
/** So much is passed on at once in any case. */
const burstBytes = 1024 * 1024
/** A program that has printed nothing for so long has the processor to spare. */
const quietMs = 50
/** What waits is to be little against what a runner paces its program at. */
const maxWaitingBytes = 128 * 1024 * 1024

export class Pace {
  #allowance = burstBytes
  #filledMs = 0
  #printedMs = Number.NEGATIVE_INFINITY
  /** Whether somebody waits for what there is: nothing is held back then. */
  isWatched = false

  /** The program has printed something. */
  printed(nowMs: number): void {
    this.#printedMs = nowMs
  }

  /** Whether more may be passed on, where so much waits. */
  allows(waitingBytes: number, nowMs: number): boolean {
    if (this.isWatched || nowMs - this.#printedMs >= quietMs || waitingBytes > maxWaitingBytes) return true
    const bytesPerSecond = Math.max(leastBytesPerSecond, waitingBytes / mostBehindS)
    const filled = this.#allowance + ((nowMs - this.#filledMs) / 1_000) * bytesPerSecond
    this.#allowance = Math.min(burstBytes, filled)
    this.#filledMs = nowMs
    return this.#allowance > 0
  }

  passedOn(bytes: number): void {
    // Below nothing by a chunk at most, where it was allowed; what was passed on to who looks on is not made up for.
    this.#allowance = Math.max(this.#allowance - bytes, -maxFrameBytes)
  }
}
