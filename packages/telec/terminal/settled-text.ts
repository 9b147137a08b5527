// Terminal output as lines of text while it comes. An emulator keeps the screen, and a line is told once it has scrolled off, or has
// stood still for a moment; one that changes after that is told again. What a program draws again and again is told when it rests.
// Only text comes out, whatever goes in.

import { setImmediate } from 'node:timers/promises'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { controlStringFilter } from '@teleclaude/screen/output-scanner.ts'
import { affordable, openTerminal } from '@teleclaude/screen/terminal.ts'
import { Utf8Reader } from '@teleclaude/screen/utf8.ts'

type Terminal = ReturnType<typeof openTerminal>
type Marker = NonNullable<ReturnType<Terminal['registerMarker']>>
type Buffer = Terminal['buffer']['normal']

const restMs = 300
/** Of the line that the cursor is in: somebody may be typing it. */
const typingMs = 1_000
const maxSlice = 4096
/** A snapshot's, and more than a slice can scroll off: a character scrolls at most one row off. */
const scrollback = 10_000 + maxSlice
/** A longer line comes in parts. */
const maxRowsOfLine = 500

/** `row`: the number of its first one, counted from the beginning of the session's screen. */
type Line = { readonly row: number; readonly end: number; readonly text: string }
type Seen = { readonly text: string; readonly sinceMs: number }

export class SettledText {
  readonly #tell: (lines: string) => void
  readonly #terminal: Terminal
  readonly #reader = new Utf8Reader()
  readonly #filter = controlStringFilter()
  /** A row of the normal screen whose number is known. */
  #mark: Marker | undefined
  #markRow = 0
  /** The first row that has not scrolled off, or whose line has not. */
  #next = 0
  /** By row: what was told, and what stands there and since when. Of the normal screen, then of the alternate one. */
  readonly #told = { normal: new Map<number, string>(), alternate: new Map<number, string>() }
  readonly #seen = { normal: new Map<number, Seen>(), alternate: new Map<number, Seen>() }
  #timer: NodeJS.Timeout | undefined
  /** Held back until something follows them. */
  #blanks = 0
  #isMute = false

  /** `tell` gets whole lines, each with its newline. */
  constructor(size: TerminalSize, tell: (lines: string) => void) {
    this.#tell = tell
    this.#terminal = openTerminal(size, { scrollback })
    this.#putMark(0)
  }

