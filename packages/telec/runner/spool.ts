// Chunks on the runner's own disk, from the moment they are made until the service says that they are durable.
// A directory of segments named by their first sequence; in each, records one after another: length of the frame (u32), its
// CRC-32 (u32), the frame. Whatever a crash has left at the end, torn or full of zeros, is no record, and nothing after it counts.

import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  type ChunkKind,
  chunkHeaderBytes,
  decodeChunk,
  FrameError,
  maxFrameBytes,
  type TranscriptChunk,
} from '@teleclaude/core/transcript.ts'

// `import` would load all of node:zlib's classes for one function.
const { crc32 } = process.getBuiltinModule('node:zlib')

/** A segment that has so much is not added to any more. */
export const segmentBytes = 4 * 1024 * 1024
/** Before each frame in a segment. */
export const recordHeadBytes = 8
/** Before a chunk's bytes in a record: its own head, and the frame's. */
export const chunkRoomBytes = recordHeadBytes + chunkHeaderBytes
const segmentName = /^(\d{16})\.chunks$/

export function segmentNameOf(firstSeq: number): string {
  return `${String(firstSeq).padStart(16, '0')}.chunks`
}

export function isSegmentName(name: string): boolean {
  return segmentName.test(name)
}

/** Whether this is the frame that was written with this checksum. */
export function isWholeFrame(frame: Uint8Array, checksum: number): boolean {
  return crc32(frame) === checksum
}

export class SpoolError extends Error {
  override readonly name = 'SpoolError'
}

type Segment = { readonly firstSeq: number; readonly fd: number; readonly path: string; lastSeq: number; bytes: number }

export type LastChunk = { readonly seq: number; readonly kind: ChunkKind; readonly offsetUs: number }

/** What a runner that is gone has left. */
export type FoundSpool = {
  readonly spool: Spool
  /** Null where it holds none: there were none, or the service has them all. */
  readonly last: LastChunk | null
  /** Bytes after the last chunk that are no chunk. */
  readonly damagedBytes: number
}

export class Spool {
  readonly directory: string
  readonly #maxBytes: number
  readonly #segments: Segment[]
  readonly #inMemory = new Map<number, Buffer>()
  #bytes = 0
  #acknowledgedSeq = 0
  /** What the screen has seen of it. */
  #releasedSeq: number

  private constructor(directory: string, maxBytes: number, segments: Segment[], releasedSeq: number) {
    this.directory = directory
    this.#maxBytes = maxBytes
    this.#segments = segments
    this.#releasedSeq = releasedSeq
    for (const { bytes } of segments) this.#bytes += bytes
  }

  /** Makes the directory; `maxBytes` is all that the spool may hold.
   *  @throws SpoolError */
  static create(directory: string, maxBytes: number): Spool {
    try {
      mkdirSync(directory, { mode: 0o700 })
    } catch (error) {
      throw new SpoolError(`cannot make the spool ${directory}: ${reasonOf(error)}`, { cause: error })
    }
    return new Spool(directory, maxBytes, [], 0)
  }

  /** One that is there, to be read: its runner has to be gone.
   *  @throws SpoolError where it can not be read at all */
  static open(directory: string): FoundSpool {
    const segments: Segment[] = []
    let last: LastChunk | null = null
    let damagedBytes = 0
    try {
      for (const name of readdirSync(directory).sort()) {
        const firstSeq = Number(segmentName.exec(name)?.[1] ?? 0)
        if (firstSeq === 0) continue
        const path = join(directory, name)
        const bytes = readFileSync(path)
        const previous = segments.at(-1)
        const follows = damagedBytes === 0 && (previous === undefined || firstSeq === previous.lastSeq + 1)
        const found = follows ? scan(bytes, firstSeq) : { end: 0, last: null }
        damagedBytes += bytes.length - found.end
        if (found.last === null) continue
        last = found.last
        segments.push({ firstSeq, fd: openSync(path, 'r'), path, lastSeq: last.seq, bytes: found.end })
      }
    } catch (error) {
      for (const { fd } of segments) closeSync(fd)
      throw new SpoolError(`cannot read the spool ${directory}: ${reasonOf(error)}`, { cause: error })
    }
    // Nobody looks at what its program showed any more.
    return { spool: new Spool(directory, 0, segments, Number.POSITIVE_INFINITY), last, damagedBytes }
  }

  /** What it holds on disk. */
  get bytes(): number {
    return this.#bytes
  }

  /** @throws SpoolError where the frame could not be kept: then nothing more may be shown or run unrecorded. */
  append(seq: number, frame: Uint8Array): void {
    const record = Buffer.allocUnsafe(recordHeadBytes + frame.length)
    record.set(frame, recordHeadBytes)
    this.appendRecord(seq, record)
  }

