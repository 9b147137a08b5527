// Somebody else's session on this terminal. Not a byte of what its program prints gets here, for it could do anything to the terminal
// of whoever looks on: answer for them, set their clipboard, title and colours, or leave keys that do something else. An emulator takes
// it all, and what it shows is drawn: text, its colours and the place of the cursor, in sequences of our own.

import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { setImmediate } from 'node:timers/promises'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { displayWidth, neutralise } from '@teleclaude/core/terminal-text.ts'
import { controlStringFilter } from '@teleclaude/screen/output-scanner.ts'
import { isSameStyle, penOf, takeUp } from '@teleclaude/screen/pen.ts'
import { affordable, openTerminal } from '@teleclaude/screen/terminal.ts'
import { Tracker } from '@teleclaude/screen/tracker.ts'
import { Utf8Reader } from '@teleclaude/screen/utf8.ts'

type Terminal = ReturnType<typeof openTerminal>

/** Between two drawings: nobody sees more. */
const frameMs = 25
const maxSlice = 4096
const minSlice = 16
/** After so long at a stretch, keys have their turn. */
const stretchMs = 20
/** Writes that wait for the emulator before whoever writes has to. */
const maxWaiting = 16

/** The terminal that is drawn on. */
export type Canvas = Pick<NodeJS.WriteStream, 'getWindowSize' | 'writableNeedDrain'> &
  Pick<NodeJS.EventEmitter, 'once' | 'on' | 'off'> & { write(text: string): unknown }

/** Takes what a terminal takes, as one does: output, and sizes in the order among it. */
export class DrawnTerminal extends Writable {
  readonly isTTY = true
  readonly #canvas: Canvas
  readonly #terminal: Terminal
  readonly #tracker: Tracker
  readonly #reader = new Utf8Reader()
  readonly #filter = controlStringFilter()
  /** What stands in each row of the canvas; null where nothing is drawn yet. */
  #drawn: string[] | null = null
  #cursor = ''
  #modes: readonly string[] = []
  /** The first row that is seen: where the canvas is lower than the session, that follows the cursor. */
  #top = 0
  #drives = false
  #sliceLength = maxSlice
  #isDropping = false
  #drawnMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(size: TerminalSize, canvas: Canvas = process.stdout) {
    super({ objectMode: true, highWaterMark: maxWaiting })
    this.#canvas = canvas
    // Nobody hears what it would answer.
    this.#terminal = openTerminal(size, { scrollback: 0 })
    this.#tracker = new Tracker(this.#terminal, () => undefined)
    canvas.on('resize', this.#drawAnew)
  }

