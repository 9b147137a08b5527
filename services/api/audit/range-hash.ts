// The hash over a range of a transcript's chunks, as entries of the audit log hold it: SHA-256 over their frames, one after the other.

import { createHash } from 'node:crypto'
import { chunkHeaderBytes, type TranscriptChunk, writeChunkHeader } from '@teleclaude/core/transcript.ts'

/** What an entry says of a range of chunks. */
export type SealedRange = {
  readonly fromSeq: number
  readonly toSeq: number
  /** Of output. */
  readonly bytes: number
  /** In hexadecimal digits. */
  readonly sha256: string
}

/** Of a frame, beside the chunk's bytes, which are not copied for it. */
const header = Buffer.alloc(chunkHeaderBytes)

export class RangeHash {
  readonly fromSeq: number
  /** Of the last chunk; one less than `fromSeq` while there is none. */
  toSeq: number
  bytes = 0
  readonly #hash = createHash('sha256')

  constructor(fromSeq: number) {
    this.fromSeq = fromSeq
    this.toSeq = fromSeq - 1
  }

  get isEmpty(): boolean {
    return this.toSeq < this.fromSeq
  }

  /** The chunk after the last one. */
  add(chunk: TranscriptChunk): void {
    writeChunkHeader(header, chunk)
    this.#hash.update(header).update(chunk.bytes)
    this.toSeq = chunk.seq
    if (chunk.kind === 'output') this.bytes += chunk.bytes.length
  }

  /** Nothing can be added afterwards. */
  finish(): SealedRange {
    const { fromSeq, toSeq, bytes } = this
    return { fromSeq, toSeq, bytes, sha256: this.#hash.digest('hex') }
  }
}
