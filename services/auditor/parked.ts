// Entries that a sink would not take: tried again by command, and once a day. One that it takes now is parked no more.

import { nowUs } from '@teleclaude/core/instant.ts'
import type { ParkedEntry } from '@teleclaude/store/audit-contract.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import type { Sink } from './sink.ts'
import type { VerifiedLog } from './verified-log.ts'

const batchParked = 500

export type RetrySurroundings = {
  readonly store: Store
  readonly log: VerifiedLog
  readonly sinks: readonly Sink[]
  readonly stop: AbortSignal
}

/** Which ones; all where it says nothing. */
export type RetryQuery = { readonly sink?: string; readonly seqs?: readonly number[] }

export type RetryOutcome = {
  readonly tried: number
  readonly taken: number
  readonly refused: number
  readonly failures: readonly string[]
}

export async function* listAllParked(store: Store, host: string, sink: string | null): AsyncGenerator<ParkedEntry> {
  const names = sink === null ? (await store.auditor.listSinks(host)).map((progress) => progress.sink) : [sink]
  for (const name of names) {
    for (let afterSeq = 0, isThrough = false; !isThrough; ) {
      const found = await store.auditor.listParked(host, { sink: name, afterSeq, limit: batchParked })
      yield* found
      isThrough = found.length < batchParked
      afterSeq = found.at(-1)?.seq ?? afterSeq
    }
  }
}

/** One entry at a time. A sink that does not answer is left until the next time. */
export async function retryParked(
  { store, log, sinks, stop }: RetrySurroundings,
  { sink: wanted, seqs }: RetryQuery,
): Promise<RetryOutcome> {
  const outcome = { tried: 0, taken: 0, refused: 0, failures: new Map<string, string>() }
  for await (const { sink: name, seq } of listAllParked(store, log.host, wanted ?? null)) {
    const sink = sinks.find((known) => known.name === name)
    if (sink === undefined || outcome.failures.has(name) || (seqs !== undefined && !seqs.includes(seq))) continue
    const batch = await log.read(store.audit, seq - 1, { ...sink.limit, maxEntries: 1 })
    if (batch.length === 0) continue
    outcome.tried += 1
    const delivery = await sink.deliver(batch, stop)
    if (delivery.outcome === 'unavailable') outcome.failures.set(name, delivery.reason)
    else if (delivery.outcome === 'refused') {
      outcome.refused += 1
      await store.auditor.noteAttempt(log.host, name, seq, delivery.reason, nowUs())
    } else {
      outcome.taken += 1
      await store.auditor.unpark(log.host, name, seq)
    }
  }
  const failures = [...outcome.failures].map(([name, reason]) => `cannot ship to the sink ${name}: ${reason}`)
  return { ...outcome, failures }
}
