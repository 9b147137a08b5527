// Transcripts in SQLite.

import { type Session, type SessionId, sessionStatuses } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { z } from 'zod'
import { newChunks, packAppends, requireOver, type StoredTranscript } from '../append.ts'
import { type StoredChunk, unpackChunk } from '../chunk-codec.ts'
import type { ChunkAppend } from '../contract.ts'
import { chunkRow } from '../rows.ts'
import { maxChunksPerRead } from '../values.ts'
import { booleanColumn, type Connection } from './connection.ts'
import { columns, row } from './session-row.ts'

export async function appendChunks(connection: Connection, appends: readonly ChunkAppend[]): Promise<void> {
  const packed = await packAppends(appends)
  const insert = connection.prepare(`
    INSERT INTO transcript_chunks (session_id, seq, kind, offset_us, codec, raw_length, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)`)
  const update = connection.prepare(`
    UPDATE sessions SET last_chunk_seq = ?, transcript_bytes = transcript_bytes + ?, last_output_at = coalesce(?, last_output_at)
    WHERE id = ?`)
  connection.write(() => {
    for (const append of packed) {
      const added = newChunks(append, findTranscript(connection, append.sessionId))
      if (added.chunks.length === 0) continue
      for (const chunk of added.chunks) {
        insert.run(append.sessionId, chunk.seq, chunk.kind, chunk.offsetUs, chunk.codec, chunk.rawLength, chunk.bytes)
      }
      update.run(added.lastSeq, added.outputBytes, added.lastOutputAtUs, append.sessionId)
    }
  })
}

const storedRow = z.strictObject({ last_chunk_seq: z.int(), is_removed: booleanColumn }).optional()

function findTranscript(connection: Connection, id: SessionId): StoredTranscript | undefined {
  const select = connection.prepare(`
    SELECT last_chunk_seq, transcript_removed_at IS NOT NULL AS is_removed FROM sessions WHERE id = ?`)
  const found = storedRow.parse(select.get(id))
  return found && { lastSeq: found.last_chunk_seq, isRemoved: found.is_removed }
}

export function lastSeq(connection: Connection, id: SessionId): number {
  return findTranscript(connection, id)?.lastSeq ?? 0
}

const sealedRow = z.strictObject({ sealed_seq: z.int() }).optional()

export function sealedSeq(connection: Connection, id: SessionId): number {
  const found = connection.prepare('SELECT sealed_seq FROM sessions WHERE id = ?').get(id)
  return sealedRow.parse(found)?.sealed_seq ?? 0
}

export function markSealed(connection: Connection, id: SessionId, seq: number): void {
  const update = connection.prepare('UPDATE sessions SET sealed_seq = ? WHERE id = ? AND sealed_seq < ?')
  connection.write(() => update.run(seq, id, seq))
}

export async function readChunks(
  connection: Connection,
  id: SessionId,
  { afterSeq, maxBytes }: { readonly afterSeq: number; readonly maxBytes: number },
): Promise<readonly TranscriptChunk[]> {
  const select = connection.prepare(`
    SELECT seq, kind, offset_us, codec, raw_length, bytes FROM transcript_chunks
    WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?`)
  const rows: StoredChunk[] = []
  let bytes = 0
  for (const found of select.iterate(id, afterSeq, maxChunksPerRead)) {
    const row = chunkRow.parse(found)
    rows.push(row)
    bytes += row.raw_length
    if (bytes >= maxBytes) break
  }
  return Promise.all(rows.map(unpackChunk))
}

/** Takes the host, the time, and how many. */
export const removableStatement = `
  SELECT ${columns} FROM sessions INDEXED BY sessions_removable
  WHERE host = ? AND ended_at < ? AND transcript_gone = 0 ORDER BY ended_at, ordinal LIMIT ?`

export function listRemovable(
  connection: Connection,
  host: string,
  { endedBeforeUs, limit }: { readonly endedBeforeUs: number; readonly limit: number },
): readonly Session[] {
  return connection
    .prepare(removableStatement)
    .all(host, endedBeforeUs, limit)
    .map((found) => row.parse(found))
}

const statusRow = z.strictObject({ status: z.enum(sessionStatuses) }).optional()
const goneRow = z.strictObject({ transcript_gone: booleanColumn })

export function removeChunks(
  connection: Connection,
  id: SessionId,
  { maxChunks, atUs }: { readonly maxChunks: number; readonly atUs: number },
): boolean {
  const select = connection.prepare('SELECT status FROM sessions WHERE id = ?')
  // Sequences are without a gap, so that this is a short range.
  const remove = connection.prepare(`
    DELETE FROM transcript_chunks
    WHERE session_id = ? AND seq < (SELECT min(seq) FROM transcript_chunks WHERE session_id = ?) + ?`)
  const mark = connection.prepare(`
    UPDATE sessions SET transcript_removed_at = coalesce(transcript_removed_at, ?),
      transcript_gone = NOT EXISTS (SELECT seq FROM transcript_chunks WHERE session_id = ?)
    WHERE id = ? RETURNING transcript_gone`)
  return connection.write(() => {
    const stored = statusRow.parse(select.get(id))
    if (stored === undefined) return true
    requireOver(id, stored.status)
    remove.run(id, id, maxChunks)
    return goneRow.parse(mark.get(atUs, id, id)).transcript_gone
  })
}
