// A configuration that is missing or wrong: said with its place, nothing served, and mended without a restart.

import assert from 'node:assert/strict'
import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { Whoami } from '@teleclaude/core/api.ts'
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