  /** The frame stands after room for the record's head.
   *  @throws SpoolError as `append` does */
  appendRecord(seq: number, record: Buffer): void {
    const bytes = record.length
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new SpoolError(
        `cannot keep more output: the spool holds ${this.#maxBytes} bytes that the service has not taken`,
      )
    }
    try {
      const segment = this.#segmentFor(seq)
      // What is written to a removed file is there for nobody else, and gone with us.
      if (fstatSync(segment.fd).nlink === 0) throw new Error('somebody has removed it')
      const frame = record.subarray(recordHeadBytes)
      record.writeUInt32BE(frame.length, 0)
      record.writeUInt32BE(crc32(frame), 4)
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

  /** For the few last frames of a session whose spool is full, broken or another runner's. */
  keepInMemory(seq: number, frame: Buffer): void {
    this.#inMemory.set(seq, frame)
  }

  /** For whoever reads on where they left off, at their own pace. */
  reader(): SpoolReader {
    return new SpoolReader(
      (seq) => this.#segments.find((segment) => seq >= segment.firstSeq && seq <= segment.lastSeq) ?? null,
      this.#inMemory,
    )
  }

  /** Everything up to `seq` is durable elsewhere. */
  acknowledge(seq: number): void {
    this.#acknowledgedSeq = Math.max(this.#acknowledgedSeq, seq)
    this.#trim()
  }

  /** The screen has seen everything up to `seq`. */
  release(seq: number): void {
    this.#releasedSeq = Math.max(this.#releasedSeq, seq)
    this.#trim()
  }

  #trim(): void {
    const seq = Math.min(this.#acknowledgedSeq, this.#releasedSeq)
    for (;;) {
      const oldest = this.#segments[0]
      // The newest stays: it is being written to, and it says when the last chunk was.
      if (oldest === undefined || oldest.lastSeq > seq || this.#segments.length === 1) return
      this.#segments.shift()
      this.#bytes -= oldest.bytes
      closeSync(oldest.fd)
      rmSync(oldest.path, { force: true })
    }
  }

  /** Leaves it where it is. */
  close(): void {
    for (const segment of this.#segments) closeSync(segment.fd)
    this.#segments.length = 0
  }

  #segmentFor(seq: number): Segment {
    const newest = this.#segments.at(-1)
    if (newest !== undefined && newest.bytes < segmentBytes) return newest
    const path = join(this.directory, segmentNameOf(seq))
    const segment = { firstSeq: seq, lastSeq: seq - 1, fd: openSync(path, 'wx+', 0o600), path, bytes: 0 }
    this.#segments.push(segment)
    return segment
  }
}

export class SpoolReader {
  readonly #segmentOf: (seq: number) => Segment | null
  readonly #inMemory: ReadonlyMap<number, Buffer>
  /** Where the next frame to read stands. */
  #cursor: { readonly segment: Segment | null; readonly seq: number; readonly offset: number } = {
    segment: null,
    seq: 0,
    offset: 0,
  }

  constructor(segmentOf: (seq: number) => Segment | null, inMemory: ReadonlyMap<number, Buffer>) {
    this.#segmentOf = segmentOf
    this.#inMemory = inMemory
  }

  /** The frame of this sequence, or null where the spool does not hold it. Reading in order costs one read a frame.
   *  @throws SpoolError where it is not as it was written */
  read(seq: number): Buffer | null {
    const kept = this.#inMemory.get(seq)
    if (kept !== undefined) return kept
    const segment = this.#segmentOf(seq)
    if (segment === null) return null
    if (this.#cursor.segment !== segment || this.#cursor.seq > seq)
      this.#cursor = { segment, seq: segment.firstSeq, offset: 0 }
    const head = Buffer.allocUnsafe(recordHeadBytes)
    for (;;) {
      const at = this.#cursor.offset + recordHeadBytes
      readExactly(segment, head, this.#cursor.offset)
      const length = head.readUInt32BE(0)
      if (length > maxFrameBytes) throw damaged(segment)
      const isWanted = this.#cursor.seq === seq
      this.#cursor = { segment, seq: this.#cursor.seq + 1, offset: at + length }
      if (!isWanted) continue
      const frame = Buffer.allocUnsafe(length)
      readExactly(segment, frame, at)
      if (!isWholeFrame(frame, head.readUInt32BE(4))) throw damaged(segment)
      return frame
    }
  }
}

function readExactly(segment: Segment, into: Buffer, offset: number): void {
  let read = 0
  while (read < into.length) {
    const got = readSync(segment.fd, into, read, into.length - read, offset + read)
    if (got === 0) throw new SpoolError(`cannot read the spool ${segment.path}: it is cut short`)
    read += got
  }
}

/** The whole records at the beginning of a segment. Their frames have to be chunks that follow one another: CRC-32 of nothing is
 *  0, so zeros alone would pass for a record of no bytes. */
function scan(bytes: Buffer, firstSeq: number): { readonly end: number; readonly last: LastChunk | null } {
  let end = 0
  let last: LastChunk | null = null
  for (let seq = firstSeq; end + recordHeadBytes < bytes.length; seq++) {
    const from = end + recordHeadBytes
    const length = bytes.readUInt32BE(end)
    const frame = bytes.subarray(from, from + length)
    if (frame.length !== length || !isWholeFrame(frame, bytes.readUInt32BE(end + 4))) break
    const chunk = decode(frame)
    if (chunk?.seq !== seq) break
    last = { seq, kind: chunk.kind, offsetUs: chunk.offsetUs }
    end = from + length
  }
  return { end, last }
}

function decode(frame: Buffer): TranscriptChunk | null {
  try {
    return decodeChunk(frame)
  } catch (error) {
    if (error instanceof FrameError) return null
    throw error
  }
}

function damaged(segment: Segment): SpoolError {
  return new SpoolError(`cannot read the spool ${segment.path}: it is damaged`)
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
