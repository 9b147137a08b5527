// Recordings of real programs, and what two terminals differ in.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import type { IBuffer, IBufferCell, Terminal } from '@xterm/headless'
import { Screen, type ScreenEvents } from './screen.ts'
import { openTerminal } from './terminal.ts'

export type Step = Buffer | TerminalSize
export type Recording = { readonly size: TerminalSize; readonly steps: readonly Step[] }

/** Made by `recordings/record.ts`: asciicast v3. */
export function readRecording(name: string): Recording {
  const lines = readFileSync(join(import.meta.dirname, 'recordings', `${name}.cast`), 'utf8')
    .trim()
    .split('\n')
  const [header, ...events] = lines.map((line) => JSON.parse(line))
  const steps = events.map(([, kind, text]): Step => {
    if (kind !== 'r') return Buffer.from(text)
    const [cols, rows] = text.split('x').map(Number)
    return { cols, rows }
  })
  return { size: { cols: header.term.cols, rows: header.term.rows }, steps }
}

/** More coloured lines than a screen keeps. */
export function countInColours(): Recording {
  const colour = 's/.*/\\x1b[3&m&\\x1b[0m has \\x1b[1;44m&\\x1b[K\\x1b[m/; s/\\[3[0-9]*\\([0-7]\\)m/[3\\1m/'
  const lines = execFileSync('sh', ['-c', `seq 12000 | sed '${colour}'`], { maxBuffer: 1 << 20 })
  return {
    size: { cols: 40, rows: 12 },
    steps: [Buffer.from(lines.toString().replaceAll('8m', '7m').replaceAll('9m', '6m').replaceAll('\n', '\r\n'))],
  }
}

const noEvents: ScreenEvents = {
  reply: () => undefined,
  attention: () => undefined,
  title: () => undefined,
}

/** A terminal as people have it: nothing stands between it and the bytes. */
export class Viewer {
  readonly terminal: Terminal
  replies = ''
  title: string | null = null

  constructor(size: TerminalSize) {
    this.terminal = openTerminal(size, { scrollback: 10_000 })
    this.terminal.options.windowOptions = { pushTitle: true, popTitle: true }
    this.terminal.onTitleChange((title) => {
      this.title = title
    })
    this.terminal.onData((text) => {
      this.replies += text
    })
  }

  write(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => this.terminal.write(bytes, resolve))
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (Buffer.isBuffer(step)) await this.write(step)
      else this.terminal.resize(step.cols, step.rows)
    }
  }

  /** What it answers to a query. */
  async ask(query: string): Promise<string> {
    this.replies = ''
    await this.write(query)
    return this.replies
  }
}

export async function playOnScreen(screen: Screen, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (Buffer.isBuffer(step)) await screen.write(step)
    else screen.resize(step)
  }
  await screen.write(Buffer.alloc(0))
}

/** The recording up to so many bytes, and from there. */
export function cutRecording(
  { size, steps }: Recording,
  at: number,
): { before: Step[]; after: Step[]; size: TerminalSize } {
  const before: Step[] = []
  const after: Step[] = []
  let left = at
  let sizeThere = size
  for (const step of steps) {
    if (left < 0) after.push(step)
    else if (!Buffer.isBuffer(step)) {
      before.push(step)
      sizeThere = step
    } else if (step.length <= left) {
      before.push(step)
      left -= step.length
    } else {
      before.push(step.subarray(0, left))
      after.push(step.subarray(left))
      left = -1
    }
  }
  return { before, after, size: sizeThere }
}

export function byteLength({ steps }: Recording): number {
  return steps.reduce((sum, step) => sum + (Buffer.isBuffer(step) ? step.length : 0), 0)
}

export async function openScreen(size: TerminalSize, steps: readonly Step[], events = noEvents): Promise<Screen> {
  const screen = new Screen(size, { events })
  await playOnScreen(screen, steps)
  return screen
}

const modeQueries = [1, 6, 7, 9, 25, 45, 66, 1000, 1002, 1003, 1004, 1006, 1016, 1049, 2004]
  .map((mode) => `\x1b[?${mode}$p`)
  .concat('\x1b[4$p', '\x1b[20$p', '\x1bP$qr\x1b\\', '\x1b[6n')

