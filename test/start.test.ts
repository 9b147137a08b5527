// From a fresh clone to a first recorded session by one command, as the README says.

import assert from 'node:assert/strict'
import { lstatSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { copyTracked, pathWithOldNode, runCommand } from './support/checkout.ts'

test('scripts/start in a fresh clone, with an old Node, ends in a first recorded session; scripts/stop ends no session', async (t) => {
  const parent = realpathSync(mkdtempSync(join(tmpdir(), 'clone ')))
  t.after(() => rmSync(parent, { recursive: true, force: true }))
  const checkout = join(parent, 'teleclaude')
  copyTracked(checkout)
  const home = realpathSync(mkdtempSync(join(tmpdir(), 'home-')))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  const env = { HOME: home, PATH: await pathWithOldNode(checkout), TELECLAUDE_SOCKET: '', TELECLAUDE_SESSION_ID: '' }
  const script = (name: string, ...args: string[]) =>
    runCommand(join(checkout, 'scripts', name), args, { env, cwd: home })
  const telec = (...args: string[]) => runCommand(join(home, '.local/bin/telec'), args, { env, cwd: home })

  const first = await script('start', '--', 'sh', '-c', 'echo from the first session; exit 3')
  assert.equal(first.code, 3, first.stderr)
  assert.match(first.stdout, /TeleClaude is started\./)
  assert.match(first.stdout, /from the first session\r\n$/)
  assert.match(first.stderr, /Sessions on this system are subject to admin audit\./)
  assert.ok(lstatSync(join(home, '.local/bin/telec')).isSymbolicLink())
  for (const directory of ['.teleclaude', '.teleclaude/run', '.teleclaude/log', '.teleclaude/spool']) {
    assert.equal(statSync(join(home, directory)).mode & 0o777, 0o700, directory)
  }
  for (const file of ['.teleclaude/teleclaude.db', '.teleclaude/log/daemon.log']) {
    assert.equal(statSync(join(home, file)).mode & 0o777, 0o600, file)
  }
  assert.ok(readdirSync(checkout).includes('.runtime'), 'Node came into the checkout')

  const again = await script('start')
  assert.equal(again.code, 0, again.stderr)
  assert.match(again.stdout, /TeleClaude is running\./)
  assert.match(again.stdout, /You are .*, admin/)
  assert.match(again.stdout, /telec run -- COMMAND/)

  const detached = await telec('run', '--detach', '--', 'sh', '-c', 'echo up; exec sleep 300')
  const id = detached.stdout.trim()
  const stopped = await script('stop')
  assert.equal(stopped.code, 0, stopped.stderr)
  assert.match(stopped.stdout, /TeleClaude is stopped/)
  assert.match((await script('stop')).stdout, /TeleClaude is not running/)

  const shown = await telec('show', id, '--json')
  assert.partialDeepStrictEqual(
    JSON.parse(shown.stdout),
    { session: { id, status: 'running' } },
    'telec starts the daemon',
  )
  assert.equal((await telec('stop', '--force', id)).code, 0)
  assert.equal((await telec('doctor')).code, 0)
  assert.equal((await script('stop')).code, 0)
})
