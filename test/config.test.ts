// The configuration as its owner meets it: shown with its origins, checked, reloaded under running sessions.

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import type { ConfigView } from '@teleclaude/core/api.ts'
import { Installation } from './support/installation.ts'

let own: Installation
before(async () => {
  own = await Installation.make('sqlite', { NO_COLOR: '1' })
  mkdirSync(join(own.home, '.teleclaude'), { mode: 0o700 })
})
after(() => own[Symbol.asyncDispose]())
beforeEach(() => {
  for (const name of ['config.yml', '.env', 'secrets.yml']) rmSync(file(name), { force: true })
})

const file = (name: string) => join(own.home, '.teleclaude', name)
const write = (name: string, text: string) => writeFileSync(file(name), text, { mode: 0o600 })

async function telec(...args: string[]) {
  const { code, stdout, stderr } = await own.telec(args)
  return { code, stdout: stdout.toString('utf8'), stderr }
}

type Shown = ConfigView & { readonly from: string }
async function show(...args: string[]): Promise<Shown> {
  const { code, stdout, stderr } = await telec('config', 'show', '--json', ...args)
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

test('without any file everything is a default, no service is started to say so, and there is nothing to check', async () => {
  const { entries, from, mode } = await show()
  assert.equal(mode, 'single-user')
  assert.equal(from, 'from the files: no service runs')
  assert.deepEqual(
    entries.filter(({ origin }) => origin.layer !== 'default').map(({ key }) => key),
    // The installation of these tests has a name of its own.
    ['host'],
  )
  assert.equal((await telec('doctor', '--json')).stdout.includes('no daemon runs'), true)
  const { code, stdout } = await telec('config', 'check')
  assert.equal(code, 0)
  assert.match(stdout, /There is no configuration file \(.*config\.yml\): defaults hold/)
  const text = await telec('config', 'show')
  assert.match(text.stdout, /^KEY {2,}VALUE$/m)
  assert.match(text.stdout, /^single-user mode \(.*api\.sock, by single-user\)/m)
})

test('each value says its layer and line, what it hides, and when a change counts', async () => {
  write('config.yml', 'agent: claude\nhost: from-file\nnotice: Hello.\n')
  write('.env', 'TELECLAUDE_HOST=from-env-file\n')
  const { stdout } = await telec('config', 'show', '--origin')
  const line = (key: string) => stdout.split('\n').find((text) => text.startsWith(`${key} `)) ?? assert.fail(stdout)
  assert.match(
    line('host'),
    /^host +host-\S+ +environment +TELECLAUDE_HOST +environment \S+\.env:1, system \S+config\.yml:2 +restart$/,
  )
  assert.match(line('notice'), /^notice +Hello\. +system +\S+config\.yml:3 +- +live$/)
  assert.match(line('agent'), /^agent +claude +personal +\S+config\.yml:1 +- +next command$/)
  assert.match(line('log_level'), /^log_level +info +default +- +- +live$/)
  assert.equal((await telec('config', 'show', 'notice')).stdout, 'Hello.\n')
  for (const unset of ['database.url', 'mode']) assert.equal((await telec('config', 'show', unset)).stdout, '-\n')
  const unknown = await telec('config', 'show', 'notise')
  assert.equal(unknown.code, 65)
  assert.match(unknown.stderr, /cannot show notise: there is no such key; did you mean notice\?/)
})

test('a .env of the directory that somebody happens to be in is not read', async () => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'tc-cwd-'))
  writeFileSync(join(elsewhere, '.env'), 'TELECLAUDE_LOG_LEVEL=nonsense\n')
  const { code, stdout } = await own.telec(['config', 'show', 'log_level'], { cwd: elsewhere })
  rmSync(elsewhere, { recursive: true })
  assert.deepEqual([code, stdout.toString('utf8')], [0, 'info\n'])
})

