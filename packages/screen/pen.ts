// How text is written: its colours and attributes, as the parameters that a terminal is told them by (SGR).
// https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, "Character Attributes (SGR)".

import type { IBufferCell } from '@xterm/headless'

export type Pen = {
  /** Parameters: '31', '38;5;200', '38;2;1;2;3'; '' for the terminal's own. */
  readonly foreground: string
  readonly background: string
  readonly bold: boolean
  readonly dim: boolean
  readonly italic: boolean
  readonly blink: boolean
  readonly inverse: boolean
  readonly invisible: boolean
  readonly struck: boolean
  readonly overlined: boolean
  /** 0 for none, then single, double, curly, dotted, dashed. */
  readonly underline: number
  /** Parameter: '58:5:200', '58:2::1:2:3'; '' for that of the text. */
  readonly underlineColour: string
}

export const plainPen: Pen = {
  foreground: '',
  background: '',
  bold: false,
  dim: false,
  italic: false,
  blink: false,
  inverse: false,
  invisible: false,
  struck: false,
  overlined: false,
  underline: 0,
  underlineColour: '',
}

/** The sequence that takes this pen up, whatever the pen before. */
export function takeUp(pen: Pen): string {
  const parts: string[] = []
  if (pen.bold) parts.push('1')
  if (pen.dim) parts.push('2')
  if (pen.italic) parts.push('3')
  if (pen.underline === 1) parts.push('4')
  else if (pen.underline > 1) parts.push(`4:${pen.underline}`)
  if (pen.blink) parts.push('5')
  if (pen.inverse) parts.push('7')
  if (pen.invisible) parts.push('8')
  if (pen.struck) parts.push('9')
  if (pen.overlined) parts.push('53')
  if (pen.foreground !== '') parts.push(pen.foreground)
  if (pen.background !== '') parts.push(pen.background)
  if (pen.underlineColour !== '') parts.push(pen.underlineColour)
  return parts.length === 0 ? '\x1b[m' : `\x1b[0;${parts.join(';')}m`
}

/** Whether what they write looks the same. */
export function isSamePen(one: Pen, other: Pen): boolean {
  return takeUp(withoutUnseen(one)) === takeUp(withoutUnseen(other))
}

function withoutUnseen(pen: Pen): Pen {
  return pen.underline === 0 ? { ...pen, underlineColour: '' } : pen
}

// The emulator's marks of where a colour is from. That of 16 stays apart from that of 256: some terminals brighten it when bold.
const colourOf16 = 0x1000000
const colourOf256 = 0x2000000
const colourOf24Bits = 0x3000000

function colour(mode: number, value: number, base: 30 | 40): string {
  if (mode === colourOf16) return String(value < 8 ? base + value : base + 60 + value - 8)
  if (mode === colourOf256) return `${base + 8};5;${value}`
  return mode === colourOf24Bits ? `${base + 8};2;${(value >> 16) & 0xff};${(value >> 8) & 0xff};${value & 0xff}` : ''
}

/** What a cell of the emulator has beside what its types say of it. */
type UnderlinedCell = IBufferCell & {
  getUnderlineStyle(): number
  getUnderlineColorMode(): number
  getUnderlineColor(): number
}

function tellsUnderline(cell: IBufferCell): cell is UnderlinedCell {
  return 'getUnderlineStyle' in cell && 'getUnderlineColorMode' in cell && 'getUnderlineColor' in cell
}

function underlineStyle(cell: IBufferCell): number {
  if (!cell.isUnderline()) return 0
  return tellsUnderline(cell) ? cell.getUnderlineStyle() : 1
}

function underlineColour(cell: IBufferCell): string {
  if (!tellsUnderline(cell) || !cell.isUnderline()) return ''
  const mode = cell.getUnderlineColorMode()
  const value = cell.getUnderlineColor()
  // Where it has none of its own, the emulator tells that of the text.
  if (mode === cell.getFgColorMode() && value === cell.getFgColor()) return ''
  if (mode === colourOf256) return `58:5:${value}`
  // White is how the emulator remembers that the colour was taken away again (SGR 59).
  if (mode !== colourOf24Bits || value === 0xffffff) return ''
  return `58:2::${(value >> 16) & 0xff}:${(value >> 8) & 0xff}:${value & 0xff}`
}

export function penOf(cell: IBufferCell): Pen {
  if (cell.isAttributeDefault()) return plainPen
  return {
    foreground: colour(cell.getFgColorMode(), cell.getFgColor(), 30),
    background: colour(cell.getBgColorMode(), cell.getBgColor(), 40),
    bold: cell.isBold() !== 0,
    dim: cell.isDim() !== 0,
    italic: cell.isItalic() !== 0,
    blink: cell.isBlink() !== 0,
    inverse: cell.isInverse() !== 0,
    invisible: cell.isInvisible() !== 0,
    struck: cell.isStrikethrough() !== 0,
    overlined: cell.isOverline() !== 0,
    underline: underlineStyle(cell),
    underlineColour: underlineColour(cell),
  }
}

