// A transcript run through a terminal emulator, giving back the lines that scroll off its screen and, at the end, the screen.
// What it is fed is hostile: nothing here may cost more memory or time than the length of the input accounts for.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import { controlStringFilter } from '@teleclaude/screen/output-scanner.ts'
import { affordable, isCostly, openTerminal } from '@teleclaude/screen/terminal.ts'
import type { IBuffer, IMarker, Terminal } from '@xterm/headless'
import { LogicalLines } from './logical-lines.ts'

/** The rows that one slice can scroll off are at most this many cells. */
const maxScrolledCells = 4 * 1024 * 1024
const maxSliceLength = 4096

export class Emulator {
  readonly #terminal: Terminal
  readonly #lines: LogicalLines
  readonly #filter = controlStringFilter()
  #sliceLength: number
  /** The last row of the scrollback that was read; null where none was. */
  #lastRead: IMarker | null = null
  /** The scrolling region of the normal screen (DECSTBM), in rows from 0, both included. */
  #region: { readonly top: number; readonly bottom: number }

  constructor(size: TerminalSize, { colour }: { readonly colour: boolean }) {
    const { cols, rows } = affordable(size)
    this.#lines = new LogicalLines(colour)
    this.#sliceLength = sliceLength(cols)
    this.#region = { top: 0, bottom: rows - 1 }
    // One character scrolls at most one row off, so a slice never scrolls off more rows than the scrollback holds.
    const scrollback = this.#sliceLength + 1
    this.#terminal = openTerminal(size, { scrollback })
    this.#watch()
  }

