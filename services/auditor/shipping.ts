// One sink's way through the log: from its cursor on, as far as the log was checked, in a loop of its own that no other sink stops.
// The cursor moves after the sink has confirmed, never before.

import { setTimeout as wait } from 'node:timers/promises'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { InstanceLock, Store } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { AuditAlarm } from './alarm.ts'
import { Backoff } from './backoff.ts'
import { Bell } from './bell.ts'
import { deliverAll, type Progress } from './delivery.ts'
import { isPassing } from './passing.ts'
import { type Sink, SinkError } from './sink.ts'
import type { VerifiedLog } from './verified-log.ts'

export type ShippingOptions = {
  readonly sink: Sink
  readonly store: Store
  readonly lock: InstanceLock
  readonly log: VerifiedLog
  readonly logger: Logger
  /** After a log was accepted in the place of another: a sink that has no more than `until` gets what comes after `from` again. */
  readonly resend: { readonly from: number; readonly until: number } | null
  readonly startAfter: number
}

/** By then the first attempt should be over. */
const firstAttemptMs = 5000

export type ShippingState =
  | { readonly state: 'shipping' }
  | { readonly state: 'waiting'; readonly why: Error }
  | { readonly state: 'alarm'; readonly why: AuditAlarm }

export class Shipping {
  readonly #options: ShippingOptions
  readonly #bell = new Bell()
  /** As the database has it; null while nobody has asked. */
  #cursor: number | null = null
  #state: ShippingState | null = null
  readonly #beganMs = performance.now()

  constructor(options: ShippingOptions) {
    this.#options = options
  }

  get name(): string {
    return this.#options.sink.name
  }

  /** Null while the first attempt is under way. */
  get state(): ShippingState | null {
    if (this.#state !== null || performance.now() - this.#beganMs < firstAttemptMs) return this.#state
    return { state: 'waiting', why: new SinkError(this.name, 'it has not answered yet', null) }
  }

  /** There may be something to ship, or to mend. */
  look(): void {
    this.#bell.ring()
  }

  /** Until `stop` is aborted.
   *  @param onChange called when its state is another one
   *  @throws what no waiting mends */
  async run(stop: AbortSignal, onChange: () => void): Promise<void> {
    const { sink } = this.#options
    stop.addEventListener('abort', () => this.look())
    const backoff = new Backoff(sink.maxPauseMs)
    while (!stop.aborted) {
      try {
        const shipped = await this.shipBatch(stop)
        if (this.#become({ state: 'shipping' })) onChange()
        backoff.reset()
        if (shipped === 0) await this.#bell.rung()
      } catch (error) {
        if (stop.aborted) return
        if (this.#become(stateAfter(error))) onChange()
        const atLeastMs = error instanceof SinkError ? error.retryAfterMs : null
        await wait(backoff.next(atLeastMs), undefined, { signal: stop }).catch(() => null)
      }
    }
  }

  /** Ships up to one batch.
   *  @returns how many entries that were; 0 says that the sink has everything that was checked
   *  @throws AuditAlarm; StoreError; SinkError where the sink does not take it now */
  async shipBatch(stop: AbortSignal): Promise<number> {
    const { sink, store, lock, log } = this.#options
    this.#cursor ??= this.#beginAt(await store.audit.readCursor(log.host, sink.name))
    const from = sink.position === undefined ? this.#cursor : await sink.position(this.#cursor)
    // The sink has it, and nobody wrote that down.
    if (from > this.#cursor && from <= log.size) await this.#progress({ throughSeq: from, refusals: [] })
    const batch = await log.read(store.audit, from, sink.limit)
    if (batch.length === 0) return 0
    // The store asks for itself; a sink can't.
    lock.requireHeld()
    const failure = await deliverAll(sink, batch, stop, (progress) => this.#progress(progress))
    if (failure !== null) throw new SinkError(sink.name, failure.reason, failure.retryAfterMs)
    return batch.length
  }

  /** What the database says never goes back. */
  #beginAt(cursor: number): number {
    const { resend, startAfter } = this.#options
    const begin = resend !== null && cursor <= resend.until ? Math.min(cursor, resend.from) : cursor
    return Math.max(begin, startAfter)
  }

  async #progress({ throughSeq, refusals }: Progress): Promise<void> {
    const { sink, store, log, logger } = this.#options
    if (refusals.length === 0) await store.audit.moveCursor(log.host, sink.name, throughSeq)
    else {
      await store.auditor.park(log.host, sink.name, refusals, throughSeq, nowUs())
      for (const { seq, reason } of refusals)
        logger.error({ sink: sink.name, seq, reason }, 'parked an entry: the sink will not take it')
    }
    this.#cursor = Math.max(this.#cursor ?? 0, throughSeq)
  }

  /** @returns whether that is another one */
  #become(state: ShippingState): boolean {
    const before = this.#state
    const isSame = state.state === before?.state && messageOf(state) === messageOf(before)
    this.#state = state
    return !isSame
  }
}

function messageOf(state: ShippingState): string {
  return state.state === 'shipping' ? '' : state.why.message
}

function stateAfter(error: unknown): ShippingState {
  if (error instanceof AuditAlarm) return { state: 'alarm', why: error }
  if (error instanceof SinkError || isPassing(error)) return { state: 'waiting', why: error }
  throw error
}
