import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeBase64, encodeBase64 } from './base64.ts'

test('bytes come back, also those that are a part of others', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.nat(8), (bytes, from) => {
      const part = bytes.subarray(from)
      assert.deepEqual(new Uint8Array(decodeBase64(encodeBase64(part)) ?? []), new Uint8Array(part))
    }),
  )
})

test('bytes have one text only', () => {
  // RFC 4648, section 10.
  assert.equal(decodeBase64('Zm9vYg==')?.toString(), 'foob')
  for (const other of [
    'Zm9vYh==',
    'Zm9vYg=',
    'Zm9vYg',
    'Zm9vYg==\n',
    ' Zm9vYg==',
    'Zm9v Yg==',
    'Zm9vYg==Zm9v',
    'Zm9-',
    '=',
  ])
    assert.equal(decodeBase64(other), null, other)
})
