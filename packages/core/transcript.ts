// A transcript is what a session's terminal showed, in ordered chunks, byte for byte: nothing here decodes text.
// One binary frame carries a chunk on the wire and in the runner's spool alike.

import type { TerminalSize } from './session.ts'

/** `output`: bytes from the PTY. `resize`: `COLSxROWS` in ASCII. `exit`: the JSON of a SessionExit, always the last chunk. */
export const chunkKinds = ['output', 'resize', 'exit'] as const
export type ChunkKind = (typeof chunkKinds)[number]

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

const headerBytes = 17
/** A frame holds at most this many bytes. */
export const maxFrameBytes = headerBytes + maxChunkBytes

const codes: Readonly<Record<ChunkKind, number>> = { output: 1, resize: 2, exit: 3 }
/** First byte of a frame that carries typed input towards the session; the rest is the bytes. */
export const inputFrameCode = 16

/** Frame: kind (u8), seq (u64), offset in microseconds (u64), bytes; big-endian. */
export function encodeChunk(chunk: TranscriptChunk): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + chunk.bytes.length)
  frame.writeUInt8(codes[chunk.kind], 0)
  frame.writeBigUInt64BE(BigInt(chunk.seq), 1)
  frame.writeBigUInt64BE(BigInt(chunk.offsetUs), 9)
  frame.set(chunk.bytes, headerBytes)
  return frame
}

export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** The chunk's bytes are a view into the frame: copy them to keep them beyond the frame.
 *  @throws FrameError for what is not a frame of a chunk, or breaks a limit. */
export function decodeChunk(frame: Uint8Array): TranscriptChunk {
  const view = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  if (view.length < headerBytes) throw new FrameError(`a chunk's frame has ${view.length} bytes, fewer than its header`)
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
  return { seq: Number(seq), kind, offsetUs: Number(offsetUs), bytes: view.subarray(headerBytes) }
}

export function encodeInput(bytes: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(1 + bytes.length)
  frame.writeUInt8(inputFrameCode, 0)
  frame.set(bytes, 1)
  return frame
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
