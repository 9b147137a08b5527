import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Utf8Reader } from './utf8.ts'

const bytes = fc.array(
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 5 }).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 6 }).map((part) => Buffer.from(part)),
    fc
      .constantFrom([0xe6], [0xe6, 0xbc], [0xf0, 0x9f, 0x91], [0xc3], [0xe0, 0x80], [0xff])
      .map((part) => Buffer.from(part)),
  ),
)

test('text is the same wherever its bytes are cut, and none are lost at the end', () => {
  fc.assert(
    fc.property(bytes, (parts) => {
      const reader = new Utf8Reader()
      const text = parts.map((part) => reader.read(part)).join('')
      const whole = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Buffer.concat(parts))
      assert.equal(text + new TextDecoder().decode(reader.unfinished), whole)
      assert.ok(reader.unfinished.length < 4)
    }),
    { numRuns: 1000 },
  )
})

test('a character that is not finished yet waits for the rest', () => {
  const reader = new Utf8Reader()
  assert.equal(reader.read(Buffer.from([0x61, 0xe6, 0xbc])), 'a')
  assert.deepEqual([...reader.unfinished], [0xe6, 0xbc])
  assert.equal(reader.read(Buffer.from([0xa2, 0x62])), '漢b')
  assert.equal(reader.unfinished.length, 0)
})
