// Chunks on the runner's own disk, from the moment they are made until the service says that they are durable.
// A directory of segments named by their first sequence; in each, frames one after another, every one after its length (u32).

import { closeSync, mkdirSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { maxFrameBytes } from '@teleclaude/core/transcript.ts'

const segmentBytes = 4 * 1024 * 1024
const lengthBytes = 4

export class SpoolError extends Error {
  override readonly name = 'SpoolError'
}

type Segment = { readonly firstSeq: number; readonly fd: number; readonly path: string; lastSeq: number; bytes: number }

export class Spool {
  readonly directory: string
  readonly #maxBytes: number
  readonly #segments: Segment[] = []
  readonly #inMemory = new Map<number, Buffer>()
  #bytes = 0
  /** Where the next frame to read stands. */
  #cursor: { readonly segment: Segment | null; readonly seq: number; readonly offset: number } = {
    segment: null,
    seq: 0,
    offset: 0,
  }

  /** Makes the directory; `maxBytes` is all that the spool may hold.
   *  @throws SpoolError */
  constructor(directory: string, maxBytes: number) {
    this.directory = directory
    this.#maxBytes = maxBytes
    try {
      mkdirSync(directory, { mode: 0o700 })
    } catch (error) {
      throw new SpoolError(`cannot make the spool ${directory}: ${reasonOf(error)}`, { cause: error })
    }
  }

  /** @throws SpoolError where the frame could not be kept: then nothing more may be shown or run unrecorded. */
  append(seq: number, frame: Uint8Array): void {
    const bytes = lengthBytes + frame.length
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new SpoolError(
        `cannot keep more output: the spool holds ${this.#maxBytes} bytes that the service has not taken`,
      )
    }
    try {
      const segment = this.#segmentFor(seq)
      const record = Buffer.allocUnsafe(bytes)
      record.writeUInt32BE(frame.length, 0)
      record.set(frame, lengthBytes)
      let written = 0
      while (written < bytes)
        written += writeSync(segment.fd, record, written, bytes - written, segment.bytes + written)
      segment.bytes += bytes
      segment.lastSeq = seq
      this.#bytes += bytes
    } catch (error) {
      throw new SpoolError(`cannot write to the spool ${this.directory}: ${reasonOf(error)}`, { cause: error })
    }
  }

  /** For the few last frames of a session whose spool is full or broken. */
  keepInMemory(seq: number, frame: Buffer): void {
    this.#inMemory.set(seq, frame)
  }

  /** The frame of this sequence, or null where the spool does not hold it. Reading in order costs one read a frame. */
  read(seq: number): Buffer | null {
    const kept = this.#inMemory.get(seq)
    if (kept !== undefined) return kept
    const segment = this.#segments.find((candidate) => seq >= candidate.firstSeq && seq <= candidate.lastSeq)
    if (segment === undefined) return null
    if (this.#cursor.segment !== segment || this.#cursor.seq > seq)
      this.#cursor = { segment, seq: segment.firstSeq, offset: 0 }
    const head = Buffer.allocUnsafe(lengthBytes)
    for (;;) {
      const at = this.#cursor.offset + lengthBytes
      this.#readExactly(segment, head, this.#cursor.offset)
      const length = head.readUInt32BE(0)
      if (length > maxFrameBytes) throw new SpoolError(`cannot read the spool ${segment.path}: it is damaged`)
      const isWanted = this.#cursor.seq === seq
      this.#cursor = { segment, seq: this.#cursor.seq + 1, offset: at + length }
      if (!isWanted) continue
      const frame = Buffer.allocUnsafe(length)
      this.#readExactly(segment, frame, at)
      return frame
    }
  }

  /** Everything up to `seq` is durable elsewhere. */
  acknowledge(seq: number): void {
    for (;;) {
      const oldest = this.#segments[0]
      // The one being written to stays: its file is reused by nobody, and small.
      if (oldest === undefined || oldest.lastSeq > seq || (this.#segments.length === 1 && oldest.bytes < segmentBytes))
        return
      this.#segments.shift()
      this.#bytes -= oldest.bytes
      closeSync(oldest.fd)
      rmSync(oldest.path, { force: true })
    }
  }

  remove(): void {
    for (const segment of this.#segments) closeSync(segment.fd)
    this.#segments.length = 0
    rmSync(this.directory, { recursive: true, force: true })
  }

  #segmentFor(seq: number): Segment {
    const newest = this.#segments.at(-1)
    if (newest !== undefined && newest.bytes < segmentBytes) return newest
    const path = join(this.directory, `${String(seq).padStart(16, '0')}.chunks`)
    const segment = { firstSeq: seq, lastSeq: seq - 1, fd: openSync(path, 'wx+', 0o600), path, bytes: 0 }
    this.#segments.push(segment)
    return segment
  }

  #readExactly(segment: Segment, into: Buffer, offset: number): void {
    let read = 0
    while (read < into.length) {
      const got = readSync(segment.fd, into, read, into.length - read, offset + read)
      if (got === 0) throw new SpoolError(`cannot read the spool ${segment.path}: it is cut short`)
      read += got
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
