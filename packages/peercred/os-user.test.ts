import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { loginGroupsOf, osAccountOf, osUserOf } from './os-user.ts'

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

test('accounts are found by their names, groups as id(1) says that a login has them', () => {
  const id = (flag: string, name: string) => spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout.trim()
  for (const name of ['root', 'daemon']) {
    const account = osAccountOf(name)
    assert.ok(account)
    assert.deepEqual(account, { name, uid: Number(id('-u', name)), gid: Number(id('-g', name)) })
    assert.deepEqual(new Set(loginGroupsOf(account.uid)), new Set(id('-G', name).split(' ').map(Number)))
  }
})

test('what is no name of an account, or only begins as one, is nobody; nor has who is nobody any groups', () => {
  for (const name of [
    '',
    'root\0',
    'root\0x',
    '\0root',
    'root ',
    ' root',
    'ROOT',
    '0',
    'none-such',
    'x'.repeat(100_000),
  ])
    assert.equal(osAccountOf(name), null, JSON.stringify(name).slice(0, 20))
  assert.deepEqual(loginGroupsOf(3_999_999_999), [])
})

if (process.platform === 'linux') {
  test('while no file can be opened there is no answer, rather than "nobody"', () => {
    // What the C library and koffi load for a look-up is loaded before.
    const script = `
      const users = await import(${JSON.stringify(new URL('os-user.ts', import.meta.url).href)})
      const { openSync } = await import('node:fs')
      users.loginGroupsOf(1)
      const outcomes = []
      try { for (;;) openSync('/dev/null') } catch (error) { outcomes.push(error.code) }
      for (const attempt of [() => users.osUserOf(2), () => users.osAccountOf('bin'), () => users.loginGroupsOf(2)]) {
        try { outcomes.push(attempt()) } catch (error) { outcomes.push(error.code) }
      }
      console.log(JSON.stringify(outcomes))`
    const command = ['--nofile=64', process.execPath, '--input-type=module', '-e', script]
    const { stdout, stderr } = spawnSync('prlimit', command, { encoding: 'utf8' })
    assert.equal(stderr, '')
    assert.deepEqual(JSON.parse(stdout), ['EMFILE', 'lookup-failed', 'lookup-failed', 'lookup-failed'])
  })
}

test('what is no uid is refused', () => {
  for (const uid of [-1, 0.5, Number.NaN, 0xffff_ffff, 2 ** 32])
    for (const find of [osUserOf, loginGroupsOf]) assert.throws(() => find(uid), { code: 'lookup-failed' })
})
