// How a chunk's bytes are kept: compressed with zstd where that makes them smaller, as they are where it does not.

import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'
import { maxChunkBytes, type TranscriptChunk } from '@teleclaude/core/transcript.ts'

export const chunkCodecs = ['raw', 'zstd'] as const

export type PackedChunk = {
  readonly seq: number
  readonly kind: TranscriptChunk['kind']
  readonly offsetUs: number
  readonly codec: (typeof chunkCodecs)[number]
  readonly rawLength: number
  readonly bytes: Buffer
}

/** As a row of the database has it. */
export type StoredChunk = {
  readonly seq: number
  readonly kind: TranscriptChunk['kind']
  readonly offset_us: number
  readonly codec: (typeof chunkCodecs)[number]
  readonly raw_length: number
  readonly bytes: Uint8Array
}

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** Fewer bytes than this are not worth a frame of zstd (its header and checksum alone take a dozen). */
const minBytesToCompress = 128
const params = { [constants.ZSTD_c_compressionLevel]: 1 }

/** @throws RangeError for a chunk over maxChunkBytes. */
export async function packChunk(chunk: TranscriptChunk): Promise<PackedChunk> {
  const { seq, kind, offsetUs } = chunk
  const rawLength = chunk.bytes.length
  if (rawLength > maxChunkBytes)
    throw new RangeError(`cannot store chunk ${seq}: it has ${rawLength} bytes, over ${maxChunkBytes}`)
  const raw = Buffer.from(chunk.bytes.buffer, chunk.bytes.byteOffset, rawLength)
  // With the size, zstd takes tables for that much and not for any: a third less time, and next to no garbage outside of the heap,
  // for which V8 would mark all of it every four megabytes.
  const packed = rawLength < minBytesToCompress ? raw : await compress(raw, { params, pledgedSrcSize: rawLength })
  return packed.length < rawLength
    ? { seq, kind, offsetUs, codec: 'zstd', rawLength, bytes: packed }
    : { seq, kind, offsetUs, codec: 'raw', rawLength, bytes: raw }
}

/** Never makes more bytes than the row says, however its content was tampered with.
 *  @throws Error where the bytes are not what was recorded. */
export async function unpackChunk(row: StoredChunk): Promise<TranscriptChunk> {
  const bytes = row.codec === 'raw' ? row.bytes : await inflate(row)
  if (bytes.length !== row.raw_length) throw new Error(`cannot read chunk ${row.seq}: it is damaged`)
  return { seq: row.seq, kind: row.kind, offsetUs: row.offset_us, bytes }
}

async function inflate(row: StoredChunk): Promise<Uint8Array> {
  if (row.raw_length > maxChunkBytes)
    throw new Error(`cannot read chunk ${row.seq}: it claims to be over ${maxChunkBytes} bytes`)
  try {
    return await decompress(row.bytes, { maxOutputLength: row.raw_length })
  } catch (cause) {
    throw new Error(`cannot read chunk ${row.seq}: it is damaged`, { cause })
  }
}
