// Keeps the screen of the running program, from what is in the spool: behind the recording, in its pauses. A program that prints as
// fast as it can is recorded first and understood later; who asks for a snapshot has it caught up with.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import { decodeChunk, parseResize } from '@teleclaude/core/transcript.ts'
import type { PlainPart, PlainRun } from '@teleclaude/screen/plain-run.ts'
import type { Screen, ScreenEvents } from '@teleclaude/screen/screen.ts'

/** After so long without anything new, the screen catches up. Longer than a keystroke takes to come back. */
const quietMs = 30
/** What waits for the screen stays on the disk, so it may be much, but not so much that a snapshot would be long in coming: some five
 *  seconds. Beyond it a program goes on as fast as the screen does, at half its speed. Has to stay below what a runner paces its
 *  program at, or that would wait for the screen. */
const maxBehindBytes = 128 * 1024 * 1024
/** Behind by more than this, it is looked whether some of it needs not be shown. More than what a screen keeps of usual lines. */
const defaultLookAheadBytes = 4 * 1024 * 1024
/** After so long at a stretch of looking, others have their turn. */
const stretchMs = 2

export type ScreenFeedOptions = {
  readonly size: TerminalSize
  /** The frame of a chunk that is recorded, and not released yet. */
  readonly read: (seq: number) => Buffer | null
  /** The screen needs nothing up to that chunk any more. */
  readonly release: (seq: number) => void
  readonly events: ScreenEvents
  readonly lookAheadBytes?: number
  /** The screen can't be kept any more. The session goes on without. */
  readonly failed: (error: unknown) => void
}

export type Snapshot = { readonly seq: number; readonly bytes: Buffer }

export class ScreenFeed {
  readonly #options: ScreenFeedOptions
  readonly #lookAheadBytes: number
  #screen: Screen | null = null
  #newestSeq = 0
  #behindBytes = 0
  #shownSeq = 0
  /** Of the chunks up to this one, the styles are enough. */
  #scrolledOutSeq = 0
  #styles: PlainRun | null = null
  /** The last chunk that was looked at. */
  #lookedSeq = 0
  /** Where some were passed over, the screen is not as it was after any chunk before this one. */
  #wholeSeq = 0
  #recordedMs = 0
  /** Snapshots that wait. */
  #wanted = 0
  #isFeeding = false
  #isOver = false
  #timer: NodeJS.Timeout | undefined
  readonly #waiting: (() => void)[] = []

  constructor(options: ScreenFeedOptions) {
    this.#options = options
    this.#lookAheadBytes = options.lookAheadBytes ?? defaultLookAheadBytes
  }

  /** False until the screen has seen the program ask for it. */
  get bracketedPaste(): boolean {
    return this.#screen?.bracketedPaste ?? false
  }

  /** Whether what the screen shows is what the program has printed by now, or close to it. */
  get isCurrent(): boolean {
    return this.#newestSeq - this.#shownSeq <= 1
  }