  async write(bytes: Uint8Array): Promise<void> {
    const text = this.#filter(this.#reader.read(bytes))
    for (let at = 0; at < text.length; at += maxSlice) {
      await new Promise<void>((resolve) => this.#terminal.write(text.slice(at, at + maxSlice), resolve))
      this.#readScrolledOff()
      await setImmediate()
    }
    this.#look()
  }

  /** Takes what a snapshot draws as told, but for the last lines. */
  async begin(snapshot: Uint8Array, lines: number): Promise<void> {
    this.#isMute = true
    await this.write(snapshot)
    this.#isMute = false
    const { normal, alternate } = this.#terminal.buffer
    const shown = this.#isAlternate
      ? this.#linesOf(alternate, 0, alternate.length)
      : this.#linesOf(normal, this.#numberOf(0), this.#numberOf(normal.length))
    this.#takeAsTold()
    const texts = shown.map(({ text }) => text)
    texts.length = texts.findLastIndex((text) => text !== '') + 1
    for (const text of texts.slice(-lines)) this.#say(text)
  }

  /** Rows are wrapped anew, and are others then. */
  resize(size: TerminalSize): void {
    this.#tellAll()
    const { cols, rows } = affordable(size)
    this.#terminal.resize(cols, rows)
    if (!this.#isAlternate) this.#startOver()
    this.#takeAsTold()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#tellAll()
    this.#terminal.dispose()
  }

  /** Also what has not come to rest. */
  #tellAll(): void {
    for (const { name, lines } of this.#screens()) for (const line of lines) this.#sayOf(name, line)
  }

  get #isAlternate(): boolean {
    return this.#terminal.buffer.active.type === 'alternate'
  }

  /** Tells what has scrolled off, where it was not told before or has changed since. */
  #readScrolledOff(): void {
    if (this.#isAlternate) return
    const { normal } = this.#terminal.buffer
    // A reset (RIS) begins with an empty screen.
    if (this.#mark?.isDisposed) this.#startOver()
    const base = this.#numberOf(normal.baseY)
    for (const line of this.#linesOf(normal, this.#next, base)) {
      const goesOn = line.end === base && normal.getLine(normal.baseY)?.isWrapped === true
      if (goesOn && line.end - line.row < maxRowsOfLine) break
      this.#sayOf('normal', line)
      this.#next = line.end
    }
    for (const known of [this.#told.normal, this.#seen.normal]) {
      for (const row of known.keys()) if (row < this.#next) known.delete(row)
    }
    // At the cursor: the next slice can't scroll it out of what is kept.
    this.#putMark(this.#numberOf(normal.baseY + normal.cursorY))
  }

  /** At the cursor, in a row of that number. */
  #putMark(row: number): void {
    this.#mark?.dispose()
    this.#mark = this.#terminal.registerMarker(0)
    this.#markRow = row
  }

  #startOver(): void {
    for (const known of [...Object.values(this.#told), ...Object.values(this.#seen)]) known.clear()
    this.#putMark(this.#terminal.buffer.normal.cursorY)
    this.#next = 0
  }

  #takeAsTold(): void {
    for (const { name, lines } of this.#screens()) {
      for (const { row, text } of lines) this.#told[name].set(row, text)
    }
  }

  /** Of a row in the normal buffer, by its index there. */
  #numberOf(index: number): number {
    return this.#markRow + index - (this.#mark?.line ?? 0)
  }

  /** The lines that begin in these rows, to the end of each or of what there is. */
  #linesOf(buffer: Buffer, from: number, to: number): readonly Line[] {
    const first = buffer.type === 'normal' ? -this.#numberOf(0) : 0
    const lines: Line[] = []
    for (let row = from; row < to; ) {
      let end = row + 1
      const goesOn = () => end < to && end - row < maxRowsOfLine && buffer.getLine(end + first)?.isWrapped === true
      let text = ''
      for (; goesOn(); end++) text += buffer.getLine(end - 1 + first)?.translateToString() ?? ''
      text += buffer.getLine(end - 1 + first)?.translateToString(true) ?? ''
      lines.push({ row, end, text: neutralise(text.trimEnd()) })
      row = end
    }
    return lines
  }

  /** What is on the screen that is shown: of the normal one down to the cursor, for what is below it is not there yet. */
  #screens() {
    const { normal, alternate } = this.#terminal.buffer
    if (this.#isAlternate) {
      return [{ name: 'alternate', lines: this.#linesOf(alternate, 0, alternate.length), cursor: null }] as const
    }
    const cursor = this.#numberOf(normal.baseY + normal.cursorY)
    const lines = this.#linesOf(normal, this.#next, cursor + 1)
    // Nothing is written yet where the cursor waits in an empty line.
    return [{ name: 'normal', lines: lines.at(-1)?.text === '' ? lines.slice(0, -1) : lines, cursor }] as const
  }

  #look(): void {
    const nowMs = performance.now()
    let nextMs = Number.POSITIVE_INFINITY
    if (!this.#isAlternate) for (const known of [this.#told, this.#seen]) known.alternate.clear()
    for (const { name, lines, cursor } of this.#screens()) {
      for (const line of lines) {
        if (this.#told[name].get(line.row) === line.text) continue
        const before = this.#seen[name].get(line.row)
        const seen = before?.text === line.text ? before : { text: line.text, sinceMs: nowMs }
        this.#seen[name].set(line.row, seen)
        const dueMs = seen.sinceMs + (cursor !== null && line.end > cursor ? typingMs : restMs)
        if (dueMs <= nowMs) this.#sayOf(name, line)
        else nextMs = Math.min(nextMs, dueMs)
      }
    }
    clearTimeout(this.#timer)
    if (nextMs !== Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#look(), nextMs - nowMs + 1)
  }

  #sayOf(name: 'normal' | 'alternate', { row, text }: Line): void {
    const told = this.#told[name]
    if (told.get(row) === text) return
    // What is erased is no news, and neither are the blanks of a drawing.
    if (text !== '' || (name === 'normal' && !told.has(row))) this.#say(text)
    told.set(row, text)
  }

  #say(text: string): void {
    if (this.#isMute) return
    if (text === '') {
      this.#blanks++
      return
    }
    const blanks = '\n'.repeat(Math.min(this.#blanks, maxRowsOfLine))
    this.#blanks = 0
    this.#tell(`${blanks}${text}\n`)
  }
}
