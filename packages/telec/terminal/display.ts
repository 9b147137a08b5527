// What a session shows, on this terminal or into this pipe: snapshots of its screen, and the chunks that follow on them. Nothing is
// shown twice or out of its order, whatever connection it comes over.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import {
  decodeChunk,
  decodeSnapshotPart,
  parseResize,
  snapshotFrameCode,
  type TranscriptChunk,
} from '@teleclaude/core/transcript.ts'
import { LeftOn } from './left-on.ts'
import { drawNotice } from './notice.ts'

/** Long enough to read a line. */
const noticeMs = 3_000
/** Of those that wait for the last row. */
const maxWaitingNotices = 8
/** Programs draw anew after a resize, and windows are resized in many steps. */
const settleMs = 200
/** Erases what has scrolled off (ED 3, https://invisible-island.net/xterm/ctlseqs/ctlseqs.html). */
const eraseScrollback = Buffer.from('\x1b[3J')

/** Of the output that a snapshot may not have. */
const maxKeptBytes = 8 * 1024 * 1024

type Notice = { readonly text: string; readonly forMs: number; readonly stays: boolean }

type Snapshot = { readonly seq: number; readonly parts: Uint8Array[] }

/** What was shown since a snapshot was asked for: that may come after it, and be older. */
type Kept = { readonly afterSeq: number; bytes: number; readonly chunks: TranscriptChunk[] }

/** Standard output, as far as it matters here. */
export type Output = Pick<NodeJS.WriteStream, 'isTTY' | 'getWindowSize'> & { write(text: Uint8Array | string): unknown }

export class Display {
  readonly #stdout: Output
  readonly #leftOn: LeftOn | null
  readonly #askAnew: () => void
  #seenSeq: number | null
  #snapshot: Snapshot | null = null
  #kept: Kept | null = null
  #isAsking = false
  #hasShown = false
  /** What is to be seen on the last row, as soon as there is a screen, and until the timer says. */
  #notice: Notice | null = null
  readonly #waitingNotices: Notice[] = []
  #noticeTimer: NodeJS.Timeout | undefined
  #settleTimer: NodeJS.Timeout | undefined

  /** `afterSeq`: null where a snapshot comes first. `askAnew` asks for a snapshot. */
  constructor(afterSeq: number | null, askAnew: () => void, stdout: Output = process.stdout) {
    this.#seenSeq = afterSeq
    this.#askAnew = askAnew
    this.#stdout = stdout
    this.#leftOn = stdout.isTTY ? new LeftOn() : null
  }

  /** The newest chunk that is shown; null where a snapshot has to come first. */
  get seenSeq(): number | null {
    return this.#seenSeq
  }

