// What a program has switched on in the terminal that shows it, so that a terminal which lets go of it can be left as it was
// found: the program goes on and will not switch it off here. Of no use at a program's end: it is then as without telec.
// Sequences: ECMA-48, and https://invisible-island.net/xterm/ctlseqs/ctlseqs.html; `u`: https://sw.kovidgoyal.net/kitty/keyboard-protocol/

/** Private modes of DEC and xterm, as they are in a terminal that nobody has touched: cursor keys, reverse video, the mouse,
 *  screens beside the main one, focus, pastes in brackets, output held back, notices of dark and light; wrapping, the cursor. */
const usual = new Map<string, 'h' | 'l'>([
  ...'1 5 9 47 1000 1002 1003 1004 1005 1006 1015 1016 1047 1049 2004 2026 2031'
    .split(' ')
    .map((mode) => [mode, 'l'] as const),
  ['7', 'h'],
  ['25', 'h'],
])
/** More than any terminal keeps. */
const maxKeyboards = 1_000
const otherScreens = ['47', '1047', '1049']

const esc = '\x1b'
const sequences = new RegExp(
  [
    `${esc}(?<plain>[c=>])`,
    String.raw`${esc}\[\?(?<modes>[\d;]+)(?<state>[hl])`,
    String.raw`${esc}\[(?<keyboard>[<>])(?<count>\d*)u`,
    String.raw`${esc}\[>4(?:;(?<keys>\d*))?m`,
    String.raw`${esc}\[(?<margins>[\d;]*)r`,
  ].join('|'),
  'g',
)
/** May be the beginning of one of these. */
const unfinished = new RegExp(String.raw`${esc}(?:\[[\d;?<>]{0,32})?$`)

export class LeftOn {
  /** What switches each off, by its name, in the order in which they were switched on. */
  readonly #off = new Map<string, string>()
  #keyboards = 0
  #rest = ''

  /** Of the output that the terminal got, in order, cut anywhere. */
  watch(bytes: Uint8Array): void {
    if (this.#rest === '' && !bytes.includes(esc.charCodeAt(0))) return
    const text = this.#rest + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    for (const { groups } of text.matchAll(sequences)) this.#take(groups ?? {})
    this.#rest = unfinished.exec(text)?.[0] ?? ''
  }

  #take({ plain, modes, state, keyboard, count, keys, margins }: Record<string, string | undefined>): void {
    if (plain === 'c') {
      this.#off.clear()
      this.#keyboards = 0
    } else if (plain !== undefined) this.#switch('keypad', plain === '=', '\x1b>')
    else if (modes !== undefined) {
      for (const mode of modes.split(';')) {
        const expected = usual.get(mode)
        if (expected !== undefined) this.#switch(mode, state !== expected, `\x1b[?${mode}${expected}`)
      }
    } else if (keyboard !== undefined) this.#stackKeyboards(keyboard === '>' ? 1 : -(Number(count) || 1))
    // Taking the margins away moves the cursor.
    else if (margins !== undefined) this.#switch('margins', margins !== '', '\x1b7\x1b[r\x1b8')
    else this.#switch('other keys', keys !== undefined && keys !== '0', '\x1b[>4m')
  }

  #switch(name: string, isOn: boolean, off: string): void {
    this.#off.delete(name)
    if (isOn) this.#off.set(name, off)
  }

  /** Keeps its place in the order: a screen has a stack of its own. */
  #stackKeyboards(change: number): void {
    this.#keyboards = Math.max(0, Math.min(maxKeyboards, this.#keyboards + change))
    if (this.#keyboards > 0) this.#off.set('keyboards', `\x1b[<${this.#keyboards}u`)
    else this.#off.delete('keyboards')
  }

  /** What to send to the terminal, to go on below what is shown. */
  leave(): string {
    const off = [...this.#off.values()].toReversed().join('')
    const isElsewhere = otherScreens.some((mode) => this.#off.has(mode))
    return `${off}\x1b[0m${isElsewhere ? '' : '\r\n\x1b[J'}`
  }
}
