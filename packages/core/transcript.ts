// A transcript is what a session's terminal showed, in ordered chunks, byte for byte: nothing here decodes text.
// One binary frame carries a chunk on the wire and in the runner's spool alike.

import type { Gap, TerminalSize } from './session.ts'

/** `output`: bytes from the PTY. `resize`: `COLSxROWS` in ASCII. `exit`: the JSON of a SessionExit, always the last chunk.
 *  `driver`: whose typed input counts from here on, the JSON of a Driver or null. `gap`: the runner was gone and output may be
 *  missing from here on, the JSON of a Gap; like an exit it is the last chunk. */
export const chunkKinds = ['output', 'resize', 'exit', 'driver', 'gap'] as const
export type ChunkKind = (typeof chunkKinds)[number]

/** Nothing follows a chunk of this kind. */
export function isLastKind(kind: ChunkKind): boolean {
  return kind === 'exit' || kind === 'gap'
}

export type TranscriptChunk = {
  /** 1 for a session's first chunk, then without a gap. */
  readonly seq: number
  readonly kind: ChunkKind
  /** Microseconds since the session's program was started, by a monotonic clock. */
  readonly offsetUs: number
  readonly bytes: Uint8Array
}

/** A terminal is at most this many columns wide, and rows high. */
export const maxTerminalCells = 10_000

/** A chunk holds at most this many bytes. */
export const maxChunkBytes = 64 * 1024

/** Of a frame, before its chunk's bytes. */
export const chunkHeaderBytes = 17
/** A frame holds at most this many bytes. */
export const maxFrameBytes = chunkHeaderBytes + maxChunkBytes

const codes: Readonly<Record<ChunkKind, number>> = { output: 1, resize: 2, exit: 3, driver: 4, gap: 5 }
/** First byte of a frame that carries typed input towards the session; the rest is the bytes. */
export const inputFrameCode = 16
/** First byte of a frame that carries a part of a snapshot from the runner to viewers. */
export const snapshotFrameCode = 17

/** Frame: kind (u8), seq (u64), offset in microseconds (u64), bytes; big-endian. */
export function encodeChunk(chunk: TranscriptChunk): Buffer {
  const frame = Buffer.allocUnsafe(chunkHeaderBytes + chunk.bytes.length)
  writeChunkHeader(frame, chunk)
  frame.set(chunk.bytes, chunkHeaderBytes)
  return frame
}

/** Makes a frame of the chunk's bytes, which stand in it already. */
export function writeChunkHeader(frame: Buffer, { kind, seq, offsetUs }: Omit<TranscriptChunk, 'bytes'>): void {
  frame.writeUInt8(codes[kind], 0)
  frame.writeBigUInt64BE(BigInt(seq), 1)
  frame.writeBigUInt64BE(BigInt(offsetUs), 9)
}

export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** The chunk's bytes are a view into the frame: copy them to keep them beyond the frame.
 *  @throws FrameError for what is not a frame of a chunk, or breaks a limit. */
export function decodeChunk(frame: Uint8Array): TranscriptChunk {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  if (view.length < chunkHeaderBytes)
    throw new FrameError(`a chunk's frame has ${view.length} bytes, fewer than its header`)
  if (view.length > maxFrameBytes)
    throw new FrameError(`a chunk's frame has ${view.length} bytes, over ${maxFrameBytes}`)
  const code = view.readUInt8(0)
  const kind = chunkKinds.find((candidate) => codes[candidate] === code)
  if (kind === undefined) throw new FrameError(`no kind of chunk has the code ${code}`)
  const seq = view.readBigUInt64BE(1)
  const offsetUs = view.readBigUInt64BE(9)
  if (seq < 1n || seq > BigInt(Number.MAX_SAFE_INTEGER) || offsetUs > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new FrameError(`a chunk's sequence ${seq} or offset ${offsetUs} is out of range`)
  }
  return { seq: Number(seq), kind, offsetUs: Number(offsetUs), bytes: view.subarray(chunkHeaderBytes) }
}

export function encodeInput(bytes: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(1 + bytes.length)
  frame.writeUInt8(inputFrameCode, 0)
  frame.set(bytes, 1)
  return frame
}

/** A snapshot is the bytes that bring a terminal to the state after chunk `seq`, in parts that follow one another; `isLast` is
 *  the one after which the chunks from `seq + 1` on follow. */
export type SnapshotPart = { readonly seq: number; readonly isLast: boolean; readonly bytes: Uint8Array }

/** A snapshot is no longer than this: scrollback is left out, oldest first, to stay below. */
export const maxSnapshotBytes = 16 * 1024 * 1024
const snapshotHeaderBytes = 10

/** Frame: 17 (u8), seq (u64), whether it is the last part (u8, 0 or 1), up to `maxChunkBytes` bytes; big-endian. */
export function encodeSnapshotPart({ seq, isLast, bytes }: SnapshotPart): Buffer {
  const frame = Buffer.allocUnsafe(snapshotHeaderBytes + bytes.length)
  frame.writeUInt8(snapshotFrameCode, 0)
  frame.writeBigUInt64BE(BigInt(seq), 1)
  frame.writeUInt8(isLast ? 1 : 0, 9)
  frame.set(bytes, snapshotHeaderBytes)
  return frame
}

/** The bytes are a view into the frame.
 *  @throws FrameError for what is not such a frame, or breaks a limit */
export function decodeSnapshotPart(frame: Uint8Array): SnapshotPart {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  if (view.length < snapshotHeaderBytes || view.length > maxFrameBytes || view.readUInt8(0) !== snapshotFrameCode) {
    throw new FrameError(`a frame of ${view.length} bytes is no part of a snapshot`)
  }
  const seq = view.readBigUInt64BE(1)
  const last = view.readUInt8(9)
  if (seq > BigInt(Number.MAX_SAFE_INTEGER) || last > 1) throw new FrameError('a part of a snapshot is out of range')
  return { seq: Number(seq), isLast: last === 1, bytes: view.subarray(snapshotHeaderBytes) }
}

export function encodeResize(size: TerminalSize): Buffer {
  return Buffer.from(`${size.cols}x${size.rows}`, 'ascii')
}

/** @throws FrameError where the bytes are not those of encodeResize. */
export function parseResize(bytes: Uint8Array): TerminalSize {
  const match = /^([1-9]\d{0,4})x([1-9]\d{0,4})$/.exec(Buffer.from(bytes).toString('latin1'))
  const cols = Number(match?.[1])
  const rows = Number(match?.[2])
  if (!(cols <= maxTerminalCells && rows <= maxTerminalCells))
    throw new FrameError('a resize names no size of a terminal')
  return { cols, rows }
}

export function encodeGap(gap: Gap): Buffer {
  return Buffer.from(JSON.stringify(gap), 'utf8')
}

/** @throws FrameError where the bytes are not those of encodeGap. */
export function parseGap(bytes: Uint8Array): Gap {
  let reason: unknown
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (typeof value === 'object' && value !== null && 'reason' in value) reason = value.reason
  } catch {
    // No JSON, so no reason either.
  }
  if (typeof reason !== 'string') throw new FrameError('a gap does not say why it is there')
  return { reason }
}