  /** The chunk is in the spool. */
  recorded(seq: number, frameBytes: number): void {
    if (this.#isOver) {
      this.#options.release(seq)
      return
    }
    this.#newestSeq = seq
    this.#behindBytes += frameBytes
    this.#recordedMs = performance.now()
    if (this.#behindBytes > maxBehindBytes) this.#feed()
    else this.#feedWhenQuiet()
  }

  /** The screen after the newest chunk that is recorded by now, or a newer one. Null where there is no screen any more. */
  async snapshot(): Promise<Snapshot | null> {
    const target = this.#newestSeq
    this.#wanted += 1
    while (!this.#isOver && (this.#screen === null || this.#shownSeq < Math.max(target, this.#wholeSeq))) {
      this.#feed()
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#wanted -= 1
    if (this.#isOver || this.#screen === null) return null
    return { seq: this.#shownSeq, bytes: this.#screen.snapshot() }
  }

  /** Nothing is wanted of it any more. */
  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#screen?.dispose()
    this.#wake()
    this.#options.release(this.#newestSeq)
  }

  #feedWhenQuiet(): void {
    if (this.#isFeeding || this.#timer !== undefined) return
    const waitMs = Math.max(0, this.#recordedMs + quietMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      if (performance.now() - this.#recordedMs >= quietMs - 1) this.#feed()
      else this.#feedWhenQuiet()
    }, waitMs)
    this.#timer.unref()
  }

  #feed(): void {
    if (this.#isFeeding || this.#isOver) return
    this.#isFeeding = true
    this.#feedAll()
      .catch((error: unknown) => {
        this.stop()
        this.#options.failed(error)
      })
      .finally(() => {
        this.#isFeeding = false
        if (!this.#isOver && this.#shownSeq < this.#newestSeq) this.#feedWhenQuiet()
      })
  }

  async #feedAll(): Promise<void> {
    // Loaded here, so that a session that ends at once does without.
    const { Screen } = await import('@teleclaude/screen/screen.ts')
    if (this.#isOver) return
    this.#screen ??= new Screen(this.#options.size, { events: this.#options.events })
    while (this.#shownSeq < this.#newestSeq && this.#mayGoOn()) {
      if (this.#behindBytes > this.#lookAheadBytes && this.#shownSeq >= this.#lookedSeq) {
        await this.#lookAhead(this.#screen)
        if (this.#isOver) return
      }
      await this.#show(this.#screen, this.#shownSeq + 1)
      if (this.#isOver) return
      this.#wake()
    }
    this.#wake()
  }

  #mayGoOn(): boolean {
    if (this.#wanted > 0 || this.#behindBytes > maxBehindBytes) return true
    return performance.now() - this.#recordedMs >= quietMs - 1
  }

  /** Finds how many of the next chunks scroll out of the screen by what comes after them. */
  async #lookAhead(screen: Screen): Promise<void> {
    const { PlainRun } = await import('@teleclaude/screen/plain-run.ts')
    const needed = screen.linesToScrollOut
    const parts: Omit<PlainPart, 'styles'>[] = []
    const newestSeq = needed === null ? 0 : this.#newestSeq
    const run = new PlainRun()
    let sinceMs = performance.now()
    for (let seq = this.#shownSeq + 1; seq <= newestSeq && !this.#isOver; seq++) {
      const { kind, bytes } = decodeChunk(this.#readFrame(seq))
      const part = kind === 'output' ? run.read(bytes) : null
      if (part === null) break
      const { lineFeeds, lineFeedsAfterReturn, isWhole } = part
      parts.push({ lineFeeds, lineFeedsAfterReturn, isWhole })
      if (performance.now() - sinceMs < stretchMs) continue
      await new Promise((resolve) => setImmediate(resolve))
      sinceMs = performance.now()
    }
    // One chunk is shown in any case.
    this.#lookedSeq = this.#shownSeq + Math.max(parts.length, 1)
    const last = needed === null ? -1 : lastScrolledOut(parts, needed)
    this.#scrolledOutSeq = this.#shownSeq + last + 1
    this.#wholeSeq = last < 0 ? 0 : this.#lookedSeq
    this.#styles = new PlainRun()
  }

  #readFrame(seq: number): Buffer {
    const frame = this.#options.read(seq)
    if (frame === null) throw new Error(`the spool has lost chunk ${seq}`)
    return frame
  }

  async #show(screen: Screen, seq: number): Promise<void> {
    const frame = this.#readFrame(seq)
    const { kind, bytes } = decodeChunk(frame)
    if (kind === 'output' && seq <= this.#scrolledOutSeq) await this.#showStyles(screen, bytes)
    else if (kind === 'output') await screen.write(bytes)
    else if (kind === 'resize') {
      screen.resize(parseResize(bytes))
      // A snapshot does not wait for it.
      await screen.write(new Uint8Array(0))
    }
    this.#shownSeq = seq
    this.#behindBytes -= frame.length
    this.#options.release(seq)
  }

  async #showStyles(screen: Screen, bytes: Uint8Array): Promise<void> {
    const part = this.#styles?.read(bytes)
    if (part == null) throw new Error('a chunk is not what it was')
    if (part.styles.length > 0) await screen.write(part.styles)
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/** The last part of which nothing is left when all have scrolled by; -1 where there is none. */
function lastScrolledOut(parts: readonly Omit<PlainPart, 'styles'>[], needed: number): number {
  let after = 0
  let afterReturn = 0
  for (const [index, part] of [...parts.entries()].toReversed()) {
    if (afterReturn >= needed && part.isWhole) return index
    if (part.lineFeedsAfterReturn !== null) afterReturn = part.lineFeedsAfterReturn + after
    after += part.lineFeeds
  }
  return -1
}
