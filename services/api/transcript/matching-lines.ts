// The lines of a transcript's text in which a text stands. A line can be as long as a program likes: of one, no more is kept than
// what is shown of it.

export type Sought = {
  readonly text: string
  /** As far as Unicode's lower case goes. */
  readonly ignoreCase: boolean
}

export type Match = {
  /** Of the transcript as text, from 1 on. */
  readonly line: number
  /** The line; of a long one, what is around the first place. */
  readonly text: string
}

/** In UTF-16 code units. */
const maxMatchLength = 1000
const lengthBefore = 200
/** What may be in a line that is not over, and is not found in yet. */
const maxHeldLength = 64 * 1024

/** @param pieces of text, cut anywhere */
export async function* findLines(pieces: AsyncIterable<string>, sought: Sought): AsyncGenerator<Match> {
  const finder = new LineFinder(sought)
  for await (const piece of pieces) {
    let from = 0
    for (let to = piece.indexOf('\n'); to !== -1; to = piece.indexOf('\n', from)) {
      finder.add(piece.slice(from, to))
      const match = finder.endLine()
      if (match !== null) yield match
      from = to + 1
    }
    finder.add(piece.slice(from))
  }
  const match = finder.endLine()
  if (match !== null) yield match
}

class LineFinder {
  readonly #sought: string
  readonly #ignoreCase: boolean
  #line = 1
  /** Of this line: around the place where the text is, or its end so far. */
  #held = ''
  #isFound = false

  constructor({ text, ignoreCase }: Sought) {
    this.#ignoreCase = ignoreCase
    this.#sought = this.#fold(text)
  }

  add(part: string): void {
    if (this.#isFound && this.#held.length >= maxMatchLength) return
    this.#held += part
    if (!this.#isFound) this.#find()
    if (this.#isFound) this.#held = this.#held.slice(0, maxMatchLength)
    else if (this.#held.length > maxHeldLength) this.#held = this.#held.slice(-lengthBefore - this.#sought.length)
  }

  endLine(): Match | null {
    const match = this.#isFound ? { line: this.#line, text: this.#held.toWellFormed() } : null
    this.#line += 1
    this.#held = ''
    this.#isFound = false
    return match
  }

  #find(): void {
    const at = this.#fold(this.#held).indexOf(this.#sought)
    if (at === -1) return
    this.#isFound = true
    // A short line is shown whole.
    if (at + this.#sought.length > maxMatchLength) this.#held = this.#held.slice(at - lengthBefore)
  }

  #fold(text: string): string {
    return this.#ignoreCase ? text.toLowerCase() : text
  }
}
