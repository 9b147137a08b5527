// Findings as a table for a terminal.

import type { Summary } from './finding.ts'

const headings = ['what', 'measured', 'spread', 'beside', 'its value', 'ratio', 'budget', '']
/** The rest are numbers, and stand to the right. */
const textColumns = [0, 3, 7]

export function formatTable(summaries: readonly Summary[]): string {
  const rows = [headings, ...summaries.map(cellsOf)]
  const widths = headings.map((_, column) => Math.max(...rows.map((cells) => (cells[column] ?? '').length)))
  return rows
    .map((cells) =>
      cells
        .map((cell, column) => {
          const width = widths[column] ?? 0
          return textColumns.includes(column) ? cell.padEnd(width) : cell.padStart(width)
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function cellsOf({ what, unit, measured, beside, ratio, budget, verdict }: Summary): string[] {
  return [
    what,
    `${formatNumber(measured.median)} ${unit}`,
    formatSpread(measured),
    beside?.what ?? '',
    beside === null ? '' : `${formatNumber(beside.median)} ${unit}`,
    ratio === null ? '' : ratio.toFixed(2),
    budget === null ? '' : `${budget.kind === 'at most' ? '≤' : '≥'} ${budget.ratio}`,
    verdict ?? '',
  ]
}

function formatSpread({ min, max }: Summary['measured']): string {
  return min === max ? '' : `${formatNumber(min)} – ${formatNumber(max)}`
}

/** Three digits say all that a noisy machine knows. */
function formatNumber(value: number): string {
  return new Intl.NumberFormat(
    'en',
    value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 },
  ).format(value)
}
