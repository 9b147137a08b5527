// A screen as the bytes that bring any other terminal of its size to the same state: first into a known one, whatever it showed
// and was set to before, then through the rows, then the modes, and the cursor last.
//
// Without a full reset (RIS): that flashes, and where it does not clear the scrollback against the wish of whoever asked to keep
// it, it takes settings with it that are not ours: palette, title, width. What a soft reset (DECSTR) leaves is reset one by one.
// Nothing in here is output of the program as it came, but the beginning of the sequence that its next bytes go on with.
//
// Left out: links (OSC 8, which cost the emulator a walk through a list for each character), palettes (OSC 4, 10 to 12), protection
// from erasure (DECSCA), and the titles under the present one.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise, truncate } from '@teleclaude/core/terminal-text.ts'
import type { IBuffer, Terminal } from '@xterm/headless'
import { isSamePen, type Pen, penOf, takeUp } from './pen.ts'
import { writeRows } from './rows.ts'
import type { Charsets, Keyboards, Region, ScreenState, Tracker } from './tracker.ts'

const maxTitleColumns = 200
/** Where every character has colours of its own, rows take fifty times what they usually do: fewer of them are kept. */
const maxRowsLength = 4 * 1024 * 1024
const plainCharsets = '\x1b(B\x1b)B\x1b*B\x1b+B\x0f'

export type SnapshotOptions = {
  /** Whether the terminal forgets what it scrolled off before. */
  readonly clearScrollback: boolean
  /** The last that came was a character, which the next one may join. */
  readonly endsInCharacter: boolean
}

/** Everything but the bytes of an unfinished sequence. */
export function drawSnapshot(terminal: Terminal, tracker: Tracker, options: SnapshotOptions): string {
  const { active, normal, alternate } = terminal.buffer
  let text = startAnew(options.clearScrollback)
  text += drawRows(normal, terminal)
  if (active.type === 'alternate') {
    text += `${setUpScreen(tracker.normal, normal, terminal)}\x1b[?1049h`
    // The other screen comes with the cursor, the pen and the charset that were just saved.
    text += `${plainCharsets}\x1b[m\x1b[r\x1b[H\x1b[2J${drawRows(alternate, terminal)}`
  }
  text += `${setUpScreen(tracker.active, active, terminal)}\x1b7${plainCharsets}`
  return text + setModes(terminal, tracker) + placeCursor(terminal, tracker, options.endsInCharacter)
}

/** The screen, and above it as much of what scrolled off as may be. */
function drawRows(buffer: IBuffer, size: TerminalSize): string {
  const { length: to, baseY } = buffer
  for (let from = 0; from < baseY; ) {
    const { text, reached } = writeRows(buffer, size, { from, to, maxLength: maxRowsLength })
    if (reached === to) return text
    from = Math.max(from + 1, to - Math.floor((reached - from) * 0.75))
  }
  return writeRows(buffer, size, { from: baseY, to, maxLength: Number.POSITIVE_INFINITY }).text
}

function startAnew(clearScrollback: boolean): string {
  return [
    // Out of whatever sequence or string the terminal may be in the middle of.
    '\x18\x1b\\',
    // Off: output held back, the alternate screen, keyboards on both screens.
    '\x1b[?2026l\x1b[<99u\x1b[=0u\x1b[?1049l\x1b[<99u\x1b[=0u',
    '\x1b[!p',
    '\x1b[4l\x1b[20l\x1b[?1;5;6;9;45;1000;1002;1003;1004;1005;1006;1015;1016;2004l\x1b[?7;25h\x1b>\x1b[>4m',
    `\x1b[0 q\x1b]8;;\x07${plainCharsets}\x1b[m\x1b[r\x1b[H`,
    // Erasing all at once, a terminal may keep the screen by scrolling it off.
    clearScrollback ? '\x1b[2J\x1b[3J' : '\x1b[J',
  ].join('')
}

/** Leaves the cursor, pen and charset at what the program saved. */
function setUpScreen({ region, saved, tabStops, keyboards }: ScreenState, buffer: IBuffer, terminal: Terminal): string {
  const { cols, rows } = terminal
  const row = Math.min(Math.max(saved.row - buffer.baseY, 0), rows - 1)
  const column = Math.min(saved.column, cols - 1)
  return [
    '\x1b[3g',
    ...[...tabStops]
      .filter((stop) => stop < cols)
      .sort((one, other) => one - other)
      .map((stop) => `\x1b[${stop + 1}G\x1bH`),
    stackKeyboards(keyboards),
    setRegion(region),
    `${moveTo(column, row)}${takeUp(saved.pen)}${designate(0, saved.charset)}`,
  ].join('')
}

