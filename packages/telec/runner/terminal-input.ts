// What goes into the terminal: what people type, and what commands type. A terminal takes only so much that its program has not
// read; the rest waits here, bounded, and neither kind holds up the other.

import { setTimeout as delay } from 'node:timers/promises'

/** What is typed faster than it is read is lost beyond this much, as it is at a terminal (POSIX, 11.1.5). */
const maxTypedBytes = 64 * 1024
/** The kernel does not say when a terminal takes more, so it is asked again. */
const retryMs = 10

/** How many of the bytes the terminal has taken: 0 where it takes none now, null where there is no terminal any more. */
export type WriteSome = (bytes: Uint8Array) => number | null

export class TerminalInput {
  readonly #writeSome: WriteSome
  #typed: Uint8Array[] = []
  #typedBytes = 0
  #typing = false

  constructor(writeSome: WriteSome) {
    this.#writeSome = writeSome
  }

  /** For what people type. */
  type(bytes: Uint8Array): void {
    if (this.#typedBytes + bytes.length > maxTypedBytes) return
    // The bytes are valid during the call alone.
    this.#typed.push(Uint8Array.from(bytes))
    this.#typedBytes += bytes.length
    if (!this.#typing) void this.#typeAll()
  }

  /** For what a command types, one at a time. Resolves with how much was taken: all, unless `patience` was at its end or the terminal
   *  was gone before that. */
  async write(bytes: Uint8Array, patience: AbortSignal): Promise<number> {
    let taken = 0
    while (taken < bytes.length) {
      const count = this.#writeSome(bytes.subarray(taken))
      if (count === null) return taken
      taken += count
      if (count > 0) continue
      if (patience.aborted) return taken
      await delay(retryMs)
    }
    return taken
  }

  async #typeAll(): Promise<void> {
    this.#typing = true
    for (let bytes = this.#typed.shift(); bytes !== undefined; bytes = this.#typed.shift()) {
      let taken = 0
      while (taken < bytes.length) {
        const count = this.#writeSome(bytes.subarray(taken))
        taken += count ?? bytes.length
        if (count === 0) await delay(retryMs)
      }
      this.#typedBytes -= bytes.length
    }
    this.#typing = false
  }
}
