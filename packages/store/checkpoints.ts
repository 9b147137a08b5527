// Checkpoints together with what auditors say of them, the same for both engines.

import type { z } from 'zod'
import type { StoredCheckpoint } from './audit-contract.ts'
import type { checkpointRow, cosignatureRow } from './audit-rows.ts'

export type WhichCheckpoint = 'newest' | 'cosigned' | { readonly atLeast: number }

export function joinCosignatures(
  checkpoints: readonly z.infer<typeof checkpointRow>[],
  cosignatures: readonly z.infer<typeof cosignatureRow>[],
): readonly StoredCheckpoint[] {
  const bySize = Map.groupBy(cosignatures, ({ size }) => size)
  return checkpoints.map(({ size, note, made_at }) => ({
    size,
    note,
    cosignatures: (bySize.get(size) ?? []).map((found) => ({ line: found.line, atUs: found.made_at })),
    madeAtUs: made_at,
  }))
}
