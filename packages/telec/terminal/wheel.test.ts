import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionView } from '@teleclaude/core/api.ts'
import { parseDetachKey } from './detach-key.ts'
import { describeChange, describeCut, describeSeat } from './wheel.ts'

const at = '2026-01-31T10:00:00.000000Z'
const session: SessionView = {
  id: '0b5c1e2a-0000-4000-8000-000000000001',
  host: 'h',
  owner: { person: 'alice', uid: 1000, osUser: 'alice' },
  own: true,
  project: '/p',
  agent: null,
  title: 'sh',
  argv: ['sh'],
  terminal: { cols: 80, rows: 24 },
  status: 'running',
  exit: null,
  createdAt: at,
  startedAt: at,
  endedAt: null,
  lastOutputAt: null,
  transcriptBytes: 0,
  transcriptRemovedAt: null,
  parent: null,
  agentStatus: { state: 'unknown', source: null, since: null },
}
const key = parseDetachKey('ctrl-\\ d')
const nobody = { driving: false, driver: null }
const alice = { driving: false, driver: { person: 'alice', uid: 1000 } }
const evil = { driving: false, driver: { person: 'e\x1b[2Jvil', uid: 1001 } }
const me = { driving: true, driver: { person: 'alice', uid: 1000 } }

test('who looks at the session of somebody else is not told to drive it', () => {
  const theirs = { ...session, own: false }
  const { whole, short } = describeSeat(alice, theirs, key)
  assert.equal(whole, 'alice drives this session; you are looking. leave: Ctrl-\\ d')
  assert.equal(short, 'alice drives; you are looking. leave: Ctrl-\\ d')
  assert.match(describeSeat(nobody, theirs, key).whole, /^Nobody drives this session; you are looking\./)
  assert.equal(describeChange(alice, nobody, theirs), 'Nobody drives now.')
})

test('who joins and does not drive is told who does, how to take over and how to leave', () => {
  const { whole, short } = describeSeat(alice, session, key)
  assert.equal(
    whole,
    'alice drives this session from another terminal; you are looking. Take over: telec attach --take 0b5c1e2a; leave: Ctrl-\\ d',
  )
  assert.equal(short, 'alice drives. Take over: telec attach --take 0b5c1e2a; leave: Ctrl-\\ d')
  assert.match(describeSeat(nobody, session, key).whole, /nobody drives it\. Drive it: telec attach 0b5c1e2a; leave/)
})

test('a change of the wheel is told to those who see one', () => {
  for (const [before, now, told] of [
    [me, alice, 'alice took the wheel. Take it back: telec attach --take 0b5c1e2a'],
    [alice, nobody, 'Nobody drives now. Drive it: telec attach 0b5c1e2a'],
    [nobody, alice, 'alice drives this session now.'],
    [alice, me, 'You drive this session now.'],
    [me, me, null],
    [nobody, nobody, null],
  ] as const) {
    assert.equal(describeChange(before, now, session), told)
  }
})

test('names act on no terminal', () => {
  assert.equal(describeChange(nobody, evil, session), 'e␛[2Jvil drives this session now.')
  assert.match(describeSeat(evil, session, key).short, /^e␛\[2Jvil drives\./)
})

test('a terminal that is smaller in either direction is told so', () => {
  const size = { cols: 80, rows: 24 }
  assert.equal(describeCut(size, size), null)
  assert.equal(describeCut({ cols: 120, rows: 40 }, size), null)
  for (const smaller of [
    { cols: 79, rows: 40 },
    { cols: 120, rows: 23 },
  ]) {
    assert.match(describeCut(smaller, size) ?? '', /the session's 80x24/)
  }
})
