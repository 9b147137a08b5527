import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatInstant } from './instant.ts'

test('microseconds are kept to the last digit', () => {
  assert.equal(formatInstant(1_767_225_600_000_001), '2026-01-01T00:00:00.000001Z')
  assert.equal(formatInstant(1_767_225_599_999_999), '2025-12-31T23:59:59.999999Z')
  assert.equal(formatInstant(0), '1970-01-01T00:00:00.000000Z')
})