  /** Takes a frame, whose bytes are only held on to while they wait to be written, and returns the size that the session's terminal got with it, if it did. */
  take(frame: Uint8Array): TerminalSize | null {
    if (frame[0] === snapshotFrameCode) {
      this.#takePart(frame)
      return null
    }
    const chunk = decodeChunk(frame)
    // A snapshot can be newer than chunks that were on their way.
    if (this.#seenSeq !== null && chunk.seq <= this.#seenSeq) return null
    this.#seenSeq = chunk.seq
    if (chunk.kind === 'output') this.#show(chunk)
    return chunk.kind === 'resize' ? parseResize(chunk.bytes) : null
  }

  /** The connection has broken off: what is left of a snapshot comes no more. */
  breakOff(): void {
    this.#snapshot = null
    this.#kept = null
  }

  /** There is a connection again, which has not been asked for anything. */
  goOn(): void {
    if (this.#isAsking) this.#ask()
  }

  /** Says something to the person for a while, or until something else is said; where it `stays`, that waits. */
  say(text: string, { forMs = noticeMs, stays = false }: Partial<Omit<Notice, 'text'>> = {}): void {
    if (!this.#stdout.isTTY) {
      process.stderr.write(`${text}\n`)
      return
    }
    const notice = { text, forMs, stays }
    if (this.#notice?.stays) {
      if (this.#waitingNotices.length < maxWaitingNotices) this.#waitingNotices.push(notice)
    } else this.#put(notice)
  }

  #put(notice: Notice): void {
    this.#notice = notice
    clearTimeout(this.#noticeTimer)
    this.#noticeTimer = undefined
    if (this.#hasShown) this.#drawNotice()
  }

  /** Shows the screen anew once it has come to rest in its new size. */
  repaint(): void {
    if (!this.#stdout.isTTY) return
    clearTimeout(this.#settleTimer)
    this.#settleTimer = setTimeout(() => this.#ask(), settleMs)
  }

  /** Shows the screen as it is by now. */
  showAnew(): void {
    this.#ask()
  }

  close(): void {
    clearTimeout(this.#noticeTimer)
    clearTimeout(this.#settleTimer)
  }

  /** Gives the terminal back as it was found, below what is shown. */
  leave(): void {
    if (this.#hasShown && this.#leftOn !== null) this.#stdout.write(this.#leftOn.leave())
  }

  #ask(): void {
    this.#isAsking = true
    this.#keep()
    this.#askAnew()
  }

  #keep(): void {
    if (this.#seenSeq !== null) this.#kept ??= { afterSeq: this.#seenSeq, bytes: 0, chunks: [] }
  }

  #show(chunk: TranscriptChunk): void {
    this.#write(chunk.bytes)
    if (this.#kept === null) return
    this.#kept.chunks.push({ ...chunk, bytes: Buffer.from(chunk.bytes) })
    this.#kept.bytes += chunk.bytes.length
    if (this.#kept.bytes > maxKeptBytes) this.#kept = null
  }

  /** Shown when it is whole: what comes between its parts would be drawn into it otherwise. */
  #takePart(frame: Uint8Array): void {
    const { seq, isLast, bytes } = decodeSnapshotPart(frame)
    // One that has broken off is followed by a newer one.
    if (this.#snapshot === null || seq > this.#snapshot.seq) this.#snapshot = { seq, parts: [] }
    this.#keep()
    this.#snapshot.parts.push(bytes)
    if (!isLast) return
    const whole = Buffer.concat(this.#snapshot.parts)
    const kept = this.#kept
    this.#snapshot = null
    this.#kept = null
    this.#isAsking = false
    const seenSeq = this.#seenSeq ?? 0
    // Too much was shown since for it to be of any use: what it was asked for has scrolled off.
    if (seenSeq > seq && (kept === null || kept.afterSeq > seq)) return
    this.#write(this.#hasShown ? whole : this.#keepAbove(whole))
    for (const chunk of kept?.chunks ?? []) if (chunk.seq > seq) this.#write(chunk.bytes)
    this.#seenSeq = Math.max(seq, seenSeq)
    this.#drawNotice()
  }

  #drawNotice(): void {
    if (this.#notice === null) return
    const [cols, rows] = this.#stdout.getWindowSize()
    this.#stdout.write(drawNotice(this.#notice.text, { cols, rows }))
    this.#noticeTimer ??= setTimeout(() => {
      const next = this.#waitingNotices.shift()
      this.#notice = null
      if (next === undefined) this.#ask()
      else this.#put(next)
    }, this.#notice.forMs)
  }

  /** What the terminal showed before telec is scrolled off, and can be scrolled back to. */
  #keepAbove(snapshot: Buffer): Buffer {
    if (!this.#stdout.isTTY) return snapshot
    const [, rows] = this.#stdout.getWindowSize()
    const at = snapshot.indexOf(eraseScrollback)
    const kept = at === -1 ? [snapshot] : [snapshot.subarray(0, at), snapshot.subarray(at + eraseScrollback.length)]
    return Buffer.concat([Buffer.from(`\x1b[${rows};1H${'\n'.repeat(rows)}`), ...kept])
  }

  #write(bytes: Uint8Array): void {
    this.#hasShown = true
    this.#leftOn?.watch(bytes)
    this.#stdout.write(bytes)
  }
}
