// Transcripts in PostgreSQL.

import { formatInstant } from '@teleclaude/core/instant.ts'
import { type Session, type SessionId, sessionStatuses } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { type CommonQueryMethods, type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import { newChunks, packAppends, requireOver } from '../append.ts'
import { type PackedChunk, unpackChunk } from '../chunk-codec.ts'
import type { ChunkAppend } from '../contract.ts'
import { chunkRow } from '../rows.ts'
import { maxChunksPerRead } from '../values.ts'
import { timeValue } from './connection.ts'
import { columns, row } from './session-row.ts'

const noRow = z.strictObject({})
const storedRow = z.strictObject({ id: z.string(), last_chunk_seq: z.int(), is_removed: z.boolean() })

/** Three statements, however many sessions and chunks. */
export async function appendChunks(db: DatabasePool, appends: readonly ChunkAppend[]): Promise<void> {
  const packed = await packAppends(appends)
  if (packed.length === 0) return
  await db.transaction(async (transaction) => {
    // Whoever else appends to one of these sessions waits here, and then sees what was appended.
    const stored = await transaction.any(sql.type(storedRow)`
      SELECT id, last_chunk_seq, transcript_removed_at IS NOT NULL AS is_removed FROM sessions WHERE id = ANY(${sql.array(
        packed.map(({ sessionId }) => sessionId),
        'uuid',
      )})
      ORDER BY id FOR NO KEY UPDATE`)
    const transcripts = new Map(
      stored.map((found) => [found.id, { lastSeq: found.last_chunk_seq, isRemoved: found.is_removed }]),
    )
    const added = packed
      .map((append) => ({ sessionId: append.sessionId, ...newChunks(append, transcripts.get(append.sessionId)) }))
      .filter(({ chunks }) => chunks.length > 0)
    if (added.length === 0) return
    await insertChunks(
      transaction,
      added.flatMap(({ sessionId, chunks }) => chunks.map((chunk) => ({ sessionId, ...chunk }))),
    )
    const times = added.map(({ lastOutputAtUs }) => (lastOutputAtUs === null ? null : formatInstant(lastOutputAtUs)))
    await transaction.query(sql.type(noRow)`
      UPDATE sessions SET last_chunk_seq = added.seq, transcript_bytes = transcript_bytes + added.bytes,
        last_output_at = coalesce(added.at, last_output_at)
      FROM unnest(
        ${sql.array(
          added.map(({ sessionId }) => sessionId),
          'uuid',
        )},
        ${sql.array(
          added.map(({ lastSeq }) => lastSeq),
          'int8',
        )},
        ${sql.array(
          added.map(({ outputBytes }) => outputBytes),
          'int8',
        )},
        ${sql.array(times, 'timestamptz')}
      ) AS added (id, seq, bytes, at)
      WHERE sessions.id = added.id`)
  })
}

type InsertedChunk = PackedChunk & { readonly sessionId: SessionId }

/** All bytes travel as one parameter, which pg sends as they are, where an array of bytea would go as hexadecimal text. */
async function insertChunks(db: CommonQueryMethods, chunks: readonly InsertedChunk[]): Promise<void> {
  let offset = 0
  const starts = chunks.map(({ bytes }) => {
    const start = offset + 1
    offset += bytes.length
    return start
  })
  await db.query(sql.type(noRow)`
    INSERT INTO transcript_chunks (session_id, seq, kind, offset_us, codec, raw_length, bytes)
    SELECT session_id, seq, kind, offset_us, codec, raw_length,
      substring(${sql.binary(Buffer.concat(chunks.map(({ bytes }) => bytes)))}::bytea FROM start FOR length)
    FROM unnest(
      ${sql.array(
        chunks.map(({ sessionId }) => sessionId),
        'uuid',
      )},
      ${sql.array(
        chunks.map(({ seq }) => seq),
        'int8',
      )},
      ${sql.array(
        chunks.map(({ kind }) => kind),
        'text',
      )},
      ${sql.array(
        chunks.map(({ offsetUs }) => offsetUs),
        'int8',
      )},
      ${sql.array(
        chunks.map(({ codec }) => codec),
        'text',
      )},
      ${sql.array(
        chunks.map(({ rawLength }) => rawLength),
        'int4',
      )},
      ${sql.array(starts, 'int4')},
      ${sql.array(
        chunks.map(({ bytes }) => bytes.length),
        'int4',
      )}
    ) AS chunk (session_id, seq, kind, offset_us, codec, raw_length, start, length)`)
}

const seqRow = z.strictObject({ last_chunk_seq: z.int() })

export async function lastSeq(db: CommonQueryMethods, id: SessionId): Promise<number> {
  const found = await db.maybeOne(sql.type(seqRow)`SELECT last_chunk_seq FROM sessions WHERE id = ${id}`)
  return found?.last_chunk_seq ?? 0
}

const sealedRow = z.strictObject({ sealed_seq: z.int() })

export async function sealedSeq(db: CommonQueryMethods, id: SessionId): Promise<number> {
  const found = await db.maybeOne(sql.type(sealedRow)`SELECT sealed_seq FROM sessions WHERE id = ${id}`)
  return found?.sealed_seq ?? 0
}

export async function markSealed(db: CommonQueryMethods, id: SessionId, seq: number): Promise<void> {
  await db.query(sql.type(noRow)`UPDATE sessions SET sealed_seq = ${seq} WHERE id = ${id} AND sealed_seq < ${seq}`)
}

export async function readChunks(
  db: CommonQueryMethods,
  id: SessionId,
  { afterSeq, maxBytes }: { readonly afterSeq: number; readonly maxBytes: number },
): Promise<readonly TranscriptChunk[]> {
  const rows = await db.any(sql.type(chunkRow)`
    SELECT seq, kind, offset_us, codec, raw_length, bytes FROM (
      SELECT *, sum(raw_length) OVER (ORDER BY seq) - raw_length AS bytes_before FROM (
        SELECT seq, kind, offset_us, codec, raw_length, bytes FROM transcript_chunks
        WHERE session_id = ${id} AND seq > ${afterSeq} ORDER BY seq LIMIT ${maxChunksPerRead}
      ) AS following
    ) AS counted
    WHERE bytes_before = 0 OR bytes_before < ${maxBytes}
    ORDER BY seq`)
  return Promise.all(rows.map(unpackChunk))
}

export function removableStatement(
  host: string,
  { endedBeforeUs, limit }: { readonly endedBeforeUs: number; readonly limit: number },
) {
  return sql.type(row)`
    SELECT ${columns} FROM sessions WHERE host = ${host} AND ended_at < ${timeValue(endedBeforeUs)} AND NOT transcript_gone
    ORDER BY ended_at, ordinal LIMIT ${limit}`
}

export function listRemovable(
  db: CommonQueryMethods,
  host: string,
  query: Parameters<typeof removableStatement>[1],
): Promise<readonly Session[]> {
  return db.any(removableStatement(host, query))
}

const statusRow = z.strictObject({ status: z.enum(sessionStatuses) })
const goneRow = z.strictObject({ transcript_gone: z.boolean() })

export function removeChunks(
  db: DatabasePool,
  id: SessionId,
  { maxChunks, atUs }: { readonly maxChunks: number; readonly atUs: number },
): Promise<boolean> {
  return db.transaction(async (transaction) => {
    const stored = await transaction.maybeOne(sql.type(statusRow)`
      SELECT status FROM sessions WHERE id = ${id} FOR NO KEY UPDATE`)
    if (stored === null) return true
    requireOver(id, stored.status)
    // Sequences are without a gap, so that this is a short range.
    await transaction.query(sql.type(noRow)`
      DELETE FROM transcript_chunks WHERE session_id = ${id}
        AND seq < (SELECT min(seq) FROM transcript_chunks WHERE session_id = ${id}) + ${maxChunks}`)
    const { transcript_gone } = await transaction.one(sql.type(goneRow)`
      UPDATE sessions SET transcript_removed_at = coalesce(transcript_removed_at, ${timeValue(atUs)}),
        transcript_gone = NOT EXISTS (SELECT FROM transcript_chunks WHERE session_id = ${id})
      WHERE id = ${id} RETURNING transcript_gone`)
    return transcript_gone
  })
}
