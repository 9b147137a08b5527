// The screen of a running program, kept by its session's runner in its main thread: whoever joins later gets a snapshot of it and
// goes on with the output from there. Output is hostile: it must not hold up the runner, nor get past what a screen can show.

import type { TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise, truncate } from '@teleclaude/core/terminal-text.ts'
import type { Terminal } from '@xterm/headless'
import { OutputScanner } from './output-scanner.ts'
import { drawSnapshot, showTitle } from './snapshot.ts'
import { affordable, openTerminal } from './terminal.ts'
import { Tracker } from './tracker.ts'
import { Utf8Reader } from './utf8.ts'

export type ScreenEvents = {
  /** What a terminal answers to queries of the program. For the program's input, while nobody's terminal is there to answer. */
  readonly reply: (bytes: Buffer) => void
  /** The program wants somebody to look. The text is safe to print; null for a bell. */
  readonly attention: (kind: 'bell' | 'notification', text: string | null) => void
  /** Safe to print, in one line. */
  readonly title: (text: string) => void
}

const defaultScrollback = 10_000
/** What has scrolled off is at most this many cells: wide terminals keep fewer rows. A cell takes 12 bytes. */
const maxScrollbackCells = 4 * 1024 * 1024
const maxNoticeColumns = 200
/** More than a terminal's input queue holds (`MAX_CANON`, termios(3)) would be lost to a real one as well. */
const maxReplyBytes = 4096
/** After so long at a stretch, others have their turn. */
const stretchMs = 2
const maxSlice = 1024
const minSlice = 64

export class Screen {
  readonly #terminal: Terminal
  readonly #tracker: Tracker
  readonly #reader = new Utf8Reader()
  readonly #scanner = new OutputScanner((command) => /^(?:0|2|9|777);/.test(command))
  readonly #events: ScreenEvents
  readonly #scrollback: number
  #sliceLength = maxSlice
  /** Since when this has held up others; null where it has not, in this turn of theirs. */
  #heldSinceMs: number | null = null
  #isDisposed = false
  /** Settles when all that was asked for before is done. */
  #done: Promise<void> = Promise.resolve()
  /** Written and not begun with. */
  readonly #waiting: Uint8Array[] = []
  /** What is left of the write under way. */
  #rest = ''
  #replies = ''
  #bell = false
  #notice: string | null = null
  #hasNewTitle = false

