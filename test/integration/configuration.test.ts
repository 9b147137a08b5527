// A configuration that is missing or wrong: said with its place, nothing served, and mended without a restart.

import assert from 'node:assert/strict'
import { chmodSync, chownSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ConfigView, Whoami } from '@teleclaude/core/api.ts'
import { Appliance } from '../support/appliance.ts'

let own: Appliance
before(async () => {
  own = Appliance.prepare({ config: 'people:\n  - name: alice\n    rolle: admin\n    os_username: alice\n' })
  await own.startUpTo('auditor')
})
after(() => own[Symbol.asyncDispose]())

test('a key that there is not: file, line, column, and what was meant; unhealthy, and no socket', async () => {
  await own.untilLog('api', /config\.yml:3:5.*rolle.*role/s)
  await own.untilHealth('api', 'unhealthy')
  assert.equal((await own.curl('/healthz', 'alice')).code, 0)
})

test('broken YAML: file, line, column', async () => {
  writeFileSync(own.configFile, 'people: [\n')
  await own.untilLog('api', /config\.yml:2:1/)
})

test('a file that the service may not read: how to let it', async () => {
  chmodSync(own.configFile, 0o600)
  await own.untilLog('api', /chmod/)
})

test('no file: its path', async () => {
  rmSync(own.configFile)
  await own.untilLog('api', /config\.yml:1:1: is not there/)
})

test('the mended file is picked up at once, and people by uid need no account', async () => {
  writeFileSync(own.configFile, 'people:\n  - name: eve\n    role: admin\n    os_uid: 30999\n')
  await own.untilReady()
  const who = await own.json<Whoami>('stranger', ['whoami'])
  assert.deepEqual([who.person, who.role, who.osUser], ['eve', 'admin', null])
  // Without a rule for accounts, nobody is somebody by having one.
  assert.equal((await own.json<Whoami>('alice', ['whoami'])).role, 'public')
  assert.equal((await own.telec('stranger', ['run', '--', 'true'])).code, 0)
})

test('a reload, by an admin or by a signal, counts at once and is shown; who is none sees preferences alone', async () => {
  const people = (role: string) =>
    writeFileSync(
      own.configFile,
      `people:\n  - { name: eve, role: admin, os_uid: 30999 }\n  - { name: alice, role: ${role}, os_username: alice }\n`,
    )
  people('member')
  const reloaded = await own.telec('stranger', ['config', 'reload'])
  assert.equal(reloaded.code, 0, reloaded.stderr)
  assert.match(
    reloaded.stdout.toString('utf8'),
    /^ {2}people\.alice: not set -> \{"role":"member","os_username":\["alice"\]\}$/m,
  )
  assert.equal((await own.json<Whoami>('alice', ['whoami'])).role, 'member')
  assert.equal((await own.telec('alice', ['config', 'reload'])).code, 77)

  const { entries } = await own.json<ConfigView>('stranger', ['config', 'show'])
  assert.partialDeepStrictEqual(
    entries.find(({ key }) => key === 'people.alice'),
    { origin: { layer: 'system', place: '/etc/teleclaude/config.yml:3' }, applies: 'live' },
  )
  const seen = (await own.json<ConfigView>('alice', ['config', 'show'])).entries
  assert.deepEqual(new Set(seen.map(({ applies }) => applies)), new Set(['next command']))

  people('contributor')
  await own.signal('api', 'SIGHUP')
  await own.untilLog('api', /"msg":"configuration reloaded".*/s)
  while ((await own.json<Whoami>('alice', ['whoami'])).role !== 'contributor') await delay(50)
})

test('secrets that everybody can read are refused with the command that closes them, which then does', async () => {
  const secrets = join(dirname(own.configFile), 'secrets.yml')
  writeFileSync(secrets, 'spare: "x"\n')
  chmodSync(secrets, 0o644)
  const refused = await own.telec('stranger', ['config', 'reload'])
  assert.equal(refused.code, 78)
  assert.match(refused.stderr, /\/etc\/teleclaude\/secrets\.yml.*mode 0644.*chmod/s)
  chownSync(secrets, 0, 60_700)
  chmodSync(secrets, 0o640)
  const taken = await own.telec('stranger', ['config', 'reload'])
  assert.equal(taken.code, 0, taken.stderr)
  assert.match(taken.stdout.toString('utf8'), /secrets\.yml:1.* is referenced nowhere/)

  // Who needs none of them is not kept from working by secrets that are the api's alone.
  chownSync(secrets, 60_701, 60_700)
  chmodSync(secrets, 0o600)
  await own.stopService('auditor')
  await own.startAgain('auditor')
  await own.untilHealthy('auditor')
  assert.equal((await own.run('migrator', ['status'])).code, 0)
})
