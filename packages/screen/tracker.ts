// What the emulator knows and does not tell: it is heard from the same sequences, before the emulator acts on them. As little as
// another terminal needs to go on in the same way.
// https://invisible-island.net/xterm/ctlseqs/ctlseqs.html; keyboards: https://sw.kovidgoyal.net/kitty/keyboard-protocol/

import type { IBuffer, Terminal } from '@xterm/headless'
import { changePen, type Pen, plainPen } from './pen.ts'

/** Which characters a terminal shows for bytes (ISO 2022): what is designated as G0 to G3, by the final of its sequence, which
 *  of them is in use, and what that comes to: a cursor that is restored brings back only this last. */
export type Charsets = {
  readonly designated: readonly [string, string, string, string]
  readonly level: 0 | 1 | 2 | 3
  readonly current: string
}
export type SavedCursor = {
  readonly column: number
  /** From the top of the scrollback. */
  readonly row: number
  readonly pen: Pen
  readonly charset: string
}
/** Rows from 0, both included. */
export type Region = { readonly top: number; readonly bottom: number }
/** The flags of kitty's keyboard protocol now, and those under them on the stack, the oldest first. */
export type Keyboards = { readonly stack: readonly number[]; readonly flags: number }

/** What the normal and the alternate screen have each of their own. */
export type ScreenState = {
  /** Null for all rows. */
  region: Region | null
  saved: SavedCursor
  tabStops: Set<number>
  keyboards: Keyboards
}

const ascii = 'B'
const plainCharsets: Charsets = { designated: [ascii, ascii, ascii, ascii], level: 0, current: ascii }
const unsaved: SavedCursor = { column: 0, row: 0, pen: plainPen, charset: ascii }
const noKeyboards: Keyboards = { stack: [], flags: 0 }
const maxKeyboards = 32
const maxTitles = 10
const tabWidth = 8

/** Those that the emulator knows, by the finals of their sequences. */
const knownCharsets = ['0', 'A', 'B', '4', 'C', '5', 'R', 'Q', 'K', 'Y', 'E', '6', 'Z', 'H', '7', '=']
const designators = [
  ['(', 0],
  [')', 1],
  ['*', 2],
  ['+', 3],
  ['-', 1],
  ['.', 2],
] as const
const knownMouseEncodings = [1005, 1006, 1015, 1016]
/** In cells and in pixels: one setting, which is taken away as one. */
const sgrEncodings = [1006, 1016]

type Params = (number | number[])[]

export class Tracker {
  pen: Pen = plainPen
  charsets: Charsets = plainCharsets
  isCursorHidden = false
  /** The parameter of DECSCUSR; 0 for the terminal's own. */
  cursorStyle = 0
  /** Null where the program never said (att610, mode 12). */
  cursorBlinks: boolean | null = null
  isReversed = false
  /** How the mouse is reported, in the order of their setting: which of them counts then depends on what a terminal knows. */
  mouseEncodings: readonly number[] = []
  modifyOtherKeys: number | null = null
  /** As it came; null where the program set none. */
  title: string | null = null
  normal: ScreenState
  alternate: ScreenState
  readonly #terminal: Terminal
  readonly #titles: (string | null)[] = []
  readonly #onTitle: () => void

  constructor(terminal: Terminal, onTitle: () => void) {
    this.#terminal = terminal
    this.#onTitle = onTitle
    this.normal = freshScreen(terminal.cols)
    this.alternate = freshScreen(terminal.cols)
    this.#hearModes()
    this.#hearCursor()
    this.#hearCharsets()
    this.#hearKeys()
    this.#hearTitles()
    this.#hearResets()
  }

  get active(): ScreenState {
    return this.#buffer.type === 'normal' ? this.normal : this.alternate
  }

