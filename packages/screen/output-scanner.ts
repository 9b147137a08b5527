// Reads terminal output ahead of the emulator. It drops what is inside of control strings (OSC, DCS, SOS, PM, APC): links, palettes,
// pictures, which the emulator would keep at some thirty bytes a character, up to ten million characters, walking through
// lists in it. And it knows in the middle of what the output ends, which the emulator does not tell.

const bellCode = 0x07
const cancelCode = 0x18
const substituteCode = 0x1a
const escapeCode = 0x1b
const removeCode = 0x7f
const byteOrderMark = 0xfeff

/** Of a title or a notification that is kept, in characters; longer ones are dropped. */
const maxKept = 4096
/** Of an unfinished sequence that is remembered. Emulators take no more than some thirty parameters. */
const maxSequence = 1024

/** States as in https://vt100.net/emu/dec_ansi_parser, with BEL as a terminator of OSC. */
type State = 'ground' | 'escape' | 'intermediate' | 'csi' | 'osc' | 'string'

export class OutputScanner {
  readonly #keeps: (command: string) => boolean
  #state: State = 'ground'
  /** An escape or control sequence so far, without what is too much of it. */
  #sequence = ''
  /** What is in an OSC so far, or null where it is too long. */
  #command: string | null = ''
  #endsInCharacter = false

  /** `keeps` says of the text of an OSC whether the emulator is to get it: `2;title`. */
  constructor(keeps: (command: string) => boolean = () => false) {
    this.#keeps = keeps
  }

  /** Whether the last that came, before an unfinished sequence, was a character, which the next one may join. */
  get endsInCharacter(): boolean {
    return this.#endsInCharacter
  }

  /** What brings another terminal into the middle of the same sequence or string, so that what follows completes it there. */
  get unfinished(): string {
    switch (this.#state) {
      case 'ground':
        return ''
      case 'osc':
        // A terminal passes over an OSC that it does not know, and this one ends as the long one would.
        return this.#command === null ? '\x1b]99999;' : `\x1b]${this.#command}`
      case 'string':
        // What is left of a picture or a macro does no good: a string that every terminal passes over (SOS).
        return '\x1bX'
      default:
        return this.#sequence
    }
  }

  /** The text without what is in control strings. Their introducers and terminators stay, so that all else keeps its meaning. */
  take(text: string): string {
    let kept = ''
    let from = 0
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at)
      const isC1 = code >= 0x80 && code < 0xa0
      if (this.#state === 'osc' || this.#state === 'string') {
        const ends =
          code === escapeCode ||
          code === cancelCode ||
          code === substituteCode ||
          isC1 ||
          (code === bellCode && this.#state === 'osc')
        if (!ends) continue
        if (this.#state === 'osc') {
          this.#addToCommand(text.slice(from, at))
          if (this.#command !== null && this.#keeps(this.#command)) kept += this.#command
        }
        from = at
        this.#become('ground')
      }
      if (code === escapeCode) this.#become('escape', '\x1b')
      else if (isC1) this.#introduce(code - 0x40)
      else if (this.#state === 'ground') {
        if (code !== removeCode && code !== byteOrderMark) this.#endsInCharacter = code >= 0x20
      } else this.#goOn(code)
      if (this.#state === 'osc' || this.#state === 'string') {
        kept += text.slice(from, at + 1)
        from = at + 1
      }
    }
    if (this.#state === 'string') return kept
    if (this.#state !== 'osc') return kept + text.slice(from)
    this.#addToCommand(text.slice(from))
    return kept
  }

  #become(state: State, sequence = ''): void {
    this.#state = state
    this.#sequence = sequence
    this.#command = ''
    if (state === 'ground') this.#endsInCharacter = false
  }

  #addToCommand(text: string): void {
    if (this.#command === null) return
    this.#command = this.#command.length + text.length > maxKept ? null : this.#command + text
  }

  /** Takes one more character of an escape or control sequence. */
  #goOn(code: number): void {
    const isCancelled = code === cancelCode || code === substituteCode
    // Controls inside of a sequence act at once, and the sequence goes on.
    if (!isCancelled && (code < 0x20 || code === removeCode)) return
    const ends =
      isCancelled || (this.#state === 'csi' ? code >= 0x40 : this.#state === 'intermediate' ? code >= 0x30 : false)
    if (code >= 0xa0) {
      // A character in a sequence ends it, unless that is a broken one, which is passed over up to its end.
      if (this.#state !== 'csi' || isWellFormed(this.#sequence)) this.#become('ground')
    } else if (ends) this.#become('ground')
    else if (this.#state === 'escape' && code >= 0x30) this.#introduce(code)
    else {
      if (this.#state === 'escape') this.#state = 'intermediate'
      if (this.#sequence.length < maxSequence) this.#sequence += String.fromCharCode(code)
    }
  }

  /** After ESC and this character, or after the one C1 control that stands for both (ECMA-48, 5.3). */
  #introduce(code: number): void {
    if (code === 0x5b) this.#become('csi', '\x1b[')
    else if (code === 0x5d) this.#become('osc')
    else if (code === 0x50 || code === 0x58 || code === 0x5e || code === 0x5f) this.#become('string')
    else this.#become('ground')
  }
}

function isWellFormed(sequence: string): boolean {
  return /^.\[[<=>?]?[\d:;]*[ -/]*$/s.test(sequence)
}

/** A filter over text that comes in parts: it drops whatever is inside of control strings. */
export function controlStringFilter(): (text: string) => string {
  const scanner = new OutputScanner()
  return (text) => scanner.take(text)
}
