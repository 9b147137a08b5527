import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UsageLimits } from '@teleclaude/config/load.ts'
import fc from 'fast-check'
import { type Lease, Limits, type Refusal } from './user-limits.ts'

const sessions = { newcomer: 1, contributor: 1, member: 1, admin: 1 }
const few: UsageLimits = { connections: 4, requestsPerSecond: 10, streams: 2, sessions }

/** Uids below 1000 are known. The clock stands still until it is moved. */
function make(limits: UsageLimits = few, capacity = Number.POSITIVE_INFINITY) {
  const state = { limits, nowMs: 0, notes: [] as string[] }
  const subject = new Limits({
    current: () => state.limits,
    isKnown: (uid) => uid < 1000,
    capacity,
    note: (peer, reason) => state.notes.push(`${peer.uid}: ${reason}`),
    nowMs: () => state.nowMs,
  })
  const connect = (uid: number) => subject.connect({ uid, pid: 7 })
  return { state, subject, connect }
}

const isLease = (outcome: Lease | Refusal): outcome is Lease => !('refused' in outcome)
const isRefused = (outcome: unknown): boolean => typeof outcome === 'object' && outcome !== null

function taken(outcome: Lease | Refusal): Lease {
  if (isLease(outcome)) return outcome
  throw new Error(outcome.reason)
}

test('a user has so many connections open, and one more for each that is closed', () => {
  const { connect } = make()
  const leases = [1, 2, 3, 4].map(() => taken(connect(1)))
  assert.partialDeepStrictEqual(connect(1), {
    refused: true,
    reason: 'one user may have 4 connections at the same time',
  })
  assert.ok(isLease(connect(2)), 'another user has their own')
  leases[0]?.close()
  assert.ok(isLease(connect(1)))
  assert.ok(isRefused(connect(1)))
})

