// Finds secrets in other text, in a time that does not grow with how many there are.

/** What is shorter is found by chance. */
const minLength = 8

export class Needles {
  /** By their beginning, then by their length. */
  readonly #needles = new Map<string, Map<number, Set<string>>>()

  add(text: string): void {
    if (text.length < minLength) return
    const start = text.slice(0, minLength)
    const lengths = this.#needles.get(start) ?? new Map<number, Set<string>>()
    this.#needles.set(start, lengths)
    const needles = lengths.get(text.length) ?? new Set<string>()
    lengths.set(text.length, needles.add(text))
  }

  areIn(text: string): boolean {
    for (let offset = 0; offset + minLength <= text.length; offset++) {
      for (const [length, needles] of this.#needles.get(text.slice(offset, offset + minLength)) ?? [])
        if (needles.has(text.slice(offset, offset + length))) return true
    }
    return false
  }
}
