import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { packChunk, unpackChunk } from './chunk-codec.ts'

const chunk = (bytes: Uint8Array) => ({ seq: 1, kind: 'output' as const, offsetUs: 5, bytes })
const stored = {
  seq: 1,
  kind: 'output',
  offset_us: 5,
  codec: 'zstd',
  raw_length: 1000,
  bytes: zstdCompressSync(Buffer.alloc(1000)),
} as const

test('repetitive bytes are compressed, random and short ones are kept as they are', async () => {
  const packed = await packChunk(chunk(Buffer.alloc(60_000, 'line of a log\r\n')))
  assert.equal(packed.codec, 'zstd')
  assert.ok(packed.bytes.length < 1000)
  assert.equal((await packChunk(chunk(crypto.getRandomValues(new Uint8Array(60_000))))).codec, 'raw')
  assert.equal((await packChunk(chunk(Buffer.alloc(100)))).codec, 'raw')
})

test('a chunk that is a view into a larger buffer is packed alone', async () => {
  const packed = await packChunk(chunk(Buffer.from('before-inside-after').subarray(7, 13)))
  assert.equal(String(packed.bytes), 'inside')
})

test('what was stored comes back', async () => {
  assert.deepEqual(await unpackChunk(stored), chunk(Buffer.alloc(1000)))
})

for (const [what, change] of Object.entries({
  'more bytes than it claims': { raw_length: 999 },
  'fewer bytes than it claims': { raw_length: 1001 },
  'a claim over the limit': { raw_length: 10_000_000 },
  'a bomb': { bytes: zstdCompressSync(Buffer.alloc(50_000_000)) },
  'no zstd at all': { bytes: Buffer.from('hello') },
  'raw bytes of another length': { codec: 'raw' as const },
})) {
  test(`a stored chunk with ${what} is refused`, async () => {
    await assert.rejects(unpackChunk({ ...stored, ...change }), /cannot read chunk 1/)
  })
}