export type Comparison = {
  /** Whether to ask them as well, which ends a sequence that is not finished. */
  readonly queries: boolean
  /** Whether a blank that was written counts for one that was not. */
  readonly blanksAlike?: boolean
}

/** What two terminals differ in, at most some ten lines of it. */
export async function findDifferences(
  one: Viewer,
  other: Viewer,
  { queries, blanksAlike = false }: Comparison,
): Promise<string[]> {
  const found: string[] = []
  const compare = (what: string, mine: unknown, theirs: unknown) => {
    const [left, right] = [JSON.stringify(mine), JSON.stringify(theirs)]
    if (left !== right && found.length < 10) found.push(`${what}: ${left}, not ${right}`)
  }
  compare(
    'modes',
    { ...one.terminal.modes, synchronizedOutputMode: 0 },
    { ...other.terminal.modes, synchronizedOutputMode: 0 },
  )
  compare('active', one.terminal.buffer.active.type, other.terminal.buffer.active.type)
  if (queries) {
    for (const query of modeQueries) compare(JSON.stringify(query), await one.ask(query), await other.ask(query))
  }
  for (const type of ['normal', 'alternate'] as const) {
    const [mine, theirs] = [one.terminal.buffer[type], other.terminal.buffer[type]]
    if (type === 'alternate' && one.terminal.buffer.active.type === 'normal') continue
    compare(`${type} rows`, mine.length, theirs.length)
    if (mine.length !== theirs.length) continue
    if (type === one.terminal.buffer.active.type) {
      compare(
        `${type} cursor`,
        [mine.cursorX, mine.cursorY, mine.baseY],
        [theirs.cursorX, theirs.cursorY, theirs.baseY],
      )
    }
    for (let row = 0; row < mine.length && found.length < 10; row++)
      compareRows(mine, theirs, { row, cols: one.terminal.cols, blanksAlike }, (what, left, right) =>
        compare(`${type} ${what}`, left, right),
      )
  }
  return found
}

function compareRows(
  one: IBuffer,
  other: IBuffer,
  { row, cols, blanksAlike }: { row: number; cols: number; blanksAlike: boolean },
  compare: (what: string, mine: unknown, theirs: unknown) => void,
): void {
  const [mine, theirs] = [one.getLine(row), other.getLine(row)]
  if (mine === undefined || theirs === undefined) {
    compare(`row ${row}`, mine === undefined, theirs === undefined)
    return
  }
  // The row before the first one is not there any more.
  if (row > 0) compare(`row ${row} wrapped`, mine.isWrapped, theirs.isWrapped)
  const [left, right] = [one.getNullCell(), other.getNullCell()]
  for (let column = 0; column < cols; column++) {
    mine.getCell(column, left)
    theirs.getCell(column, right)
    const [leftText, rightText] = [describeCell(left, blanksAlike), describeCell(right, blanksAlike)]
    if (leftText !== rightText) compare(`row ${row}, column ${column}`, leftText, rightText)
  }
}

function describeCell(cell: IBufferCell, blanksAlike: boolean): string {
  const isBlank = cell.getChars() === '' || (blanksAlike && cell.getChars() === ' ')
  if (isBlank && cell.isAttributeDefault()) return ''
  const style = [
    cell.getFgColorMode(),
    cell.getFgColor(),
    cell.isBold(),
    cell.isDim(),
    cell.isItalic(),
    cell.isUnderline(),
    cell.isBlink(),
    cell.isInverse(),
    cell.isInvisible(),
    cell.isStrikethrough(),
    cell.isOverline(),
    underline(cell),
  ]
  const isErased = isBlank && style.every((value) => value === 0 || value === -1)
  // A blank that was written and one that was left over from half a character, in the same style, look the same.
  const text = isBlank && !isErased ? ' ' : cell.getChars()
  return [JSON.stringify(text), isBlank ? 1 : cell.getWidth(), cell.getBgColorMode(), cell.getBgColor(), ...style].join(
    ' ',
  )
}

function underline(cell: IBufferCell): number {
  if (!('getUnderlineStyle' in cell) || typeof cell.getUnderlineStyle !== 'function') throw new Error('no underlines')
  if (!('getUnderlineColor' in cell) || typeof cell.getUnderlineColor !== 'function') throw new Error('no underlines')
  return cell.isUnderline() ? cell.getUnderlineStyle() * 0x1000000 + cell.getUnderlineColor() : 0
}
