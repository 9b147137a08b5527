// What ships somewhere: a sink takes batches of entries, in order, and says what became of them. What it has is remembered by who
// calls it.

import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { oneLine } from './one-line.ts'
import type { BatchLimit } from './verified-log.ts'

export type Delivery =
  /** It has them. Where the sink does not confirm: they were sent. */
  | { readonly outcome: 'confirmed' }
  /** There is something in it that it will never take: `all` says that this goes for each of them. */
  | { readonly outcome: 'refused'; readonly reason: string; readonly all: boolean }
  /** Not now; some of it may have arrived. */
  | { readonly outcome: 'unavailable'; readonly reason: string; readonly retryAfterMs: number | null }

export const confirmed: Delivery = { outcome: 'confirmed' }

export function refused(reason: string, all = false): Delivery {
  return { outcome: 'refused', reason: oneLine(reason), all }
}

export function unavailable(reason: string, retryAfterMs: number | null = null): Delivery {
  return { outcome: 'unavailable', reason: oneLine(reason), retryAfterMs }
}

export interface Sink {
  readonly name: string
  /** False where nothing says that what was sent has arrived. */
  readonly confirms: boolean
  readonly limit: BatchLimit
  /** The longest pause between two attempts. */
  readonly maxPauseMs: number
  /** The entry up to which it has everything, for a sink that knows this better than the database.
   *  @param cursor what the database says
   *  @throws AuditAlarm where it holds something else than the log */
  position?(cursor: number): Promise<number>
  /** Never throws for what is the receiver's fault. */
  deliver(batch: readonly StoredAuditEntry[], stop: AbortSignal): Promise<Delivery>
  close(): Promise<void>
}

/** Why a sink did not take a batch. */
export class SinkError extends Error {
  override readonly name = 'SinkError'
  readonly code = 'sink'
  readonly retryAfterMs: number | null

  constructor(sink: string, reason: string, retryAfterMs: number | null) {
    super(`cannot ship to the sink ${sink}: ${reason}; it is tried again`)
    this.retryAfterMs = retryAfterMs
  }
}

/** Waiting does not mend it: the configuration has to be another one. */
export class SinkConfigError extends Error {
  override readonly name = 'SinkConfigError'
  readonly code = 'sink-config'

  /** @param why without the secret that it is about */
  constructor(sink: string, why: string) {
    super(`cannot use the sink ${sink}: ${why}`)
  }
}
