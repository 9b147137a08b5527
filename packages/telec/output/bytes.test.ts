import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { describeBytes } from './bytes.ts'

describe('so many bytes', () => {
  for (const [bytes, shown] of [
    [0, '0 B'],
    [999, '999 B'],
    [1_000, '1.0 kB'],
    [1_549, '1.5 kB'],
    [9_949, '9.9 kB'],
    [9_950, '10 kB'],
    [999_499, '999 kB'],
    [999_500, '1.0 MB'],
    [23_000_000, '23 MB'],
    [5e15, '5000 TB'],
  ] as const) {
    test(`${bytes} are ${shown}`, () => assert.equal(describeBytes(bytes), shown))
  }
})