  /** Yields the text of the lines that scroll off. Read it all before the next call of anything here. */
  async *write(output: string): AsyncGenerator<string> {
    const text = this.#filter(output)
    const slicesAtOnce = 32
    for (let at = 0; at < text.length; ) {
      await new Promise<void>((resolve) => {
        for (let slice = 1; slice <= slicesAtOnce && at < text.length; slice++) {
          const part = text.slice(at, at + this.#sliceLength)
          at += part.length
          const isLast = slice === slicesAtOnce || at >= text.length
          this.#terminal.write(part, () => {
            this.#readScrollback()
            if (isLast) resolve()
          })
        }
      })
      yield* this.#lines.take()
    }
  }

  *resize(size: TerminalSize): Generator<string> {
    const terminal = this.#terminal
    const { cols, rows } = affordable(size)
    if (cols === terminal.cols && rows === terminal.rows) return
    this.#readScrollback()
    this.#dropScrollback()
    // Fewer columns make more rows of the same text; a wide character may leave every second column empty.
    terminal.options.scrollback = terminal.rows * (2 * Math.ceil(terminal.cols / cols) + 1)
    terminal.resize(cols, rows)
    this.#readScrollback()
    this.#dropScrollback()
    this.#sliceLength = sliceLength(cols)
    terminal.options.scrollback = this.#sliceLength + 1
    this.#region = { top: 0, bottom: rows - 1 }
    yield* this.#lines.take()
  }

  /** Yields what is on the screen, and on the alternate one where the program never left it. */
  *end(): Generator<string> {
    this.#readScrollback()
    this.#readScreen()
    const { active, alternate } = this.#terminal.buffer
    if (active.type === 'alternate') this.#readRows(alternate, 0, this.#filledRows(alternate))
    this.#lines.end()
    yield* this.#lines.take()
    this.#terminal.dispose()
  }

  #readRows(buffer: IBuffer, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      const row = buffer.getLine(index)
      if (row === undefined) throw new Error(`cannot read row ${index} of ${buffer.length}`)
      this.#lines.add(row, index + 1 < buffer.length && buffer.getLine(index + 1)?.isWrapped === true)
    }
  }

  /** Reads what has scrolled off since the last time. */
  #readScrollback(): void {
    const { active, normal } = this.#terminal.buffer
    if (this.#lastRead?.isDisposed)
      throw new Error('cannot read all lines: more of them scrolled off than one slice can move')
    const from = this.#lastRead === null ? 0 : this.#lastRead.line + 1
    if (from >= normal.baseY) return
    this.#readRows(normal, from, normal.baseY)
    // Rows scroll off the normal screen only, so while the alternate one is shown the mark needs no moving.
    if (active.type !== 'normal') return
    this.#lastRead?.dispose()
    this.#lastRead = this.#terminal.registerMarker(-1 - normal.cursorY) ?? null
  }

  /** Forgets the scrollback. Moves the cursor off a pending wrap and resets scrolling regions, as a resize does anyway. */
  #dropScrollback(): void {
    this.#terminal.options.scrollback = 0
    this.#lastRead?.dispose()
    this.#lastRead = null
  }

  /** Reads the normal screen, or its first rows, because they are about to go. */
  #readScreen(rows = Number.POSITIVE_INFINITY): void {
    const { normal } = this.#terminal.buffer
    this.#readScrollback()
    this.#readRows(normal, normal.baseY, Math.min(this.#filledRows(normal), normal.baseY + rows))
  }

  /** The index after the last row that shows anything. */
  #filledRows(buffer: IBuffer): number {
    let end = buffer.baseY + this.#terminal.rows
    while (end > buffer.baseY && (buffer.getLine(end - 1)?.translateToString(true) ?? '') === '') end--
    return end
  }

  #watch(): void {
    const { parser } = this.#terminal
    const csi = (
      id: { prefix?: string; intermediates?: string; final: string },
      handle: (params: number[]) => boolean,
    ) => parser.registerCsiHandler(id, (params) => handle(params.filter((param) => typeof param === 'number')))
    const isNormal = () => this.#terminal.buffer.active.type === 'normal'

    // A screen that is cleared was seen: it goes into the record, and what has scrolled off can't be taken back.
    const eraseInDisplay = (what: number, keep: boolean): boolean => {
      const { cursorX, cursorY } = this.#terminal.buffer.active
      if (what === 3) return true
      const erasesAll = what === 2 || (what === 0 && cursorX === 0 && cursorY === 0)
      if (erasesAll && keep && isNormal()) this.#readScreen()
      return false
    }
    csi({ final: 'J' }, ([what = 0]) => eraseInDisplay(what, true))
    // DECSED spares protected cells: were the screen read each time, a few bytes would repeat it without end.
    csi({ prefix: '?', final: 'J' }, ([what = 0]) => eraseInDisplay(what, false))
    parser.registerEscHandler({ final: 'c' }, () => {
      this.#readScreen()
      // The emulator starts over with new, empty buffers.
      this.#lastRead = null
      this.#region = { top: 0, bottom: this.#terminal.rows - 1 }
      return false
    })

    // Entering the alternate screen: the scrollback can be marked only on the normal one.
    csi({ prefix: '?', final: 'h' }, () => {
      if (isNormal()) this.#readScrollback()
      return false
    })

    // SU drops the rows it moves off the top, where other terminals scroll them off.
    csi({ final: 'r' }, ([first = 0, last = 0]) => {
      const { rows } = this.#terminal
      const top = first || 1
      const bottom = last === 0 || last > rows ? rows : last
      if (isNormal() && bottom > top) this.#region = { top: top - 1, bottom: bottom - 1 }
      return false
    })
    csi({ intermediates: '!', final: 'p' }, () => {
      if (isNormal()) this.#region = { top: 0, bottom: this.#terminal.rows - 1 }
      return false
    })
    csi({ final: 'S' }, ([count = 1]) => {
      const { top, bottom } = this.#region
      if (isCostly(count, this.#terminal)) return true
      if (isNormal() && top === 0) this.#readScreen(Math.min(count || 1, bottom + 1))
      return false
    })
  }
}

function sliceLength(cols: number): number {
  return Math.min(maxSliceLength, Math.floor(maxScrolledCells / cols))
}
