// Transcripts in SQLite.

import type { SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { z } from 'zod'
import { newChunks, packAppends } from '../append.ts'
import { type StoredChunk, unpackChunk } from '../chunk-codec.ts'
import type { ChunkAppend } from '../contract.ts'
import { chunkRow } from '../rows.ts'
import { maxChunksPerRead } from '../values.ts'
import type { Connection } from './connection.ts'

export async function appendChunks(connection: Connection, appends: readonly ChunkAppend[]): Promise<void> {
  const packed = await packAppends(appends)
  const insert = connection.prepare(`
    INSERT INTO transcript_chunks (session_id, seq, kind, offset_us, codec, raw_length, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)`)
  const update = connection.prepare(`
    UPDATE sessions SET last_chunk_seq = ?, transcript_bytes = transcript_bytes + ?, last_output_at = coalesce(?, last_output_at)
    WHERE id = ?`)
  connection.write(() => {
    for (const append of packed) {
      const added = newChunks(append, storedSeq(connection, append.sessionId))
      if (added.chunks.length === 0) continue
      for (const chunk of added.chunks) {
        insert.run(append.sessionId, chunk.seq, chunk.kind, chunk.offsetUs, chunk.codec, chunk.rawLength, chunk.bytes)
      }
      update.run(added.lastSeq, added.outputBytes, added.lastOutputAtUs, append.sessionId)
    }
  })
}

const seqRow = z.strictObject({ last_chunk_seq: z.int() }).optional()

function storedSeq(connection: Connection, id: SessionId): number | undefined {
  return seqRow.parse(connection.prepare('SELECT last_chunk_seq FROM sessions WHERE id = ?').get(id))?.last_chunk_seq
}

export function lastSeq(connection: Connection, id: SessionId): number {
  return storedSeq(connection, id) ?? 0
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
