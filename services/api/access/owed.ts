// What has happened already and has yet to be put down: it is tried until it is, however long the database is away.

import { setTimeout as delay } from 'node:timers/promises'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'

const retryMs = 1_000

export class Owed {
  readonly #log: Logger
  readonly #underWay = new Set<Promise<void>>()
  readonly #closing = new AbortController()

  constructor(log: Logger) {
    this.#log = log
  }

  /** `work` is done again from its beginning: what of it is done already is for it to know. */
  add(what: string, work: () => Promise<void>): void {
    const done = this.#do(what, work).finally(() => this.#underWay.delete(done))
    this.#underWay.add(done)
  }

  /** Resolves once all of it is put down, or given up: from now on each is tried once more at most. */
  async settle(patienceMs: number): Promise<void> {
    this.#closing.abort()
    const late = delay(patienceMs, 'late' as const, { ref: false })
    while (this.#underWay.size > 0) {
      if ((await Promise.race([Promise.all(this.#underWay), late])) === 'late') return
    }
  }

  async #do(what: string, work: () => Promise<void>): Promise<void> {
    for (;;) {
      // Asked before: what fails after the end has had its last try.
      const isLast = this.#closing.signal.aborted
      try {
        await work()
        return
      } catch (error) {
        if (!(error instanceof StoreError)) {
          this.#log.error({ err: error }, `could not put down ${what}`)
          return
        }
        if (isLast) {
          this.#log.warn({ err: error }, `could not put down ${what}`)
          return
        }
      }
      await delay(retryMs, undefined, { ref: false, signal: this.#closing.signal }).catch(() => undefined)
    }
  }
}
