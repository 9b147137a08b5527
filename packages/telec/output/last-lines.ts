/** The last lines of a text that comes in parts; what is before them is not kept. */
export class LastLines {
  readonly #limit: number
  readonly #lines: string[] = ['']

  constructor(limit: number) {
    this.#limit = limit
  }

  add(text: string): void {
    const [first = '', ...others] = text.split('\n')
    this.#lines[this.#lines.length - 1] += first
    this.#lines.push(...others.slice(-this.#limit - 1))
    // The one behind the last newline is none yet.
    this.#lines.splice(0, this.#lines.length - this.#limit - 1)
  }

  /** Each with its newline. */
  take(): string {
    const last = this.#lines.at(-1) ?? ''
    const whole = last === '' ? this.#lines.slice(0, -1) : this.#lines
    return whole
      .slice(-this.#limit)
      .map((line) => `${line}\n`)
      .join('')
  }
}
