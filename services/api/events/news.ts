// Wakes those who wait for events. A hint of the database can get lost, so everybody looks now and then without one.

import { Turns } from '../limits/turns.ts'

/** Without any hint. */
const sweepMs = 5_000
/** Many changes at once are one piece of news. */
const gatherMs = 50

export class News {
  #next = Promise.withResolvers<void>()
  #gathering: NodeJS.Timeout | undefined
  readonly #turns = new Turns<number>()
  readonly #sweep = setInterval(() => this.#wake(), sweepMs)

  /** Something may have happened. */
  hint(): void {
    this.#gathering ??= setTimeout(() => this.#wake(), gatherMs)
  }

  /** Resolves when it is worth looking: soon after a hint, and every few seconds. */
  next(): Promise<void> {
    return this.#next.promise
  }

  /** One look at the database at a time for each user, however many streams they have. */
  inTurn<Result>(uid: number, look: () => Promise<Result>): Promise<Result> {
    return this.#turns.run(uid, look)
  }

  stop(): void {
    clearInterval(this.#sweep)
    this.#wake()
  }

  #wake(): void {
    clearTimeout(this.#gathering)
    this.#gathering = undefined
    const { resolve } = this.#next
    this.#next = Promise.withResolvers<void>()
    resolve()
  }
}
