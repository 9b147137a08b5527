// How long to wait before the next attempt: longer each time, and never as long as others who began at the same moment.

const firstMs = 500

export class Backoff {
  readonly #maxMs: number
  #nextMs = firstMs

  constructor(maxMs: number) {
    this.#maxMs = maxMs
  }

  /** @param atLeastMs what the other side asks for */
  next(atLeastMs: number | null): number {
    const ms = Math.min(this.#nextMs, this.#maxMs)
    this.#nextMs = ms * 2
    return Math.max(atLeastMs ?? 0, ms / 2 + (Math.random() * ms) / 2)
  }

  reset(): void {
    this.#nextMs = firstMs
  }
}
