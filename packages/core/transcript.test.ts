import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  chunkKinds,
  decodeChunk,
  encodeChunk,
  encodeResize,
  FrameError,
  maxChunkBytes,
  maxTerminalCells,
  parseResize,
} from './transcript.ts'

test('a chunk survives its frame, whatever bytes it holds', () => {
  const chunk = fc.record(
    {
      seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
      kind: fc.constantFrom(...chunkKinds),
      offsetUs: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
      bytes: fc.uint8Array({ maxLength: 500 }),
    },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(chunk, (made) => {
      const read = decodeChunk(encodeChunk(made))
      assert.deepEqual({ ...read, bytes: Uint8Array.from(read.bytes) }, made)
    }),
  )
})

test('arbitrary bytes are a chunk or a FrameError, nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        const chunk = decodeChunk(bytes)
        assert.deepEqual(Uint8Array.from(encodeChunk(chunk)), bytes)
      } catch (error) {
        assert.ok(error instanceof FrameError)
      }
    }),
  )
})

test('a frame over the limit is refused', () => {
  const frame = encodeChunk({ seq: 1, kind: 'output', offsetUs: 0, bytes: new Uint8Array(maxChunkBytes + 1) })
  assert.throws(() => decodeChunk(frame), FrameError)
})

test('a resize survives its bytes, and what is no size of a terminal is refused', () => {
  const cells = fc.integer({ min: 1, max: maxTerminalCells })
  fc.assert(
    fc.property(cells, cells, (cols, rows) =>
      assert.deepEqual(parseResize(encodeResize({ cols, rows })), { cols, rows }),
    ),
  )
  for (const text of ['', '80', '0x24', '80x0', '80x24x1', '-1x5', '99999x1', '1x10001', '8e1x24', ' 80x24']) {
    assert.throws(() => parseResize(Buffer.from(text)), FrameError, text)
  }
})
