// Tables on a terminal: aligned by the columns that text takes there, and never wider than it.

import { paint, type Style } from './style.ts'
import { displayWidth, neutralise, truncate } from './terminal-text.ts'

export type Column<Row> = {
  readonly title: string
  /** Any text: it is neutralised here. */
  readonly value: (row: Row) => string
  readonly style?: (row: Row) => Style | null
  readonly align?: 'left' | 'right'
  /** Cut when the table is too wide. At most one column of a table. */
  readonly flexible?: boolean
}

export type TableOptions = {
  /** Columns of the terminal; null where the output is none, so that nothing is cut. */
  readonly width: number | null
  readonly colour: boolean
}

const gap = '  '
const minFlexibleWidth = 8

/** The lines of the table, each with its newline; the first one has the titles. */
export function renderTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[], options: TableOptions): string {
  const cells = rows.map((row) => columns.map((column) => neutralise(column.value(row))))
  const widths = columns.map((column, index) =>
    cells.reduce((widest, line) => Math.max(widest, displayWidth(line[index] ?? '')), displayWidth(column.title)),
  )
  const flexible = columns.findIndex((column) => column.flexible)
  if (options.width !== null && flexible !== -1) {
    const others = widths.reduce((sum, width, index) => (index === flexible ? sum : sum + width + gap.length), 0)
    widths[flexible] = Math.min(widths[flexible] ?? 0, Math.max(options.width - others, minFlexibleWidth))
  }

  const line = (texts: readonly string[], styleOf: (column: Column<Row>) => Style | null) => {
    let shown = ''
    let blanks = ''
    for (const [index, column] of columns.entries()) {
      const text = truncate(texts[index] ?? '', widths[index] ?? 0)
      const padding = ' '.repeat((widths[index] ?? 0) - displayWidth(text))
      const style = styleOf(column)
      if (text !== '') {
        shown +=
          blanks + (column.align === 'right' ? padding : '') + (style ? paint(text, style, options.colour) : text)
        blanks = ''
      }
      blanks += (column.align === 'right' && text !== '' ? '' : padding) + gap
    }
    return `${shown}\n`
  }

  const titles = line(
    columns.map((column) => column.title),
    () => 'dim',
  )
  return titles + rows.map((row, index) => line(cells[index] ?? [], (column) => column.style?.(row) ?? null)).join('')
}
