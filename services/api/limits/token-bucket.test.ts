import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { burstMs, maxDebtMs, TokenBucket } from './token-bucket.ts'

const patienceMs = 1_000
const rates = fc.constantFrom(1, 3, 100, 10_000)
/** Pauses between requests, many of them none at all. */
const pauses = fc.array(fc.oneof(fc.constant(0), fc.nat(30), fc.nat(5_000)), { minLength: 1, maxLength: 400 })

/** When each request is served that waits for up to `patienceMs`; the others are refused. */
function serve(perSecond: number, gaps: readonly number[]) {
  const bucket = new TokenBucket()
  const served: number[] = []
  const refused: number[] = []
  let nowMs = 0
  for (const gap of gaps) {
    nowMs += gap
    const waitMs = bucket.waitMs(perSecond, nowMs)
    if (waitMs > patienceMs) {
      refused.push(nowMs)
      continue
    }
    bucket.take(1, perSecond, nowMs)
    served.push(nowMs + waitMs)
  }
  return { served, refused }
}

test('in no stretch of time are more served than the rate and one burst', () => {
  fc.assert(
    fc.property(rates, pauses, (perSecond, gaps) => {
      const { served } = serve(perSecond, gaps)
      for (const [first, fromMs] of served.entries()) {
        for (const [last, untilMs] of served.entries()) {
          if (last < first) continue
          const most = (perSecond * (untilMs - fromMs + burstMs)) / 1_000
          assert.ok(last - first + 1 <= most + 1e-6, `${last - first + 1} within ${untilMs - fromMs} ms`)
        }
      }
    }),
    { numRuns: 50 },
  )
})

test('they are served in the order in which they came', () => {
  fc.assert(
    fc.property(rates, pauses, (perSecond, gaps) => {
      const { served } = serve(perSecond, gaps)
      assert.deepEqual(
        served,
        served.toSorted((one, other) => one - other),
      )
    }),
  )
})

test('who stays below the rate never waits', () => {
  fc.assert(
    fc.property(rates, pauses, (perSecond, gaps) => {
      const bucket = new TokenBucket()
      let nowMs = 0
      for (const gap of gaps) {
        nowMs += gap + 1_000 / perSecond
        assert.equal(bucket.waitMs(perSecond, nowMs), 0)
        bucket.take(1, perSecond, nowMs)
      }
    }),
  )
})

test('who is refused has to wait, and is served after it', () => {
  fc.assert(
    fc.property(rates, fc.integer({ min: 1, max: 50_000 }), fc.nat(10_000), (perSecond, tokens, nowMs) => {
      const bucket = new TokenBucket()
      bucket.take(tokens, perSecond, nowMs)
      const waitMs = bucket.waitMs(perSecond, nowMs)
      assert.ok(waitMs <= maxDebtMs + 1_000 / perSecond)
      assert.ok(bucket.waitMs(perSecond, nowMs + waitMs) < 1e-6)
      assert.ok(bucket.isFull(nowMs + burstMs + maxDebtMs))
    }),
  )
})

test('without a limit nobody waits, and nothing is owed', () => {
  const bucket = new TokenBucket()
  for (let count = 0; count < 1_000; count++) bucket.take(1, Number.POSITIVE_INFINITY, 5)
  assert.equal(bucket.waitMs(Number.POSITIVE_INFINITY, 5), 0)
  assert.ok(bucket.isFull(5))
})