test('whatever they do, nobody has more open than they may, and strangers together not more than two users', () => {
  const uid = fc.constantFrom(1, 2, 5001, 5002, 5003, 5004, 5005)
  const step = fc.oneof(
    fc.record({ kind: fc.constant('connect' as const), uid }),
    fc.record({ kind: fc.constant('close' as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant('request' as const), which: fc.nat(20), tokens: fc.integer({ min: 1, max: 33 }) }),
    fc.record({ kind: fc.constant('stream' as const), which: fc.nat(20) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(3_000) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const { state, subject, connect } = make()
      const open: { uid: number; lease: Lease; streams: number }[] = []
      for (const each of steps) {
        const some = 'which' in each ? open[each.which % Math.max(1, open.length)] : undefined
        if (each.kind === 'connect') {
          const lease = connect(each.uid)
          if (isLease(lease)) open.push({ uid: each.uid, lease, streams: 0 })
        } else if (each.kind === 'wait') state.nowMs += each.ms
        else if (some === undefined) continue
        else if (each.kind === 'request') some.lease.request(each.tokens)
        else if (each.kind === 'stream') {
          if (some.lease.openStream() === null) some.streams += 1
        } else {
          for (; some.streams > 0; some.streams--) some.lease.closeStream()
          some.lease.close()
          open.splice(open.indexOf(some), 1)
        }
        for (const who of new Set(open.map((one) => one.uid))) {
          const own = open.filter((one) => one.uid === who)
          assert.ok(own.length <= few.connections)
          assert.ok(own.reduce((sum, { streams }) => sum + streams, 0) <= few.streams)
        }
        assert.ok(open.filter((one) => one.uid >= 1000).length <= 2 * few.connections)
      }
      for (const { lease, streams } of open) {
        for (let left = streams; left > 0; left--) lease.closeStream()
        lease.close()
      }
      // Everything that was taken has been given back, and nobody is remembered.
      state.nowMs += 100_000
      taken(connect(9)).close()
      assert.equal(subject.size, 1)
      for (let count = 0; count < few.connections; count++) taken(connect(1))
    }),
    { numRuns: 300 },
  )
})

test('requests beyond the rate wait for up to a second, and then they are refused until there is room again', () => {
  const { state, connect } = make()
  const lease = taken(connect(1))
  // The connection has paid for the first.
  const waits = Array.from({ length: 31 }, () => lease.request(1))
  assert.deepEqual(waits.slice(0, 20), Array(20).fill(0))
  assert.deepEqual(waits.slice(20, 30), [100, 200, 300, 400, 500, 600, 700, 800, 900, 1_000])
  assert.partialDeepStrictEqual(waits[30], {
    refused: true,
    reason: 'one user may ask 10 times a second',
    retryAfterS: 1,
  })
  assert.ok(isRefused(connect(1)), 'a new connection is a request, too')
  // What is refused takes nothing.
  state.nowMs += 100
  assert.equal(lease.request(1), 1_000)
  assert.equal(taken(connect(2)).request(1), 0)
})

test('a body costs by its length, afterwards: it is taken where there is a token for its request', () => {
  const { state, connect } = make()
  const lease = taken(connect(1))
  assert.equal(lease.request(33), 0)
  const refused = lease.request(1)
  assert.partialDeepStrictEqual(refused, { refused: true })
  state.nowMs += 1_400
  assert.equal(lease.request(1), 0)
})

test('what could not be refused any more is paid for by what comes next, for ten seconds and not longer', () => {
  const { state, connect } = make()
  const lease = taken(connect(1))
  lease.request(1)
  lease.charge(4_000)
  assert.partialDeepStrictEqual(lease.request(1), { retryAfterS: 10 })
  assert.ok(isRefused(connect(1)))
  state.nowMs += 10_100
  assert.equal(lease.request(1), 0)
})

test('streams are counted by user, over all of their connections', () => {
  const { connect } = make()
  const [one, other] = [taken(connect(1)), taken(connect(1))]
  assert.equal(one.openStream(), null)
  assert.equal(other.openStream(), null)
  assert.partialDeepStrictEqual(one.openStream(), { reason: 'one user may have 2 streams at the same time' })
  other.closeStream()
  assert.equal(one.openStream(), null)
})

test('strangers share what two users may have; who is known is not touched by them, nor by becoming known', () => {
  const { state, subject, connect } = make({ ...few, connections: 20 })
  let open = 0
  for (let uid = 100_000; uid < 165_536; uid++) {
    const outcome = connect(uid)
    if (!isLease(outcome)) continue
    open += 1
    outcome.close()
  }
  // Ten tokens each, of 20 a second, 40 at once and 20 that are waited for.
  assert.equal(open, 6)
  assert.ok(subject.size <= open)
  assert.match(
    state.notes[0] ?? '',
    /^1000\d\d: all users together whom this service does not know may ask 20 times a second$/,
  )
  assert.equal(state.notes.length, 1)
  assert.equal(taken(connect(1)).request(1), 0)
  state.nowMs += 60_000
  for (let uid = 100_000; uid < 165_536; uid++) connect(uid)
  assert.deepEqual(state.notes.length, 2)
  assert.match(state.notes[1] ?? '', /\(refused \d+ times since the last note\)$/)
})

test('one stranger alone leaves the others something', () => {
  const { connect } = make()
  for (let count = 0; count < 100; count++) connect(5001)
  assert.ok(isLease(connect(5002)))
})

test('some refusals a second are explained; the rest are known beforehand, and closed without a word', () => {
  const { state, subject, connect } = make()
  for (let count = 0; count < few.connections; count++) connect(1)
  assert.equal(subject.isFlooded, false)
  let explained = 0
  let dropped = 0
  for (let count = 0; count < 1_000; count++) {
    if (subject.drops({ uid: 1, pid: 7 })) dropped += 1
    else {
      const refusal = connect(1)
      if (isLease(refusal)) assert.fail('it was taken')
      if (refusal.explain) explained += 1
    }
  }
  assert.deepEqual([explained, dropped], [20, 980])
  assert.ok(subject.isFlooded)
  assert.equal(subject.drops({ uid: 2, pid: 7 }), false)
  assert.deepEqual(state.notes, ['1: one user may have 4 connections at the same time'])
  state.nowMs += 1_000
  assert.equal(subject.isFlooded, false)
  assert.equal(subject.drops({ uid: 1, pid: 7 }), false)
})

test('changed limits hold from the next request', () => {
  const { state, connect } = make()
  const leases = [1, 2, 3, 4].map(() => taken(connect(1)))
  state.limits = { ...few, connections: 5, streams: 1 }
  assert.ok(isLease(connect(1)))
  state.limits = { ...few, connections: 4, streams: 0 }
  assert.ok(isRefused(connect(1)))
  assert.ok(isRefused(leases[0]?.openStream()))
})

test('nobody has more than a quarter of what the process has room for', () => {
  const { connect } = make({ ...few, connections: 2_000 }, 40)
  for (let count = 0; count < 10; count++) taken(connect(1))
  assert.partialDeepStrictEqual(connect(1), { reason: 'one user may have 10 connections at the same time' })
})
