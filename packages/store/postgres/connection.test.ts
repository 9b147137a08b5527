import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatInstant } from '@teleclaude/core/instant.ts'
import fc from 'fast-check'
import { parseInstant, parseServer } from './connection.ts'

test('a timestamptz is read exactly, whatever zone the server writes it in', () => {
  assert.equal(parseInstant('1970-01-01 00:00:00+00'), 0)
  assert.equal(parseInstant('2026-01-31 10:00:00.000001+00'), 1_769_853_600_000_001)
  assert.equal(parseInstant('2026-01-31 15:30:00.1+05:30'), 1_769_853_600_100_000)
  assert.equal(parseInstant('1969-12-31 16:00:00-08'), 0)
  assert.equal(parseInstant('1970-01-01 00:19:32+00:19:32'), 0)
  fc.assert(
    fc.property(fc.maxSafeNat(), (us) => {
      assert.equal(parseInstant(formatInstant(us).replace('T', ' ').replace('Z', '+00')), us)
    }),
  )
})

test('a time in any other form is refused', () => {
  for (const text of [
    '31.01.2026 10:00:00 CET',
    'infinity',
    '2026-01-31T10:00:00Z',
    '0044-03-15 00:00:00+00 BC',
    '12026-01-31 10:00:00+00',
    '',
  ]) {
    assert.throws(() => parseInstant(text), RangeError)
  }
})

test('a URL names host, port, user, database and options, by TCP or by socket', () => {
  const { host, port, user, database, password, options, where } = parseServer(
    'postgresql://al%40ice:pw@[::1]:5433/my%20db?options=-c%20a%3Db',
  )
  assert.deepEqual([host, port, user, database, password, options], ['::1', 5433, 'al@ice', 'my db', 'pw', '-c a=b'])
  assert.ok(!where.includes('pw'))
  for (const url of [
    'postgresql://u@localhost/d?host=/run/postgresql',
    'postgresql://u@/d?host=/run/postgresql',
    'postgresql:///d?host=/run/postgresql&user=u',
    'postgresql://u@%2Frun%2Fpostgresql/d',
  ]) {
    const server = parseServer(url)
    assert.deepEqual([server.host, server.user, server.database], ['/run/postgresql', 'u', 'd'], url)
  }
})