  /** Up to where the session's screen is seen. */
  getWindowSize(): [number, number] {
    const [cols, rows] = this.#canvas.getWindowSize()
    return [Math.min(cols, this.#terminal.cols), Math.min(this.#top + rows, this.#terminal.rows)]
  }

  /** Whether keys are typed for the session: they have to be those that its program knows. */
  drive(drives: boolean): void {
    this.#drives = drives
    if (this.#drawn !== null) this.#schedule()
  }

  /** Resolves when all that was written is drawn. */
  async drawNow(): Promise<void> {
    await new Promise((resolve) => this.write('', resolve))
    this.#draw()
  }

  /** Leaves the terminal below what is drawn, as it was found. `isOver`: all that was written is drawn before; who lets go of a
   *  session that goes on does not wait for that. */
  async leave({ isOver }: { readonly isOver: boolean }): Promise<void> {
    this.#isDropping = !isOver
    this.end()
    await finished(this)
    clearTimeout(this.#timer)
    this.#canvas.off('resize', this.#drawAnew)
    if (this.#drawn !== null) {
      this.#draw()
      const last = this.#drawn.findLastIndex((row) => row !== '')
      const off = this.#modes.map((mode) => `\x1b[?${mode}l`).join('')
      this.#canvas.write(`${off}\x1b[m\x1b[?25h\x1b[${Math.max(last, 0) + 1};1H\r\n\x1b[J`)
    }
    this.#terminal.dispose()
  }

  override _write(
    item: Uint8Array | string | TerminalSize,
    _encoding: string,
    done: (error?: Error | null) => void,
  ): void {
    this.#take(item).then(() => done(), done)
  }

  async #take(item: Uint8Array | string | TerminalSize): Promise<void> {
    if (typeof item === 'object' && 'cols' in item) {
      const { cols, rows } = affordable(item)
      this.#terminal.resize(cols, rows)
      this.#tracker.resized()
    } else {
      const text = this.#filter(typeof item === 'string' ? item : this.#reader.read(item))
      for (let at = 0; at < text.length && !this.#isDropping; ) {
        const slice = text.slice(at, at + this.#sliceLength)
        at += slice.length
        await this.#feed(slice)
        await setImmediate()
      }
    }
    this.#schedule()
  }

  /** Some sequences cost a thousand times what a character does. */
  async #feed(slice: string): Promise<void> {
    const startedMs = performance.now()
    await new Promise<void>((resolve) => this.#terminal.write(slice, resolve))
    const tookMs = performance.now() - startedMs
    if (tookMs > stretchMs) this.#sliceLength = Math.max(minSlice, Math.floor(this.#sliceLength / 4))
    else if (tookMs < stretchMs / 4) this.#sliceLength = Math.min(maxSlice, this.#sliceLength * 2)
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.writableFinished) return
    const waitMs = Math.max(0, this.#drawnMs + frameMs - performance.now())
    this.#timer = setTimeout(() => void this.#drawSoon(), waitMs)
  }

  /** A terminal that is slow is drawn on less often. */
  async #drawSoon(): Promise<void> {
    if (this.#canvas.writableNeedDrain) await new Promise((resolve) => this.#canvas.once('drain', resolve))
    this.#timer = undefined
    if (!this.writableFinished) this.#draw()
  }

  readonly #drawAnew = (): void => {
    if (this.#drawn === null) return
    // Terminals wrap what stands there in their own ways.
    this.#drawn = []
    this.#cursor = ''
    this.#canvas.write('\x1b[m\x1b[H\x1b[2J')
    this.#schedule()
  }

  #draw(): void {
    const [cols, rows] = this.#canvas.getWindowSize()
    let text = this.#drawn === null ? `\x1b[m\x1b[${rows};1H${'\n'.repeat(rows)}` : ''
    const drawn = this.#drawn ?? []
    const buffer = this.#terminal.buffer.active
    const cursorRow = buffer.cursorY
    if (cursorRow < this.#top) this.#top = cursorRow
    else if (cursorRow >= this.#top + rows) this.#top = cursorRow - rows + 1
    this.#top = Math.max(0, Math.min(this.#top, this.#terminal.rows - rows))
    for (let row = 0; row < rows; row++) {
      const at = this.#top + row
      // Past its last row, the emulator begins again with the first.
      const isThere = at < this.#terminal.rows
      const shown = isThere ? drawRow(buffer, buffer.baseY + at, Math.min(cols, this.#terminal.cols)) : ''
      if (shown === (drawn[row] ?? '')) continue
      text += `\x1b[${row + 1};1H\x1b[m\x1b[K${shown}`
      drawn[row] = shown
    }
    this.#drawn = drawn
    const modes = this.#setModes()
    const cursor = this.#placeCursor(cols)
    if (text !== '' || cursor !== this.#cursor || modes !== '') this.#canvas.write(`${text}\x1b[m${modes}${cursor}`)
    this.#cursor = cursor
    this.#drawnMs = performance.now()
  }

  #placeCursor(cols: number): string {
    const { cursorX, cursorY } = this.#terminal.buffer.active
    if (this.#tracker.isCursorHidden) return '\x1b[?25l'
    return `\x1b[${cursorY - this.#top + 1};${Math.min(cursorX, cols - 1) + 1}H\x1b[?25h`
  }

  /** Of the program's modes those that say what cursor keys are, and where a paste begins and ends (DECCKM and 2004,
   *  https://invisible-island.net/xterm/ctlseqs/ctlseqs.html). */
  #setModes(): string {
    const { applicationCursorKeysMode, bracketedPasteMode } = this.#terminal.modes
    const modes = [
      ...(this.#drives && applicationCursorKeysMode ? ['1'] : []),
      ...(this.#drives && bracketedPasteMode ? ['2004'] : []),
    ]
    const off = this.#modes.filter((mode) => !modes.includes(mode)).map((mode) => `\x1b[?${mode}l`)
    const on = modes.filter((mode) => !this.#modes.includes(mode)).map((mode) => `\x1b[?${mode}h`)
    this.#modes = modes
    return [...off, ...on].join('')
  }
}

/** Without the blanks at its end. */
function drawRow(buffer: Terminal['buffer']['normal'], row: number, cols: number): string {
  const line = buffer.getLine(row)
  if (line === undefined) return ''
  let shown = ''
  let end = 0
  let [cell, before] = [buffer.getNullCell(), buffer.getNullCell()]
  for (let column = 0; column < cols; ) {
    if (line.getCell(column, cell) === undefined) break
    const width = cell.getWidth() === 2 ? 2 : 1
    const text = column + width <= cols ? showCell(cell.getChars(), width) : ' '
    if (column === 0 || !isSameStyle(before, cell)) shown += takeUp(penOf(cell))
    shown += text
    // Terminals differ over how wide some characters are.
    if (!/^[\x20-\x7e]$/.test(text)) shown += `\x1b[${column + width + 1}G`
    if (text !== ' ' || !cell.isAttributeDefault()) end = shown.length
    ;[cell, before] = [before, cell]
    column += width
  }
  return shown.slice(0, end)
}

/** What a cell shows, in no more columns than it has. What hides in it is left out. */
function showCell(chars: string, width: 1 | 2): string {
  if (chars === '') return ' '.repeat(width)
  if (/^[\x20-\x7e]$/.test(chars)) return chars
  const [first = '', ...marks] = neutralise(chars)
  const shown = first + marks.filter((mark) => mark !== '\ufffd').join('')
  if (displayWidth(shown) === width) return shown
  // A pictograph that a terminal of today shows wider than its program counts on.
  const narrow = shown.replace('\ufe0f', '')
  return displayWidth(narrow) === width ? narrow : '\ufffd'.padEnd(width)
}
