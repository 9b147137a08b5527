// Who may render at the same time. A turn is held until its job ends; where others wait, it is taken from a reader that takes nothing.
// Nobody has all turns, and who has fewer comes before who has more.

export type RenderSlot = Disposable & {
  /** Aborted when the turn was taken away. */
  readonly revoked: AbortSignal
  /** The reader was given something and has yet to ask for more. */
  readerPaused(): void
  readerBack(): void
}

type Holder = { readonly uid: number; readonly revoke: AbortController; pausedAtMs: number | null }
type Waiter = { readonly uid: number; readonly admit: (holder: Holder | null) => void }

export class RenderSlots {
  readonly #jobs: number
  readonly #stallMs: number
  readonly #holders = new Set<Holder>()
  readonly #waiters = new Set<Waiter>()
  #watch: NodeJS.Timeout | undefined

  constructor({ jobs, stallMs }: { readonly jobs: number; readonly stallMs: number }) {
    this.#jobs = jobs
    this.#stallMs = stallMs
  }

  /** Resolves when it is the turn of that user, in order of their asking; with null where the job was abandoned before. */
  async take(uid: number, abandoned: AbortSignal): Promise<RenderSlot | null> {
    const { promise, resolve } = Promise.withResolvers<Holder | null>()
    const waiter: Waiter = { uid, admit: resolve }
    this.#waiters.add(waiter)
    const leave = () => {
      this.#waiters.delete(waiter)
      resolve(null)
    }
    abandoned.addEventListener('abort', leave, { once: true })
    this.#admit()
    const holder = await promise
    abandoned.removeEventListener('abort', leave)
    if (holder === null) return null
    return {
      revoked: holder.revoke.signal,
      readerPaused: () => {
        holder.pausedAtMs = performance.now()
      },
      readerBack: () => {
        holder.pausedAtMs = null
      },
      [Symbol.dispose]: () => this.#release(holder),
    }
  }

  #release(holder: Holder): void {
    if (this.#holders.delete(holder)) this.#admit()
  }

  #admit(): void {
    for (let waiter = this.#next(); waiter !== null; waiter = this.#next()) {
      const holder: Holder = { uid: waiter.uid, revoke: new AbortController(), pausedAtMs: null }
      this.#holders.add(holder)
      this.#waiters.delete(waiter)
      waiter.admit(holder)
    }
    clearTimeout(this.#watch)
    if (this.#waiters.size > 0) this.#watch = setTimeout(() => this.#revokeStalled(), this.#stallMs / 10)
  }

  #next(): Waiter | null {
    if (this.#holders.size >= this.#jobs) return null
    // One is left for somebody else.
    let fewest = Math.max(1, this.#jobs - 1)
    let next: Waiter | null = null
    for (const waiter of this.#waiters) {
      const held = [...this.#holders].filter(({ uid }) => uid === waiter.uid).length
      if (held >= fewest) continue
      fewest = held
      next = waiter
    }
    return next
  }

  #revokeStalled(): void {
    const stalled = [...this.#holders].find(
      ({ pausedAtMs }) => pausedAtMs !== null && performance.now() - pausedAtMs > this.#stallMs,
    )
    if (stalled !== undefined) {
      this.#holders.delete(stalled)
      stalled.revoke.abort()
    }
    this.#admit()
  }
}
