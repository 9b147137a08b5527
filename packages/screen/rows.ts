// The rows of a screen written so that another terminal comes to have the same cells, with its plain settings: cursor at the start
// of an empty row, nothing below it, no margins, wrapping on, the plain pen.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import type { IBuffer, IBufferCell, IBufferLine } from '@xterm/headless'
import { hasOnlyBackground, hasSameBackground, isSameStyle, penOf, takeUp } from './pen.ts'

/** What writes rows `from` to `to` of a buffer (without `to`), and how far it came: it stops where that gets longer than
 *  `maxLength`. It leaves the cursor and the pen anywhere. */
export function writeRows(
  buffer: IBuffer,
  size: TerminalSize,
  { from, to, maxLength }: { readonly from: number; readonly to: number; readonly maxLength: number },
): { readonly text: string; readonly reached: number } {
  const writer = new RowWriter(buffer, size)
  let line = buffer.getLine(from)
  let index = from
  for (; index < to && line !== undefined && writer.text.length <= maxLength; index++) {
    const next = index + 1 < to ? buffer.getLine(index + 1) : undefined
    writer.write(line)
    if (next?.isWrapped) writer.wrap(line, next)
    else if (next !== undefined) writer.breakLine()
    line = next
  }
  return { text: writer.text, reached: writer.text.length <= maxLength ? to : index }
}

class RowWriter {
  text = ''
  readonly #cols: number
  readonly #rows: number
  /** Where the terminal's cursor is: `cols` where it waits to wrap, and undefined where terminals differ about it. */
  #x: number | undefined = 0
  #isPlain = true
  /** A cell that was written with the terminal's present pen, where that is not the plain one. */
  readonly #taken: IBufferCell
  readonly #plain: IBufferCell
  // Read into again and again: a cell object for each cell would take most of the time.
  readonly #cell: IBufferCell
  readonly #other: IBufferCell

  constructor(buffer: IBuffer, { cols, rows }: TerminalSize) {
    this.#cols = cols
    this.#rows = rows
    this.#plain = buffer.getNullCell()
    this.#taken = buffer.getNullCell()
    this.#cell = buffer.getNullCell()
    this.#other = buffer.getNullCell()
  }

  write(line: IBufferLine): void {
    for (let column = 0; column < this.#cols; column++) {
      const cell = line.getCell(column, this.#cell)
      if (cell === undefined) return
      const text = cell.getChars()
      const width = cell.getWidth()
      if (text === '' && hasOnlyBackground(cell)) {
        if (!hasSameBackground(cell, this.#plain)) column = this.#erase(line, column)
        continue
      }
      // A mark that stands alone would join the character before, were nothing in between.
      if (width === 0 && text !== '') {
        this.#take(cell, line, column)
        this.text += `\x1b[${column + 1}G${text}`
        this.#x = undefined
        continue
      }
      this.#moveTo(column)
      const isWhole = width < 2 || line.getCell(column + 1, this.#other)?.getWidth() === 0
      this.#take(cell, line, column)
      this.text += text === '' || !isWhole ? ' ' : text
      this.#x = column + 1
      if (width === 2 && isWhole) {
        column++
        this.#x++
      }
    }
  }

  /** Erases as many cells as have this background from here on, and returns the last of them. */
  #erase(line: IBufferLine, from: number): number {
    this.#moveTo(from)
    this.#take(this.#cell, line, from)
    let last = from
    for (; last + 1 < this.#cols; last++) {
      const cell = line.getCell(last + 1, this.#other)
      if (cell === undefined || cell.getChars() !== '' || !isSameStyle(cell, this.#pen())) break
    }
    this.text += `\x1b[${last - from + 1}X`
    return last
  }

  breakLine(): void {
    this.#becomePlain()
    this.text += '\r\n'
    this.#x = 0
  }

  /** Goes on in the next row in such a way that the terminal takes it for the same line. */
  wrap(line: IBufferLine, next: IBufferLine): void {
    if (this.#wrapsByItself(line, next)) {
      this.#x = 0
      return
    }
    // Two blanks, one in the last column, the second wraps. Then what is not there is taken away again.
    this.#becomePlain()
    const isFull = this.#x === this.#cols
    if (!isFull) this.text += `\x1b[${this.#cols}G `
    this.text += ' '
    if (!isFull && this.#rows > 1) {
      this.text += `\x1b[A\x1b[${this.#cols}G`
      const last = line.getCell(this.#cols - 1, this.#cell)
      if (last !== undefined && last.getChars() === '' && hasOnlyBackground(last))
        this.#take(last, line, this.#cols - 1)
      this.text += '\x1b[X'
      this.#becomePlain()
      this.text += '\x1b[B'
    }
    this.text += '\r\x1b[X'
    this.#x = 0
  }

  #wrapsByItself(line: IBufferLine, next: IBufferLine): boolean {
    const first = next.getCell(0, this.#cell)
    // The new row may be filled with the background that its first character has.
    if (first === undefined || first.getChars() === '' || !hasSameBackground(first, this.#plain)) return false
    if (first.getWidth() === 0) return false
    if (this.#x === this.#cols) return first.getWidth() === 1 || next.getCell(1, this.#other)?.getWidth() === 0
    // A wide character that does not fit into the last column leaves it empty, as it did before.
    const last = line.getCell(this.#cols - 1, this.#other)
    return (
      first.getWidth() === 2 &&
      this.#x === this.#cols - 1 &&
      last?.getChars() === '' &&
      isSameStyle(last, first) &&
      next.getCell(1, this.#other)?.getWidth() === 0
    )
  }

  #pen(): IBufferCell {
    return this.#isPlain ? this.#plain : this.#taken
  }

  #becomePlain(): void {
    if (!this.#isPlain) this.text += '\x1b[m'
    this.#isPlain = true
  }

  #take(cell: IBufferCell, line: IBufferLine, column: number): void {
    if (isSameStyle(cell, this.#pen())) return
    this.text += takeUp(penOf(cell))
    line.getCell(column, this.#taken)
    this.#isPlain = cell.isAttributeDefault()
  }

  #moveTo(column: number): void {
    if (this.#x === column) return
    if (this.#x === undefined || this.#x > column) this.text += `\x1b[${column + 1}G`
    else this.text += column - this.#x === 1 ? '\x1b[C' : `\x1b[${column - this.#x}C`
    this.#x = column
  }
}
