// The machine's accounts while they change: by its own tools, on a copy of /etc that only this test's processes see, in a mount
// namespace (mount_namespaces(7)) that is gone with them.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'

const canMount =
  process.platform === 'linux' &&
  process.getuid?.() === 0 &&
  spawnSync('unshare', ['--mount', 'sh', '-c', 'mount --bind /etc /etc']).status === 0

/** Runs a module's text over the copy, with the functions of os-user.ts, `sh` for commands, and `say` for what is to be
 *  returned. */
function runOnCopy(t: TestContext, script: string): unknown[] {
  const copy = mkdtempSync(join(tmpdir(), 'teleclaude-etc-'))
  t.after(() => rmSync(copy, { recursive: true }))
  cpSync('/etc', copy, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true })
  const module = `
    import { execFileSync } from 'node:child_process'
    import { appendFileSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
    const { loginGroupsOf, osAccountOf, osUserOf } = await import(${JSON.stringify(new URL('os-user.ts', import.meta.url).href)})
    const sh = (command) => execFileSync('sh', ['-ec', command], { stdio: ['ignore', 'ignore', 'inherit'] })
    const said = []
    const say = (value) => said.push(value)
    /** Well before an answer that is remembered would be too old of itself. */
    const until = (isSo) => {
      const endMs = performance.now() + 10_000
      while (!isSo()) if (performance.now() > endMs) throw new Error('it never is: ' + isSo)
    }
    ${script}
    console.log(JSON.stringify(said))`
  // A cache of names would answer from the machine's own files.
  const mount = 'mount --bind "$0" /etc; if [ -d /run/nscd ]; then mount -t tmpfs none /run/nscd; fi; exec "$@"'
  const command = [process.execPath, '--input-type=module', '-e', module]
  const before = fingerprint()
  const { stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-ec', mount, copy, ...command], {
    encoding: 'utf8',
  })
  assert.deepEqual(fingerprint(), before, "the machine's own accounts are as they were")
  return stderr === '' ? JSON.parse(stdout) : assert.fail(stderr)
}

function fingerprint(): readonly unknown[] {
  return ['/etc/passwd', '/etc/group', '/etc/shadow'].map((file) => {
    const { ino, mtimeNs, size } = statSync(file, { bigint: true })
    return [ino, mtimeNs, size]
  })
}

if (canMount) {
  test('an account that is made, renamed, put into groups, deleted, and made anew under another name is known as it is now', (t) => {
    const said = runOnCopy(
      t,
      `
      say([osUserOf(54999), osAccountOf('tc-first'), loginGroupsOf(54999)])
      sh('groupadd -g 54300 tc-team; useradd --no-log-init -M -u 54999 tc-first')
      say(osAccountOf('tc-first')?.uid)
      until(() => osUserOf(54999) === 'tc-first')
      say(loginGroupsOf(54999))
      sh('usermod -aG tc-team tc-first')
      until(() => loginGroupsOf(54999).includes(54300))
      sh('usermod -l tc-renamed tc-first')
      until(() => osUserOf(54999) === 'tc-renamed')
      say([osAccountOf('tc-first'), osAccountOf('tc-renamed')?.uid, loginGroupsOf(54999).includes(54300)])
      sh('userdel tc-renamed')
      until(() => osUserOf(54999) === null)
      say([osAccountOf('tc-renamed'), loginGroupsOf(54999)])
      sh('useradd --no-log-init -M -u 54999 tc-second')
      until(() => osUserOf(54999) === 'tc-second')
      say([osAccountOf('tc-first'), loginGroupsOf(54999).includes(54300)])`,
    )
    const [before, uid, groups, renamed, deleted, second] = said
    assert.deepEqual(before, [null, null, []])
    assert.equal(uid, 54_999)
    assert.ok(Array.isArray(groups) && groups.length === 1)
    assert.deepEqual(renamed, [null, 54_999, true])
    assert.deepEqual(deleted, [null, []])
    assert.deepEqual(second, [null, false])
  })

  test('a file of accounts that is written to in place, or away, is noticed like one that is replaced', (t) => {
    const said = runOnCopy(
      t,
      `
      say(osUserOf(54999))
      appendFileSync('/etc/passwd', 'tc-first:x:54999:54999::/:/bin/sh\\n')
      until(() => osUserOf(54999) === 'tc-first')
      renameSync('/etc/passwd', '/etc/passwd.away')
      until(() => osUserOf(54999) === null)
      renameSync('/etc/passwd.away', '/etc/passwd')
      until(() => osUserOf(54999) === 'tc-first')
      say(osAccountOf('tc-first'))`,
    )
    assert.deepEqual(said, [null, { name: 'tc-first', uid: 54_999, gid: 54_999 }])
  })

  test('somebody in more groups than the first buffer holds is in all of them', (t) => {
    const [groups] = runOnCopy(
      t,
      `
      appendFileSync('/etc/passwd', 'tc-first:x:54999:54999::/:/bin/sh\\n')
      const lines = Array.from({ length: 1000 }, (_, at) => 'tc-' + at + ':x:' + (70_000 + at) + ':tc-first\\n')
      appendFileSync('/etc/group', lines.join(''))
      say(loginGroupsOf(54999))`,
    )
    const expected = [54_999, ...Array.from({ length: 1000 }, (_, at) => 70_000 + at)]
    assert.ok(Array.isArray(groups))
    assert.deepEqual(new Set(groups), new Set(expected))
    assert.equal(groups.length, expected.length)
  })

  test('an account with an entry that is longer than usual is found by name and by uid', (t) => {
    const said = runOnCopy(
      t,
      `
      appendFileSync('/etc/passwd', 'tc-first:x:54999:54999:' + 'x'.repeat(100_000) + ':/:/bin/sh\\n')
      say([osUserOf(54999), osAccountOf('tc-first')?.uid])`,
    )
    assert.deepEqual(said, [['tc-first', 54_999]])
  })
}
