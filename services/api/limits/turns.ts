/** One after the other for each key. Those of different keys do not wait for each other. */
export class Turns<Key> {
  /** Settled when everything that was asked for before is. */
  readonly #last = new Map<Key, Promise<void>>()

  run<Result>(key: Key, work: () => Promise<Result>): Promise<Result> {
    const done = (this.#last.get(key) ?? Promise.resolve()).then(work)
    const turn: Promise<void> = done.then(
      () => this.#forget(key, turn),
      () => this.#forget(key, turn),
    )
    this.#last.set(key, turn)
    return done
  }

  #forget(key: Key, turn: Promise<void>): void {
    if (this.#last.get(key) === turn) this.#last.delete(key)
  }
}
