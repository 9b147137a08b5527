// What of an append is new, and what may be removed: the rules of a transcript, the same for both engines.

import { liveStatuses, type SessionId, type SessionStatus } from '@teleclaude/core/session.ts'
import { type PackedChunk, packChunk } from './chunk-codec.ts'
import { type ChunkAppend, StoreError } from './contract.ts'

export type PackedAppend = {
  readonly sessionId: SessionId
  readonly chunks: readonly PackedChunk[]
  readonly atUs: number
}

/** One append per session, compressed, in the order of the sessions' ids: the order in which their rows are locked,
 *  which keeps concurrent appends from waiting for each other in a circle. */
export async function packAppends(appends: readonly ChunkAppend[]): Promise<readonly PackedAppend[]> {
  const bySession = Map.groupBy(appends, (append) => append.sessionId)
  const packed = [...bySession].map(async ([sessionId, parts]) => ({
    sessionId,
    chunks: await Promise.all(parts.flatMap((part) => part.chunks).map(packChunk)),
    atUs: Math.max(...parts.map((part) => part.atUs)),
  }))
  return (await Promise.all(packed)).sort((a, b) => (a.sessionId < b.sessionId ? -1 : 1))
}

/** A session's new chunks and what they add to its row. */
export type NewChunks = {
  readonly chunks: readonly PackedChunk[]
  readonly lastSeq: number
  readonly outputBytes: number
  /** When the newest output arrived, or null where no output is new. */
  readonly lastOutputAtUs: number | null
}

/** What the session's row says of its transcript; `lastSeq` is the sequence of the newest stored chunk. */
export type StoredTranscript = { readonly lastSeq: number; readonly isRemoved: boolean }

/** @param stored undefined where the session is unknown
 *  @throws StoreError 'sequence-broken' */
export function newChunks(append: PackedAppend, stored: StoredTranscript | undefined): NewChunks {
  if (stored === undefined)
    throw new StoreError('sequence-broken', `cannot append to the session ${append.sessionId}: it does not exist`)
  if (stored.isRemoved)
    throw new StoreError(
      'sequence-broken',
      `cannot append to the session ${append.sessionId}: its transcript was removed`,
    )
  const chunks: PackedChunk[] = []
  let { lastSeq } = stored
  for (const chunk of append.chunks) {
    if (chunk.seq <= lastSeq) continue
    if (chunk.seq !== lastSeq + 1) {
      const gap = `chunk ${chunk.seq} does not follow chunk ${lastSeq}`
      throw new StoreError('sequence-broken', `cannot append to the session ${append.sessionId}: ${gap}`)
    }
    chunks.push(chunk)
    lastSeq = chunk.seq
  }
  const output = chunks.filter((chunk) => chunk.kind === 'output')
  return {
    chunks,
    lastSeq,
    outputBytes: output.reduce((sum, chunk) => sum + chunk.rawLength, 0),
    lastOutputAtUs: output.length > 0 ? append.atUs : null,
  }
}

/** @throws RangeError for a session that goes on: what it shows has to be recorded */
export function requireOver(id: SessionId, status: SessionStatus): void {
  if (liveStatuses.includes(status))
    throw new RangeError(`cannot remove the transcript of the session ${id}: it is ${status}`)
}
