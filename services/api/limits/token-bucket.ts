// So many tokens a second, and after a pause those of two seconds at once. Who takes more than there are waits, or is in debt.
// Kept as one number, the moment at which everything that was taken is earned back (GCRA: ITU-T I.371, annex A).

/** What a full bucket holds, in time. */
export const burstMs = 2_000
/** What was taken beyond that is forgiven: nobody is shut out for longer. */
export const maxDebtMs = 10_000

export class TokenBucket {
  #earnedBackMs = Number.NEGATIVE_INFINITY

  /** How long until there is a token. */
  waitMs(perSecond: number, nowMs: number): number {
    return Math.max(0, this.#earnedBackMs - nowMs - (burstMs - 1_000 / perSecond))
  }

  /** Takes tokens, whether they are there or not. */
  take(tokens: number, perSecond: number, nowMs: number): void {
    const earnedBackMs = Math.max(this.#earnedBackMs, nowMs) + (tokens * 1_000) / perSecond
    this.#earnedBackMs = Math.min(earnedBackMs, nowMs + burstMs + maxDebtMs)
  }

  isFull(nowMs: number): boolean {
    return this.#earnedBackMs <= nowMs
  }
}
