// The emulator that every screen here is kept in. What it is fed is hostile: nothing may cost it more memory or time than the
// length of the input accounts for.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import { codePointWidth } from '@teleclaude/core/terminal-text.ts'
import headless, { type Terminal } from '@xterm/headless'

/** A screen has at most this many cells; a terminal that claims more has fewer rows here. A cell takes 12 bytes. */
const maxScreenCells = 1024 * 1024

/** `scrollback` is in rows. What it is fed has to go through `controlStringFilter` or `OutputScanner` before. */
export function openTerminal(size: TerminalSize, { scrollback }: { readonly scrollback: number }): Terminal {
  const terminal = new headless.Terminal({ ...affordable(size), scrollback, allowProposedApi: true, logLevel: 'off' })
  terminal.unicode.register(currentWidths())
  terminal.unicode.activeVersion = 'current'
  guard(terminal)
  return terminal
}

/** The size that a terminal gets here which says it has this one. */
export function affordable({ cols, rows }: TerminalSize): TerminalSize {
  const width = Math.min(Math.max(cols, 2), maxScreenCells)
  return { cols: width, rows: Math.max(1, Math.min(rows, Math.floor(maxScreenCells / width))) }
}

/** Counts are loops in the emulator. Past the size of the screen they mean nothing more, and no program sends them. */
export function isCostly(count: number, { cols, rows }: TerminalSize): boolean {
  return count > Math.max(cols, rows)
}

/** The handlers of others are asked before these, which only take what the emulator must not get. */
function guard(terminal: Terminal): void {
  const { parser } = terminal
  for (const final of ['S', 'T', 'L', 'M', 'I', 'Z', 'b']) {
    parser.registerCsiHandler({ final }, ([count]) => typeof count === 'number' && isCostly(count, terminal))
  }
  // Fills the screen with a few bytes (DECALN), which only test programs want.
  parser.registerEscHandler({ intermediates: '#', final: '8' }, () => true)
  // The emulator trips over an erasure up to the very last cell while nothing has scrolled off yet.
  const erasesToTheEnd = ([what]: (number | number[])[]): boolean => {
    const { cursorX, cursorY, baseY } = terminal.buffer.active
    return what === 1 && baseY === 0 && cursorY === terminal.rows - 1 && cursorX >= terminal.cols - 1
  }
  parser.registerCsiHandler({ final: 'J' }, erasesToTheEnd)
  parser.registerCsiHandler({ prefix: '?', final: 'J' }, erasesToTheEnd)
}

/** Of each code point, its width and one; 0 where that is not known yet, so that the pages nobody asks for take no memory. */
const knownWidths = new Uint8Array(0x110000)

function wcwidth(codePoint: number): 0 | 1 | 2 {
  const known = knownWidths[codePoint]
  if (known === 1) return 0
  if (known === 2) return 1
  if (known === 3) return 2
  const width = codePointWidth(codePoint)
  knownWidths[codePoint] = width + 1
  return width
}

/** Widths of today's Unicode instead of the emulator's own of version 6. */
function currentWidths() {
  // As the emulator packs them: bit 0 joins the character before, bits 1 and 2 are the width, the rest is ours: marks so far.
  const maxMarks = 30
  const charProperties = (codePoint: number, preceding: number): number => {
    if (codePoint >= 0x20 && codePoint < 0x7f) return 1 << 1
    const width = wcwidth(codePoint)
    const precedingWidth = (preceding >> 1) & 3
    const marks = (preceding >> 3) + 1
    // A cell that took all marks that come would grow without end.
    if (width !== 0 || precedingWidth === 0 || marks > maxMarks) return width << 1
    return (marks << 3) | (precedingWidth << 1) | 1
  }
  return { version: 'current', wcwidth, charProperties }
}