test('check names every problem of every file with place and mend, and exits 78', async () => {
  write('config.yml', 'agnt: claude\nhost: two words\npeople: []\napi_key: x\n')
  write('.env', 'nonsense\n')
  write('secrets.yml', 'Db: 5\n')
  chmodSync(file('secrets.yml'), 0o644)
  const { code, stdout } = await telec('config', 'check')
  assert.equal(code, 78)
  for (const [place, problem, mend] of [
    ['config.yml:1:1', 'agnt is no key that is known here', 'did you mean agent?'],
    ['config.yml:2:7', 'host is no host name', 'set it to a name such as build-1'],
    ['config.yml:3:1', 'people is for a service of the whole machine', 'take it away'],
    ['config.yml:4:1', 'api_key is no key that is known here, and by its name a secret', 'take it out of this file'],
    ['.env:1:1', 'is no assignment', 'write NAME=value'],
    ['secrets.yml:1:', '', 'write'],
    ['secrets.yml:1:1', 'mode 0644', 'chmod 600'],
  ]) {
    const lines = stdout.split('\n')
    const found = lines.findIndex((text) => text.includes(`${place}`) && text.includes(`${problem}`))
    assert.ok(found !== -1 && lines[found + 1]?.includes(`${mend}`), `${place} ${problem}\n${stdout}`)
  }
  const { ok, files } = JSON.parse((await telec('config', 'check', '--json')).stdout)
  assert.equal(ok, false)
  assert.deepEqual(files.map(({ kind }: { kind: string }) => kind).sort(), ['env', 'secrets', 'single-user'])
  // A file of the machine's configuration, checked by somebody who has no service at all.
  write('machine.yml', 'people:\n  - { name: alice, role: boss, os_uid: 1 }\n')
  const machine = await telec('config', 'check', file('machine.yml'))
  assert.equal(machine.code, 78)
  assert.match(machine.stdout, /machine\.yml:2:26: people\[0\]\.role is no role\n +write one of newcomer/)
  assert.equal((await telec('config', 'check', '--as', 'personal', file('machine.yml'))).code, 78)
  rmSync(file('machine.yml'))
})

test('wrong files keep the daemon from starting, with all the places; doctor says the same', async () => {
  write('config.yml', 'host: two words\nlog_level: loud\n')
  const env = { TELECLAUDE_HOST: '' }
  const other = await Installation.make('sqlite', env)
  mkdirSync(join(other.home, '.teleclaude'), { mode: 0o700 })
  writeFileSync(join(other.home, '.teleclaude/config.yml'), 'host: two words\nlog_level: loud\n')
  const { code, stderr } = await other.telec(['run', '--', 'true'])
  const doctor = await other.telec(['doctor'])
  await other[Symbol.asyncDispose]()
  assert.equal(code, 78, stderr)
  assert.match(stderr, /config\.yml:1:7: host is no host name/)
  assert.match(stderr, /config\.yml:2:12: log_level is no log level/)
  assert.equal(doctor.code, 78)
  assert.match(doctor.stdout.toString('utf8'), /config\.yml:2:12: log_level is no log level/)
})

test('a reload counts at once or says what waits for a restart; what runs goes on, and a wrong file changes nothing', async () => {
  write('config.yml', 'notice: Before.\n')
  const running = own.telec(
    ['run', '--title', 'through', '--', 'sh', '-c', 'echo up; read -r line; echo "read $line"'],
    {
      input: 'on\n',
    },
  )
  const first = await own.telec(['run', '--detach', '--', 'sleep', '300'])
  assert.equal(first.stderr, 'Before.\n')
  write('config.yml', 'notice: After.\nlog_level: debug\n')
  const reloaded = await telec('config', 'reload')
  assert.equal(reloaded.code, 0, reloaded.stderr)
  assert.match(reloaded.stdout, /^ {2}notice: "Before\." -> "After\."$/m)
  assert.match(reloaded.stdout, /^ {2}log_level: "info" -> "debug"$/m)
  assert.equal((await own.telec(['run', '--', 'true'])).stderr, 'After.\n')
  assert.equal((await show('notice')).from, 'as the service runs with it')

  write('config.yml', 'notice: Third.\nhst: x\n')
  const refused = await telec('config', 'reload')
  assert.equal(refused.code, 78)
  assert.match(refused.stderr, /config\.yml:2:1: hst is no key that is known here; did you mean host\?/)
  assert.match(refused.stderr, /The configuration that was loaded before stays\./)
  assert.equal((await own.telec(['run', '--', 'true'])).code, 78)
  write('config.yml', 'notice: After.\n')
  assert.equal((await own.telec(['run', '--', 'true'])).stderr, 'After.\n')

  write('config.yml', 'notice: After.\ndatabase: { url: "postgresql:///x?host=/nowhere" }\n')
  assert.match((await telec('config', 'reload')).stdout, /Waiting for a restart of the service: database\.url/)
  assert.match((await telec('config', 'show')).stdout, /changed in the files, waiting for a restart: database\.url/)

  const id = first.stdout.toString('utf8').trim()
  assert.equal((await own.client.readSession(id)).status, 'running')
  const ended = await running
  assert.equal(ended.code, 0)
  assert.match(ended.stdout.toString('utf8'), /read on/)
})

test('schemas for editors are JSON Schema of each kind of file', async () => {
  for (const kind of ['system', 'single-user', 'personal', 'secrets']) {
    const { code, stdout } = await telec('config', 'schema', kind)
    assert.equal(code, 0)
    assert.partialDeepStrictEqual(JSON.parse(stdout), {
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
    })
    assert.ok(!stdout.includes('"mend"'))
  }
  assert.equal((await telec('config', 'schema', 'nonsense')).code, 64)
})