/** Whether two cells were written with the same pen; far cheaper than `penOf` of both. */
export function isSameStyle(one: IBufferCell, other: IBufferCell): boolean {
  if (one.isAttributeDefault() && other.isAttributeDefault()) return true
  return (
    one.getFgColorMode() === other.getFgColorMode() &&
    one.getFgColor() === other.getFgColor() &&
    hasSameBackground(one, other) &&
    one.isBold() === other.isBold() &&
    one.isDim() === other.isDim() &&
    one.isItalic() === other.isItalic() &&
    one.isBlink() === other.isBlink() &&
    one.isInverse() === other.isInverse() &&
    one.isInvisible() === other.isInvisible() &&
    one.isStrikethrough() === other.isStrikethrough() &&
    one.isOverline() === other.isOverline() &&
    underlineStyle(one) === underlineStyle(other) &&
    underlineColour(one) === underlineColour(other)
  )
}

export function hasSameBackground(one: IBufferCell, other: IBufferCell): boolean {
  return one.getBgColorMode() === other.getBgColorMode() && one.getBgColor() === other.getBgColor()
}

/** Whether nothing but the background was set: what erasing leaves. */
export function hasOnlyBackground(cell: IBufferCell): boolean {
  return (
    cell.isAttributeDefault() ||
    (cell.isFgDefault() &&
      !cell.isBold() &&
      !cell.isDim() &&
      !cell.isItalic() &&
      !cell.isUnderline() &&
      !cell.isBlink() &&
      !cell.isInverse() &&
      !cell.isInvisible() &&
      !cell.isStrikethrough() &&
      !cell.isOverline())
  )
}

type Draft = { -readonly [Key in keyof Pen]: Pen[Key] }
type Parameter = { readonly value: number; readonly sub: readonly number[] | undefined }

/** The pen after an SGR, with its parameters as the emulator gives them: those after a colon as a list of their own. */
export function changePen(pen: Pen, params: readonly (number | number[])[]): Pen {
  const list: Parameter[] = []
  for (const [index, value] of params.entries()) {
    if (typeof value !== 'number') continue
    const next = params[index + 1]
    list.push({ value, sub: typeof next === 'number' ? undefined : next })
  }
  if (list.length === 1 && list[0]?.value === 0) return plainPen
  let draft: Draft = { ...pen }
  for (let at = 0; at < list.length; at++) {
    const value = list[at]?.value ?? 0
    if (value === 0) draft = { ...plainPen }
    else if (value === 38 || value === 48 || value === 58) at += changeColour(draft, list, at)
    else changeAttribute(draft, value, list[at]?.sub?.[0])
  }
  return draft
}

function changeAttribute(draft: Draft, value: number, style: number | undefined): void {
  if ((value >= 30 && value <= 37) || (value >= 90 && value <= 97)) draft.foreground = String(value)
  else if ((value >= 40 && value <= 47) || (value >= 100 && value <= 107)) draft.background = String(value)
  else if (value === 1) draft.bold = true
  else if (value === 2) draft.dim = true
  else if (value === 3) draft.italic = true
  else if (value === 4) draft.underline = style === undefined ? 1 : style < 0 || style > 5 ? 1 : style
  else if (value === 5) draft.blink = true
  else if (value === 7) draft.inverse = true
  else if (value === 8) draft.invisible = true
  else if (value === 9) draft.struck = true
  else if (value === 21) draft.underline = 2
  else if (value === 22) {
    draft.bold = false
    draft.dim = false
  } else if (value === 23) draft.italic = false
  else if (value === 24) draft.underline = 0
  else if (value === 25) draft.blink = false
  else if (value === 27) draft.inverse = false
  else if (value === 28) draft.invisible = false
  else if (value === 29) draft.struck = false
  else if (value === 39) draft.foreground = ''
  else if (value === 49) draft.background = ''
  else if (value === 53) draft.overlined = true
  else if (value === 55) draft.overlined = false
  else if (value === 59) draft.underlineColour = ''
}

/** Reads a colour in any of its spellings (`38;5;n`, `38:5:n`, `38;2;r;g;b`, `38:2::r:g:b`, mixed) as the emulator does, and
 *  returns how many more parameters it took. */
function changeColour(draft: Draft, list: readonly Parameter[], at: number): number {
  // Target, kind, colour space (nobody sends one, some leave room for it), values.
  const slots = [0, 0, -1, 0, 0, 0]
  let room = 0
  let taken = 0
  do {
    slots[taken + room] = list[at + taken]?.value ?? 0
    const sub = list[at + taken]?.sub
    if (sub !== undefined) {
      for (let index = 0; index < sub.length && index + taken + 1 + room < slots.length; index++) {
        if (slots[1] === 5) room = 1
        slots[taken + index + 1 + room] = sub[index] ?? 0
      }
      break
    }
    if ((slots[1] === 5 && taken + room >= 2) || (slots[1] === 2 && taken + room >= 5)) break
    if (slots[1]) room = 1
    taken++
  } while (taken + at < list.length && taken + room < slots.length)
  const [target, kind, , ...values] = slots
  const [first = 0, second = 0, third = 0] = values.map((value) => Math.max(value, 0) & 0xff)
  const isOf256 = kind === 5
  if (!isOf256 && kind !== 2) return taken
  if (target === 58) draft.underlineColour = isOf256 ? `58:5:${first}` : `58:2::${first}:${second}:${third}`
  else {
    const text = isOf256 ? `${target};5;${first}` : `${target};2;${first};${second};${third}`
    if (target === 38) draft.foreground = text
    else draft.background = text
  }
  return taken
}
