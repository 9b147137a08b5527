// A batch on its way into a sink. What the sink will never take is found by halving, and set aside; all the rest arrives.

import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import type { Delivery, Sink } from './sink.ts'

export type Refusal = { readonly seq: number; readonly reason: string }

export type Progress = {
  /** The sink has everything up to this entry, but for what it refused. */
  readonly throughSeq: number
  /** Of those that are new since the last progress. */
  readonly refusals: readonly Refusal[]
}

/** Calls back after each part of the batch, in order: what is written down by then is not sent again.
 *  @returns why it could not go on; null where it is through */
export async function deliverAll(
  sink: Pick<Sink, 'deliver'>,
  batch: readonly StoredAuditEntry[],
  stop: AbortSignal,
  onProgress: (progress: Progress) => Promise<void>,
): Promise<Extract<Delivery, { outcome: 'unavailable' }> | null> {
  const last = batch.at(-1)
  if (last === undefined) return null
  const delivery = await sink.deliver(batch, stop)
  switch (delivery.outcome) {
    case 'confirmed':
      await onProgress({ throughSeq: last.seq, refusals: [] })
      return null
    case 'unavailable':
      return delivery
    case 'refused': {
      if (batch.length === 1 || delivery.all) {
        const refusals = batch.map(({ seq }) => ({ seq, reason: delivery.reason }))
        await onProgress({ throughSeq: last.seq, refusals })
        return null
      }
      const middle = Math.ceil(batch.length / 2)
      return (
        (await deliverAll(sink, batch.slice(0, middle), stop, onProgress)) ??
        (await deliverAll(sink, batch.slice(middle), stop, onProgress))
      )
    }
  }
}
