import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clock } from '../output/time.ts'
import { describeAccess } from './opened.ts'

const until = '2026-01-31T16:05:00.000000Z'

test('the owner is told who may do what, until when and why, in one line that does nothing to the terminal', () => {
  const opened = { type: 'access', state: 'opened', grantee: 'carol', reason: 'a bug', drive: false, until } as const
  assert.equal(describeAccess(opened), `carol opened this session and may look until ${clock(until)}: a bug`)
  const drive = { ...opened, drive: true, grantee: 'ca\x1b[2Jrol', reason: 'a\nb\u202e' } as const
  assert.equal(
    describeAccess(drive),
    `ca␛[2Jrol opened this session and may look and type until ${clock(until)}: a␊b\ufffd`,
  )
  const ended = { ...opened, state: 'ended' } as const
  assert.equal(describeAccess(ended), 'carol can not open this session any more. All of it: telec notices')
})
