import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { age, clock } from './time.ts'

describe('age', () => {
  for (const [seconds, shown] of [
    [-5, '0s'],
    [0, '0s'],
    [0.999_999, '0s'],
    [5, '5s'],
    [59.999, '59s'],
    [60, '1m'],
    [3_599, '59m'],
    [3_600, '1h'],
    [86_399, '23h'],
    [4 * 86_400, '4d'],
    [1_000 * 86_400, '1000d'],
  ] as const) {
    test(`of ${seconds} seconds is ${shown}`, () => {
      const nowUs = 1_700_000_000_000_000
      assert.equal(age(nowUs - seconds * 1e6, nowUs), shown)
    })
  }
})

test('a time of today is its hour, and another has its day', () => {
  const now = new Date(2026, 0, 31, 12)
  assert.equal(clock(new Date(2026, 0, 31, 6, 5).toISOString(), now), '06:05')
  assert.equal(clock(new Date(2026, 1, 1, 16, 5).toISOString(), now), '2026-02-01 16:05')
})
