import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { InvalidArgumentError } from 'commander'
import { parseInstant } from './instant.ts'

describe('a time', () => {
  for (const [typed, ms] of [
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['7d', 604_800_000],
  ] as const) {
    test(`${typed} ago is counted from now`, (t) => {
      t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 0, 31) })
      assert.equal(Date.parse(parseInstant(typed)), Date.UTC(2026, 0, 31) - ms)
    })
  }

  test('without an offset is that of the clock here, and a day begins at midnight', () => {
    const here = (text: string) => new Date(text).toISOString()
    assert.equal(parseInstant('2026-01-31'), here('2026-01-31T00:00'))
    assert.equal(parseInstant('2026-01-31 16:05'), here('2026-01-31T16:05'))
    assert.equal(parseInstant('2026-01-31T16:05:06.5'), here('2026-01-31T16:05:06.5'))
    assert.equal(parseInstant('2026-01-31T16:05Z'), '2026-01-31T16:05:00.000Z')
    assert.equal(parseInstant('2026-01-31T16:05+02:00'), '2026-01-31T14:05:00.000Z')
  })

  for (const typed of [
    '',
    'yesterday',
    '2h ago',
    '-2h',
    '2026',
    '2026-13-01',
    '2026-01-31T25:00',
    '31.1.2026',
    '1e3s',
  ]) {
    test(`is not '${typed}'`, () => assert.throws(() => parseInstant(typed), InvalidArgumentError))
  }
})