  get #buffer(): IBuffer {
    return this.#terminal.buffer.active
  }

  /** After the emulator was resized. */
  resized(): void {
    const { cols } = this.#terminal
    for (const screen of [this.normal, this.alternate]) {
      screen.region = null
      screen.saved = { ...screen.saved, column: Math.min(screen.saved.column, cols - 1) }
      widenTabStops(screen.tabStops, cols)
    }
  }

  /** SO and SI, which the emulator lets nobody hear. */
  shift(level: 0 | 1): void {
    this.#invoke(level)
  }

  #csi(id: { prefix?: string; intermediates?: string; final: string }, hear: (params: Params) => void): void {
    this.#terminal.parser.registerCsiHandler(id, (params) => {
      hear(params)
      return false
    })
  }

  #esc(id: { intermediates?: string; final: string }, hear: () => void): void {
    this.#terminal.parser.registerEscHandler(id, () => {
      hear()
      return false
    })
  }

  #hearModes(): void {
    for (const [final, isSet] of [
      ['h', true],
      ['l', false],
    ] as const) {
      this.#csi({ prefix: '?', final }, (params) => {
        for (const mode of params) if (typeof mode === 'number') this.#setMode(mode, isSet)
      })
    }
  }

  #setMode(mode: number, isSet: boolean): void {
    if (mode === 5) this.isReversed = isSet
    else if (mode === 12) this.cursorBlinks = isSet
    else if (mode === 25) this.isCursorHidden = !isSet
    else if (mode === 2 && isSet) this.charsets = { ...plainCharsets, level: this.charsets.level }
    else if (knownMouseEncodings.includes(mode)) this.#setMouseEncoding(mode, isSet)
    else if (mode === 1048) isSet ? this.#save() : this.#restore(this.active)
    else if (mode === 1049 && isSet) this.#save()
    else if ((mode === 47 || mode === 1047 || mode === 1049) && !isSet) {
      // The emulator starts the alternate screen anew each time, save for the cursor it keeps.
      if (this.#buffer.type === 'alternate') {
        this.alternate.region = null
        this.alternate.tabStops = defaultTabStops(this.#terminal.cols)
      }
      if (mode === 1049) this.#restore(this.normal)
    }
  }

  #setMouseEncoding(mode: number, isSet: boolean): void {
    const isUnset = (other: number) =>
      other === mode || (!isSet && sgrEncodings.includes(mode) && sgrEncodings.includes(other))
    this.mouseEncodings = this.mouseEncodings.filter((other) => !isUnset(other))
    if (isSet) this.mouseEncodings = [...this.mouseEncodings, mode]
  }

  #hearCursor(): void {
    this.#csi({ final: 'm' }, (params) => {
      this.pen = changePen(this.pen, params)
    })
    this.#csi({ intermediates: ' ', final: 'q' }, ([style]) => {
      if (typeof style === 'number' && style <= 6) this.cursorStyle = style
    })
    this.#csi({ final: 'r' }, ([first, last]) => {
      const { rows } = this.#terminal
      const top = typeof first === 'number' && first > 0 ? first : 1
      const bottom = typeof last === 'number' && last > 0 && last <= rows ? last : rows
      if (bottom > top) this.active.region = top === 1 && bottom === rows ? null : { top: top - 1, bottom: bottom - 1 }
    })
    this.#esc({ final: '7' }, () => this.#save())
    this.#csi({ final: 's' }, () => this.#save())
    this.#esc({ final: '8' }, () => this.#restore(this.active))
    this.#csi({ final: 'u' }, () => this.#restore(this.active))
    this.#esc({ final: 'H' }, () => this.active.tabStops.add(this.#buffer.cursorX))
    this.#csi({ final: 'g' }, ([what]) => {
      if (what === 0) this.active.tabStops.delete(this.#buffer.cursorX)
      else if (what === 3) this.active.tabStops.clear()
    })
  }

  #save(): void {
    const { cursorX, cursorY, baseY } = this.#buffer
    this.active.saved = { column: cursorX, row: baseY + cursorY, pen: this.pen, charset: this.charsets.current }
  }

  #restore({ saved }: ScreenState): void {
    this.pen = saved.pen
    this.charsets = { ...this.charsets, current: saved.charset }
  }

  #hearCharsets(): void {
    for (const [intermediates, level] of designators) {
      for (const final of knownCharsets) {
        this.#esc({ intermediates, final }, () => this.#designate(level, final))
      }
    }
    for (const final of ['@', 'G']) {
      this.#esc({ intermediates: '%', final }, () => {
        this.#invoke(0)
        this.#designate(0, ascii)
      })
    }
    for (const [final, level] of [
      ['n', 2],
      ['o', 3],
      ['|', 3],
      ['}', 2],
      ['~', 1],
    ] as const) {
      this.#esc({ final }, () => this.#invoke(level))
    }
  }

  #designate(level: number, final: string): void {
    const [g0, g1, g2, g3] = this.charsets.designated.map((old, index) => (index === level ? final : old))
    if (g0 === undefined || g1 === undefined || g2 === undefined || g3 === undefined) return
    const current = this.charsets.level === level ? final : this.charsets.current
    this.charsets = { ...this.charsets, designated: [g0, g1, g2, g3], current }
  }

  #invoke(level: 0 | 1 | 2 | 3): void {
    this.charsets = { ...this.charsets, level, current: this.charsets.designated[level] }
  }

  #hearKeys(): void {
    this.#csi({ prefix: '>', final: 'u' }, ([flags]) => {
      const { stack, flags: old } = this.active.keyboards
      this.active.keyboards = { stack: [...stack, old].slice(-maxKeyboards), flags: keyboardFlags(flags) }
    })
    this.#csi({ prefix: '<', final: 'u' }, ([count]) => {
      const { stack } = this.active.keyboards
      const left = stack.length - (typeof count === 'number' && count > 0 ? count : 1)
      this.active.keyboards = left < 0 ? noKeyboards : { stack: stack.slice(0, left), flags: stack[left] ?? 0 }
    })
    this.#csi({ prefix: '=', final: 'u' }, ([flags, how]) => {
      const { stack, flags: old } = this.active.keyboards
      const given = keyboardFlags(flags)
      this.active.keyboards = { stack, flags: how === 2 ? old | given : how === 3 ? old & ~given : given }
    })
    this.#csi({ prefix: '>', final: 'm' }, ([what, value]) => {
      if (what === 4 || what === 0) this.modifyOtherKeys = what === 4 && typeof value === 'number' ? value : null
    })
    this.#csi({ prefix: '>', final: 'n' }, ([what]) => {
      if (what === 4) this.modifyOtherKeys = null
    })
  }

  #hearTitles(): void {
    for (const command of [0, 2]) {
      this.#terminal.parser.registerOscHandler(command, (title) => {
        this.#setTitle(title)
        return true
      })
    }
    // The emulator lets nobody hear what it would not do itself.
    this.#terminal.options.windowOptions = { pushTitle: true, popTitle: true }
    this.#terminal.parser.registerCsiHandler({ final: 't' }, ([what, which]) => {
      if (which === 1) return true
      if (what === 22) {
        this.#titles.push(this.title)
        if (this.#titles.length > maxTitles) this.#titles.shift()
      } else if (what === 23) {
        const title = this.#titles.pop()
        if (title !== undefined) this.#setTitle(title ?? '')
      }
      return true
    })
  }

  #setTitle(title: string): void {
    this.title = title
    this.#onTitle()
  }

  #hearResets(): void {
    this.#csi({ intermediates: '!', final: 'p' }, () => {
      this.pen = plainPen
      this.charsets = plainCharsets
      this.isCursorHidden = false
      this.cursorStyle = 0
      this.active.region = null
      this.active.saved = { ...unsaved, row: this.#buffer.baseY }
    })
    this.#esc({ final: 'c' }, () => {
      this.pen = plainPen
      this.charsets = plainCharsets
      this.isCursorHidden = false
      this.cursorStyle = 0
      this.isReversed = false
      this.mouseEncodings = []
      this.modifyOtherKeys = null
      this.normal = freshScreen(this.#terminal.cols)
      this.alternate = freshScreen(this.#terminal.cols)
    })
  }
}

function keyboardFlags(value: number | number[] | undefined): number {
  return typeof value === 'number' ? value & 0xff : 0
}

function freshScreen(cols: number): ScreenState {
  return { region: null, saved: unsaved, tabStops: defaultTabStops(cols), keyboards: noKeyboards }
}

function defaultTabStops(cols: number): Set<number> {
  const stops = new Set<number>()
  for (let column = 0; column < cols; column += tabWidth) stops.add(column)
  return stops
}

/** Goes on from the last stop in new columns, as the emulator does. */
function widenTabStops(stops: Set<number>, cols: number): void {
  let column = cols
  if (!stops.has(column)) {
    column--
    while (!stops.has(column) && column > 0) column--
  }
  for (; column < cols; column += tabWidth) stops.add(column)
}
