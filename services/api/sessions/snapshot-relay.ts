// Snapshots of a session's screen, from its runner to those who asked. One is under way at a time: who asks meanwhile gets the next
// one, which is newer anyway. Nothing of them is kept here: the runner sends a part when everybody has taken the one before.

import { decodeSnapshotPart, FrameError, maxSnapshotBytes } from '@teleclaude/core/transcript.ts'

/** Part by part, in order. The first part of a later snapshot can come before the last one of an earlier one did. */
export type SnapshotTaker = {
  /** Resolves when it is on its way. */
  takePart(frame: Uint8Array): Promise<void>
  /** That was all of it: the screen after chunk `seq`. */
  takeEnd(seq: number): void
  /** It took too long over a part: the others do not wait for it any more, and it gets no more of this snapshot. */
  leftBehind(): void
}

export type SnapshotSource = {
  /** Asks the runner for one; false where it is not here. */
  ask(): boolean
  /** Asks for the next part. */
  askForMore(): void
}

const partPatienceMs = 3_000

export class SnapshotRelay {
  readonly #source: SnapshotSource
  readonly #waiting = new Set<SnapshotTaker>()
  /** Those whom the snapshot under way is for; null where none is. */
  #receiving: Set<SnapshotTaker> | null = null
  #bytes = 0

  constructor(source: SnapshotSource) {
    this.#source = source
  }

  /** Served as soon as there is a runner. */
  request(taker: SnapshotTaker): void {
    this.#waiting.add(taker)
    this.#askIfIdle()
  }

  forget(taker: SnapshotTaker): void {
    this.#waiting.delete(taker)
    this.#receiving?.delete(taker)
  }

  runnerHere(): void {
    this.#askIfIdle()
  }

  /** What was under way is asked for anew. */
  runnerGone(): void {
    for (const taker of this.#receiving ?? []) this.#waiting.add(taker)
    this.#receiving = null
  }

  /** What nobody asked for, or asked for on an earlier connection, is passed over.
   *  @throws FrameError for what is too long */
  relay(frame: Uint8Array): void {
    const { seq, isLast, bytes } = decodeSnapshotPart(frame)
    const receiving = this.#receiving
    if (receiving === null) return
    this.#bytes += bytes.length
    if (this.#bytes > maxSnapshotBytes) throw new FrameError(`a snapshot has over ${maxSnapshotBytes} bytes`)
    const given = [...receiving].map((taker) => this.#give(taker, frame, receiving))
    if (isLast) {
      this.#receiving = null
      for (const taker of receiving) taker.takeEnd(seq)
    }
    void this.#goOn(given, receiving)
  }

  async #goOn(given: readonly Promise<void>[], receiving: Set<SnapshotTaker>): Promise<void> {
    await Promise.all(given)
    if (this.#receiving === receiving) this.#source.askForMore()
    else this.#askIfIdle()
  }

  async #give(taker: SnapshotTaker, frame: Uint8Array, receiving: Set<SnapshotTaker>): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const tooLate = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, partPatienceMs, 'late')
    })
    const outcome = await Promise.race([taker.takePart(frame), tooLate])
    clearTimeout(timer)
    if (outcome === 'late' && receiving.delete(taker)) taker.leftBehind()
  }

  #askIfIdle(): void {
    if (this.#receiving !== null || this.#waiting.size === 0 || !this.#source.ask()) return
    this.#receiving = new Set(this.#waiting)
    this.#waiting.clear()
    this.#bytes = 0
  }
}