function stackKeyboards({ stack, flags }: Keyboards): string {
  return [...stack, flags]
    .map((each, index) => {
      if (index > 0) return `\x1b[>${each}u`
      return each === 0 ? '' : `\x1b[=${each}u`
    })
    .join('')
}

function setRegion(region: Region | null): string {
  return region === null ? '\x1b[r' : `\x1b[${region.top + 1};${region.bottom + 1}r`
}

function moveTo(column: number, row: number): string {
  return `\x1b[${row + 1};${column + 1}H`
}

function designate(level: number, final: string): string {
  return final === 'B' ? '' : `\x1b${'()*+'.charAt(level)}${final}`
}

function selectCharsets({ designated, level, current }: Charsets): string {
  const finals = designated.map((final, index) => (index === level ? current : final))
  return finals.map((final, index) => designate(index, final)).join('') + ['', '\x0e', '\x1bn', '\x1bo'][level]
}

const mouseTracking = { none: null, x10: 9, vt200: 1000, drag: 1002, any: 1003 } as const

function setModes({ modes, options }: Terminal, tracker: Tracker): string {
  const set: (number | null)[] = [
    modes.applicationCursorKeysMode ? 1 : null,
    tracker.isReversed ? 5 : null,
    modes.reverseWraparoundMode ? 45 : null,
    mouseTracking[modes.mouseTrackingMode],
    ...tracker.mouseEncodings,
    modes.sendFocusMode ? 1004 : null,
    modes.bracketedPasteMode ? 2004 : null,
  ]
  return [
    tracker.title === null ? '' : `\x1b]2;${showTitle(tracker.title)}\x07`,
    ...set.filter((mode) => mode !== null).map((mode) => `\x1b[?${mode}h`),
    modes.applicationKeypadMode ? '\x1b=' : '',
    tracker.modifyOtherKeys === null ? '' : `\x1b[>4;${tracker.modifyOtherKeys}m`,
    tracker.cursorBlinks === null ? '' : `\x1b[?12${tracker.cursorBlinks ? 'h' : 'l'}`,
    tracker.cursorStyle === 0 ? '' : `\x1b[${tracker.cursorStyle} q`,
    tracker.isCursorHidden ? '\x1b[?25l' : '',
    options.convertEol ? '\x1b[20h' : '',
    modes.insertMode ? '\x1b[4h' : '',
    modes.wraparoundMode ? '' : '\x1b[?7l',
    modes.originMode ? '\x1b[?6h' : '',
  ].join('')
}

/** A title safe to print, in one line. */
export function showTitle(title: string): string {
  return truncate(neutralise(title), maxTitleColumns)
}

/** Nothing may come after this but the rest of the output: a character that waits to be joined, or to wrap, waits no more after
 *  most sequences. */
function placeCursor({ buffer, modes, cols }: Terminal, tracker: Tracker, endsInCharacter: boolean): string {
  const { cursorX, cursorY, baseY } = buffer.active
  const row = modes.originMode ? Math.max(cursorY - (tracker.active.region?.top ?? 0), 0) : cursorY
  const settings = `${selectCharsets(tracker.charsets)}${takeUp(tracker.pen)}`
  const last = endsInCharacter || cursorX >= cols ? lastCharacter(buffer.active, baseY + cursorY) : null
  if (last === null) return `${settings}${moveTo(Math.min(cursorX, cols - 1), row)}`
  // Written once more in its place. Where characters are inserted, it has to make room for itself.
  const again = `${moveTo(last.column, row)}${modes.insertMode ? `\x1b[${cursorX - last.column}P` : ''}`
  if (endsInCharacter && isSamePen(last.pen, tracker.pen)) return `${settings}${again}${last.text}`
  // What the cell shows may be something else than what the program's charset makes of it.
  return cursorX >= cols ? `${takeUp(last.pen)}${again}${last.text}${settings}` : `${settings}${moveTo(cursorX, row)}`
}

/** What stands left of the cursor; null where nothing does that is a character by itself. */
function lastCharacter(buffer: IBuffer, row: number): { text: string; column: number; pen: Pen } | null {
  const { cursorX } = buffer
  const line = buffer.getLine(row)
  if (line === undefined || cursorX === 0) return null
  let column = cursorX - 1
  let cell = line.getCell(column)
  if (cell?.getWidth() === 0 && cell.getChars() === '' && column > 0) cell = line.getCell(--column)
  if (cell === undefined) return null
  const isLoneMark = cell.getWidth() === 0 && cell.getChars() !== '' && cursorX >= line.length
  if (cell.getWidth() !== cursorX - column && !isLoneMark) return null
  return { text: cell.getChars() || ' ', column, pen: penOf(cell) }
}