  /** `scrollback` is in rows. */
  constructor(
    size: TerminalSize,
    { scrollback = defaultScrollback, events }: { readonly scrollback?: number; readonly events: ScreenEvents },
  ) {
    this.#events = events
    this.#scrollback = scrollback
    this.#terminal = openTerminal(size, { scrollback: this.#affordableScrollback(size) })
    this.#tracker = new Tracker(this.#terminal, () => {
      this.#hasNewTitle = true
    })
    this.#terminal.onBell(() => {
      this.#bell = true
    })
    this.#terminal.onData((reply) => {
      if (this.#replies.length + reply.length <= maxReplyBytes) this.#replies += reply
    })
    this.#hearNotices()
  }

  get bracketedPaste(): boolean {
    return this.#terminal.modes.bracketedPasteMode
  }

  /** How many line feeds it takes for all that a screen keeps to scroll out. Of plain output (plain-run.ts) that is followed by so many
   *  of the same kind after a CR, the styles are enough. Null where it is not sure: margins, the other screen, half a sequence or character. */
  get linesToScrollOut(): number | null {
    const isBetween = this.#rest === '' && this.#waiting.length === 0 && this.#reader.unfinished.length === 0
    const isPlain = this.#terminal.buffer.active.type === 'normal' && this.#tracker.normal.region === null
    if (!isBetween || !isPlain || this.#scanner.unfinished !== '') return null
    return (this.#terminal.options.scrollback ?? 0) + 2 * this.#terminal.rows
  }

  /** Resolves when the screen shows it. Events of one write come at its end, the last of each kind. Rejects where the emulator
   *  failed, now or before: what the screen shows is not to be relied on then. */
  write(bytes: Uint8Array): Promise<void> {
    this.#waiting.push(bytes)
    return this.#queue(() => this.#take(this.#waiting.shift() ?? bytes))
  }

  /** Takes effect after what was written before. */
  resize(size: TerminalSize): void {
    const resized = this.#queue(() => {
      const { cols, rows } = affordable(size)
      const scrollback = this.#affordableScrollback(size)
      // Setting it resets margins, also where it is the same.
      if (scrollback !== this.#terminal.options.scrollback) this.#terminal.options.scrollback = scrollback
      this.#terminal.resize(cols, rows)
      this.#tracker.resized()
    })
    // A screen that failed says so to whoever writes to it next.
    resized.catch(() => undefined)
  }

  /** Bytes that bring any terminal of this size to this state, with all that was written before this call: output after it goes
   *  on from there. (A resize that waits for writes is not in it.) */
  snapshot({ clearScrollback = true }: { readonly clearScrollback?: boolean } = {}): Buffer {
    const { endsInCharacter, unfinished } = this.#scanner
    const text = drawSnapshot(this.#terminal, this.#tracker, { clearScrollback, endsInCharacter })
    return Buffer.concat([Buffer.from(text + unfinished + this.#rest), this.#reader.unfinished, ...this.#waiting])
  }

  /** Nothing is heard of it any more, and what is under way is dropped. */
  dispose(): void {
    this.#isDisposed = true
    this.#terminal.dispose()
  }

  #queue(job: () => Promise<void> | void): Promise<void> {
    this.#done = this.#done.then(() => (this.#isDisposed ? undefined : job()))
    return this.#done
  }

  async #take(bytes: Uint8Array): Promise<void> {
    this.#rest = this.#reader.read(bytes)
    while (this.#rest !== '') {
      const nowMs = performance.now()
      if (this.#heldSinceMs !== null && nowMs - this.#heldSinceMs >= stretchMs) await this.#letOthers()
      if (this.#isDisposed) return
      const parsed = this.#parse(this.#cutSlice())
      if (parsed !== undefined) await parsed
    }
    this.#tell()
  }

  #cutSlice(): string {
    // Not between the halves of a character: the rest may go elsewhere.
    const isHalf = /[\ud800-\udbff]/.test(this.#rest.charAt(this.#sliceLength - 1))
    const end = this.#sliceLength + (isHalf ? 1 : 0)
    const slice = this.#rest.slice(0, end)
    this.#rest = this.#rest.slice(end)
    return slice
  }

  #letOthers(): Promise<void> {
    this.#heldSinceMs = null
    return new Promise((resolve) => setImmediate(resolve))
  }

  /** Some sequences cost a thousand times what a character does. */
  #adapt(tookMs: number): void {
    if (tookMs > stretchMs / 2) {
      this.#sliceLength = Math.max(minSlice, Math.floor((this.#sliceLength * stretchMs) / (4 * tookMs)))
    } else if (tookMs < stretchMs / 8) this.#sliceLength = Math.min(maxSlice, this.#sliceLength * 2)
  }

  /** All at once, so that nobody finds the scanner and the emulator at different places. */
  #parse(slice: string): Promise<void> | undefined {
    const startedMs = performance.now()
    if (this.#heldSinceMs === null) {
      this.#heldSinceMs = startedMs
      setImmediate(() => {
        this.#heldSinceMs = null
      })
    }
    // C1 controls and their two-character forms are the same to everybody; of tab stops only the latter is heard.
    const text = this.#scanner.take(slice).replaceAll('\x88', '\x1bH')
    let parsed: Promise<void> | undefined
    for (let from = 0; from < text.length; ) {
      const shift = nextShift(text, from)
      parsed = this.#feed(text.slice(from, shift + 1))
      if (shift < text.length) this.#tracker.shift(text.charCodeAt(shift) === 0x0e ? 1 : 0)
      from = shift + 1
    }
    this.#adapt(performance.now() - startedMs)
    return parsed
  }

  /** The emulator takes at once what follows on user input, and else waits for a timer of a millisecond. */
  #feed(text: string): Promise<void> | undefined {
    let isParsed = false
    let resolve: (() => void) | undefined
    this.#terminal.input('', true)
    this.#terminal.write(text, () => {
      isParsed = true
      resolve?.()
    })
    return isParsed ? undefined : new Promise((settle) => (resolve = settle))
  }

  #hearNotices(): void {
    const { parser } = this.#terminal
    parser.registerOscHandler(9, (text) => {
      // Numbers are ConEmu's commands: progress is 4, the working directory 9.
      if (!/^(?:[1-9]|1[0-2])(?:;|$)/.test(text)) this.#notice = text
      return true
    })
    parser.registerOscHandler(777, (text) => {
      const [command, title = '', ...body] = text.split(';')
      if (command === 'notify') this.#notice = [title, body.join(';')].filter((part) => part !== '').join(': ')
      return true
    })
  }

  #tell(): void {
    const { reply, attention, title } = this.#events
    const [replies, notice, bell, hasNewTitle] = [this.#replies, this.#notice, this.#bell, this.#hasNewTitle]
    this.#replies = ''
    this.#bell = false
    this.#notice = null
    this.#hasNewTitle = false
    if (replies !== '') reply(Buffer.from(replies))
    if (hasNewTitle) title(showTitle(this.#tracker.title ?? ''))
    if (bell) attention('bell', null)
    if (notice !== null) attention('notification', truncate(neutralise(notice), maxNoticeColumns))
  }

  #affordableScrollback(size: TerminalSize): number {
    return Math.min(this.#scrollback, Math.floor(maxScrollbackCells / affordable(size).cols))
  }
}

/** Where the next SO or SI is, or the end. */
function nextShift(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x0e || code === 0x0f) return at
  }
  return text.length
}
