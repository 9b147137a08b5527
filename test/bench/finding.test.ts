import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Finding, limit, median, quantile, summarise } from './finding.ts'

const some = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1 })

test('a quantile is one of the values, and that share of them does not exceed it', () => {
  fc.assert(
    fc.property(some, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const found = quantile(values, share)
      assert.ok(values.includes(found))
      assert.ok(values.filter((value) => value <= found).length >= values.length * share)
    }),
  )
  assert.equal(median([3, 1, 2]), 2)
  assert.equal(quantile([...Array(21).keys()], 0.99), 20)
  assert.throws(() => median([]), /nothing was measured/)
})

const slow: Finding = {
  what: 'w',
  unit: 'ms',
  rounds: [2, 20, 4],
  beside: { kind: 'peer', what: 'alone', rounds: [1, 10, 4] },
  budget: { kind: 'at most', ratio: 2 },
}

test('a round is held against the same round of its peer, so that noise which both had does not count', () => {
  assert.deepEqual(summarise(slow), {
    what: 'w',
    unit: 'ms',
    measured: { median: 4, min: 2, max: 20 },
    beside: { what: 'alone', median: 4, min: 1, max: 10 },
    ratio: 2,
    budget: { kind: 'at most', ratio: 2 },
    verdict: 'ok',
  })
  assert.throws(() => summarise({ ...slow, rounds: [1] }), /1 rounds beside 3/)
})

test('a verdict is over where the budget does not hold, and there is none without a budget', () => {
  const verdict = (change: Partial<Finding>) => summarise({ ...slow, ...change }).verdict
  assert.equal(verdict({ budget: { kind: 'at most', ratio: 1.9 } }), 'over')
  assert.equal(verdict({ budget: { kind: 'at least', ratio: 2 } }), 'ok')
  assert.equal(verdict({ budget: { kind: 'at least', ratio: 2.1 } }), 'over')
  assert.equal(verdict(limit(4)), 'ok')
  assert.equal(verdict(limit(3.9)), 'over')
  assert.equal(verdict({ budget: null }), null)
  assert.equal(verdict({ beside: null }), null)
})
