// Rows of a terminal become lines of text: rows that were wrapped are one line, blank lines at the end are left out.

import { neutralise } from '@teleclaude/core/terminal-text.ts'
import type { IBufferCell, IBufferLine } from '@xterm/headless'

const manyNewlines = '\n'.repeat(64 * 1024)

/** The text that comes out holds no control characters save newlines and, with colour, SGR sequences made here. */
export class LogicalLines {
  readonly #colour: boolean
  #pieces: string[] = []
  #begun = false
  /** Held back until something follows them. */
  #newlines = 0

  constructor(colour: boolean) {
    this.#colour = colour
  }

  /** Adds the next row. `continued`: the row after it goes on with the same line. */
  add(row: IBufferLine, continued: boolean): void {
    if (this.#begun && !row.isWrapped) this.#newlines++
    this.#begun = true
    const text = this.#colour ? colouredText(row, continued) : plainText(row, continued)
    if (text === '') return
    for (; this.#newlines > manyNewlines.length; this.#newlines -= manyNewlines.length) this.#pieces.push(manyNewlines)
    this.#pieces.push('\n'.repeat(this.#newlines) + text)
    this.#newlines = 0
  }

  end(): void {
    if (this.#begun) this.#pieces.push('\n')
  }

  /** What has come out since the last time, in pieces of bounded size. */
  take(): string[] {
    const pieces: string[] = []
    let from = 0
    let length = 0
    for (const [index, piece] of this.#pieces.entries()) {
      length += piece.length
      if (length < 256 * 1024 && index < this.#pieces.length - 1) continue
      pieces.push(this.#pieces.slice(from, index + 1).join(''))
      from = index + 1
      length = 0
    }
    this.#pieces = []
    return pieces
  }
}

function plainText(row: IBufferLine, continued: boolean): string {
  // Cells that nothing was written to are no text at the end of a row: a wide character that did not fit leaves one before the wrap.
  const text = row.translateToString(true)
  if (continued) return neutralise(text)
  let end = text.length
  while (end > 0 && text[end - 1] === ' ') end--
  return neutralise(text.slice(0, end))
}

function colouredText(row: IBufferLine, continued: boolean): string {
  let cell = row.getCell(0)
  const end = contentEnd(row, cell, continued)
  let text = ''
  let run = ''
  let style = plainStyle
  for (let column = 0; column < end; column++) {
    cell = row.getCell(column, cell)
    if (cell === undefined || cell.getWidth() === 0) continue
    const next = styleOf(cell)
    if (next !== style) {
      text += neutralise(run) + (next === plainStyle ? '\x1b[0m' : `\x1b[0${next}m`)
      style = next
      run = ''
    }
    run += cell.getChars() || ' '
  }
  return text + neutralise(run) + (style === plainStyle ? '' : '\x1b[0m')
}

/** The column after the last one that shows something; coloured blanks that were written count, erased ones do not. */
function contentEnd(row: IBufferLine, reused: IBufferCell | undefined, continued: boolean): number {
  for (let end = row.length; end > 0; end--) {
    const cell = row.getCell(end - 1, reused)
    const chars = cell?.getChars() ?? ''
    if (chars === '' && cell?.getWidth() !== 0) continue
    if (chars === ' ' && !continued && cell !== undefined && !showsBlank(cell)) continue
    return end
  }
  return 0
}

function showsBlank(cell: IBufferCell): boolean {
  return !cell.isBgDefault() || cell.isInverse() !== 0 || cell.isUnderline() !== 0 || cell.isStrikethrough() !== 0
}

const plainStyle = ''

/** The parameters of the SGR sequence that follow its reset (ECMA-48 8.3.117; ISO 8613-6 for colours beyond 16).
 *  Concealed and blinking text is shown as any other: a record hides nothing. */
function styleOf(cell: IBufferCell): string {
  if (cell.isAttributeDefault()) return plainStyle
  let style = ''
  if (cell.isBold()) style += ';1'
  if (cell.isDim()) style += ';2'
  if (cell.isItalic()) style += ';3'
  if (cell.isUnderline()) style += ';4'
  if (cell.isInverse()) style += ';7'
  if (cell.isStrikethrough()) style += ';9'
  if (cell.isFgRGB()) style += `;38;2;${rgb(cell.getFgColor())}`
  else if (cell.isFgPalette()) style += palette(cell.getFgColor(), 30)
  if (cell.isBgRGB()) style += `;48;2;${rgb(cell.getBgColor())}`
  else if (cell.isBgPalette()) style += palette(cell.getBgColor(), 40)
  return style
}

function rgb(colour: number): string {
  return `${(colour >> 16) & 0xff};${(colour >> 8) & 0xff};${colour & 0xff}`
}

function palette(colour: number, base: 30 | 40): string {
  if (colour < 8) return `;${base + colour}`
  if (colour < 16) return `;${base + 60 + colour - 8}`
  return `;${base + 8};5;${colour}`
}
