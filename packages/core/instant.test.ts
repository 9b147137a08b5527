import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatInstant, parseInstant } from './instant.ts'

test('microseconds are kept to the last digit', () => {
  assert.equal(formatInstant(1_767_225_600_000_001), '2026-01-01T00:00:00.000001Z')
  assert.equal(formatInstant(1_767_225_599_999_999), '2025-12-31T23:59:59.999999Z')
  assert.equal(formatInstant(0), '1970-01-01T00:00:00.000000Z')
})

test('an instant that was written is read back, from any offset', () => {
  for (const us of [0, 1, 999_999, 1_769_853_600_000_001, Number.MAX_SAFE_INTEGER])
    assert.equal(parseInstant(formatInstant(us)), us)
  assert.equal(parseInstant('1970-01-01T02:00:00.5+02:00'), 500_000)
  assert.equal(parseInstant('1970-01-01T00:00:00.0000019Z'), 1)
  assert.equal(parseInstant('9999-12-31T23:59:59Z'), Number.MAX_SAFE_INTEGER)
  assert.equal(parseInstant('some day'), Number.NaN)
})
