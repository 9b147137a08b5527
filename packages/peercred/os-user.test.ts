import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { osUserOf } from './os-user.ts'

/** What id(1) says, null where it knows no such user. */
function nameById(uid: number): string | null {
  const { status, stdout } = spawnSync('id', ['-un', String(uid)], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : null
}

test('uids, one’s own and others, have the names that the system resolves them to', () => {
  for (const uid of [process.getuid?.() ?? 0, 0, 1]) {
    const name = nameById(uid)
    assert.equal(osUserOf(uid), name)
    assert.equal(osUserOf(uid), name, 'the remembered answer is the same')
  }
})

test('a uid without an account has no name', () => {
  assert.equal(osUserOf(3_999_999_999), null)
})

test('what is no uid is refused', () => {
  for (const uid of [-1, 0.5, Number.NaN, 0xffff_ffff, 2 ** 32])
    assert.throws(() => osUserOf(uid), { code: 'lookup-failed' })
})
