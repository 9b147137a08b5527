import assert from 'node:assert/strict'
import { test } from 'node:test'
import canonicalize from 'canonicalize'
import fc from 'fast-check'
import {
  type AuditEntry,
  auditEntryId,
  auditIndexOf,
  encodeAuditEntry,
  finishAuditEntry,
  maxAuditEntryBytes,
  parseAuditEntry,
  prepareAuditEntry,
} from './audit.ts'
import { formatInstant } from './instant.ts'

const entry: AuditEntry = {
  host: 'build-box',
  epoch: 3,
  seq: 7,
  atUs: 1_769_853_600_000_001,
  action: 'session.stopped',
  actor: { kind: 'caller', person: 'root-admin', osUser: 'ada', uid: 1001, pid: 4242 },
  session: { id: '0198c0de-0000-7000-8000-000000000001', owner: 'bob' },
  detail: { force: true, signal: 15, reason: 'out of memory' },
}
const textOf = (value: AuditEntry) => Buffer.from(encodeAuditEntry(value)).toString('utf8')

test('an entry is canonical JSON, on one line, with its version', () => {
  assert.equal(
    textOf(entry),
    '{"action":"session.stopped","actor":{"kind":"caller","osUser":"ada","person":"root-admin","pid":4242,"uid":1001},' +
      '"at":"2026-01-31T10:00:00.000001Z","detail":{"force":true,"reason":"out of memory","signal":15},"epoch":3,"host":"build-box",' +
      '"seq":7,"session":{"id":"0198c0de-0000-7000-8000-000000000001","owner":"bob"},"v":1}',
  )
})

const facts = fc.dictionary(
  fc.string({ unit: 'binary' }),
  fc.oneof(fc.string({ unit: 'binary' }), fc.maxSafeInteger(), fc.boolean(), fc.constant(null)),
  { maxKeys: 8 },
)

test('the order in which facts were put in changes no byte, and JSON gives back what was recorded', () => {
  fc.assert(
    fc.property(facts, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), fc.maxSafeNat(), (detail, seq, atUs) => {
      const one = { ...entry, seq, atUs, detail }
      const reversed = Object.fromEntries(Object.entries(detail).reverse())
      const other = Object.fromEntries(Object.entries({ ...one, detail: reversed }).reverse()) as AuditEntry
      assert.equal(textOf(other), textOf(one))
      assert.ok(!textOf(one).includes('\n'))
      const { v, at, ...back } = JSON.parse(textOf(one))
      const { atUs: _, ...recorded } = one
      assert.deepEqual(back, JSON.parse(JSON.stringify(recorded)))
      assert.deepEqual([v, at], [1, formatInstant(atUs)])
      assert.partialDeepStrictEqual(parseAuditEntry(encodeAuditEntry(one)), { host: 'build-box', epoch: 3, seq })
    }),
  )
})

test('an entry that is put together in two steps is canonical as a whole, whatever is in it', () => {
  const text = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(text, text, facts, fc.maxSafeNat(), fc.maxSafeNat(), (host, owner, detail, epoch, seq) => {
      const one = { ...entry, host, session: { id: 'x', owner }, detail, epoch, seq }
      const { atUs, ...rest } = one
      const whole = canonicalize({ ...rest, at: formatInstant(atUs), v: 1 })
      assert.equal(Buffer.from(finishAuditEntry(prepareAuditEntry(one), epoch, seq)).toString('utf8'), whole)
    }),
  )
})

test('an entry is found by what its bytes say', () => {
  const read = (value: AuditEntry) => parseAuditEntry(encodeAuditEntry(value)) ?? assert.fail()
  assert.deepEqual(auditIndexOf(read(entry)), {
    action: 'session.stopped',
    actor: 'root-admin',
    owner: 'bob',
    sessionId: '0198c0de-0000-7000-8000-000000000001',
  })
  const own: AuditEntry = {
    ...entry,
    action: 'service.started',
    actor: { kind: 'service', name: 'api' },
    session: null,
  }
  assert.deepEqual(auditIndexOf(read(own)), { action: 'service.started', actor: null, owner: null, sessionId: null })
  assert.equal(auditEntryId(entry), 'build-box:3:7')
})

test('an entry of before there were keys is of epoch 0, and one of a later program is read as far as it goes', () => {
  const bytes = (text: string) => Buffer.from(text, 'utf8')
  const before = textOf(entry).replace('"epoch":3,', '')
  assert.partialDeepStrictEqual(parseAuditEntry(bytes(before)), { epoch: 0, seq: 7 })
  const later = textOf(entry).replace('session.stopped', 'session.cloned').replace('"v":1', '"v":1,"x":[1]')
  assert.partialDeepStrictEqual(parseAuditEntry(bytes(later)), { action: 'session.cloned' })
})

test('an entry of the greatest size is taken, and one of a byte more is refused', () => {
  const room = maxAuditEntryBytes - textOf({ ...entry, detail: { text: '' } }).length
  assert.equal(encodeAuditEntry({ ...entry, detail: { text: 'x'.repeat(room) } }).length, maxAuditEntryBytes)
  assert.throws(() => encodeAuditEntry({ ...entry, detail: { text: 'x'.repeat(room + 1) } }), {
    name: 'RangeError',
    message: /^cannot record session\.stopped: 65536 bytes/,
  })
})

test('what JSON can not hold is refused', () => {
  for (const value of ['\ud800', 'a\udc00b', Number.NaN, Number.POSITIVE_INFINITY])
    assert.throws(() => encodeAuditEntry({ ...entry, detail: { value } }), { name: 'RangeError', message: /^cannot / })
})

test('bytes that any other program could have written are no entry', () => {
  const text = textOf(entry)
  assert.equal(parseAuditEntry(Buffer.from(text))?.at, '2026-01-31T10:00:00.000001Z')
  for (const other of [
    '',
    '{}',
    'null',
    `${text}\n`,
    ` ${text}`,
    `\ufeff${text}`,
    text.slice(0, -1),
    text.replace('"seq":7', '"seq":7.0'),
    text.replace('"seq":7', '"seq":"7"'),
    text.replace('"v":1', '"v":2'),
    text.replace('"seq":7', '"seq":6,"seq":7'),
    text.replace('"seq":7', '"seq":0'),
    text.replace('"epoch":3', '"epoch":-1'),
    text.replace('"force":true', '"force":[]'),
    text.replace('ada', '\\u0061da'),
    text.replace('2026-01-31T', 'yesterday '),
  ])
    assert.equal(parseAuditEntry(Buffer.from(other)), null, other)
  assert.equal(parseAuditEntry(Buffer.from(text.replace('ada', '\xff'), 'latin1')), null)
})
