// Wakes a loop up: rings that come while it is busy are one ring when it next waits.

export class Bell {
  #next = Promise.withResolvers<void>()

  ring(): void {
    this.#next.resolve()
  }

  /** Resolves at the next ring, or at once where it has rung since the last one. */
  async rung(): Promise<void> {
    await this.#next.promise
    this.#next = Promise.withResolvers<void>()
  }
}
