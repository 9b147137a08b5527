import assert from 'node:assert/strict'
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { loadSystemConfig, type SystemConfig } from '@teleclaude/config/load.ts'
import type { AuditActor, AuditEvent } from '@teleclaude/core/audit.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { pino } from 'pino'
import { RunningConfig } from './running-config.ts'

const actor: AuditActor = { kind: 'service', name: 'api' }
const alice = 'people:\n  - { name: alice, role: admin, os_uid: 1001 }\n'
const bob = '  - { name: bob, role: member, os_uid: 1002 }\n'

const database = { DATABASE_URL: 'postgresql:///x?host=/run/postgresql' }

/** `secrets`: with it the database's URL is a secret, without it the environment's. */
function start(t: TestContext, text: string, secrets?: string) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const files = {
    configFile: join(directory, 'config.yml'),
    secretsFile: join(directory, 'secrets.yml'),
    envFile: join(directory, '.env'),
  }
  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text)
    chmodSync(join(directory, name), 0o600)
  }
  write('config.yml', text)
  if (secrets !== undefined) write('secrets.yml', secrets)
  const load = () => loadSystemConfig({ ...files, env: secrets === undefined ? database : {} })
  const log = pino({ level: 'silent' })
  const config = new RunningConfig<SystemConfig>({ mode: 'system', files, load }, load(), log)
  const recorded: AuditEvent[] = []
  const record = async (events: readonly AuditEvent[]) => {
    recorded.push(...events)
  }
  return { directory, files, write, config, log, record, recorded, reload: () => config.reload(actor, record) }
}

const peopleOf = (config: RunningConfig<SystemConfig>) => config.current.people.people.map(({ name }) => name)

test('what can change at once does, after it is on the record; the rest is listed for a restart', async (t) => {
  const own = start(t, alice)
  own.write('config.yml', `${alice}${bob}host: build-2\nlog_level: debug\nnotice: Hello.\n`)
  const seen: unknown[] = []
  const answer = await own.config.reload(actor, async (events) => {
    seen.push(...peopleOf(own.config))
    await own.record(events)
  })
  assert.deepEqual(seen, ['alice'])
  assert.deepEqual(peopleOf(own.config), ['alice', 'bob'])
  assert.equal(own.config.current.notice, 'Hello.')
  assert.equal(own.log.level, 'debug')
  assert.deepEqual(answer.needsRestart, ['host'])
  assert.deepEqual([...answer.changes].sort(), [
    'log_level: "info" -> "debug"',
    'notice: "Sessions on this system are subject to admin audit." -> "Hello."',
    'people.bob: not set -> {"role":"member","os_uid":[1002]}',
  ])
  const [entry] = own.recorded
  assert.partialDeepStrictEqual(entry, { action: 'config.reloaded', actor, detail: { needsRestart: 'host', parts: 1 } })
  for (const line of answer.changes) assert.ok(String(entry?.detail.lines).includes(line))
  const view = own.config.view()
  assert.notEqual(view.entries.find(({ key }) => key === 'host')?.value, 'build-2')
  assert.deepEqual(view.needsRestart, ['host'])
})

test('a file that is wrong, or gone, changes nothing; that it was refused is on the record', async (t) => {
  const own = start(t, alice)
  own.write('config.yml', `${alice}${bob}rle: 1\n`)
  await assert.rejects(own.reload(), (error: unknown) => {
    assert.ok(error instanceof ProblemError)
    assert.equal(error.code, 'config')
    assert.match(error.message, /config\.yml:4:1: rle is no key/)
    return true
  })
  rmSync(own.files.configFile)
  await assert.rejects(own.reload(), /is not there/)
  assert.deepEqual(peopleOf(own.config), ['alice'])
  assert.deepEqual(
    own.recorded.map(({ action }) => action),
    ['config.refused', 'config.refused'],
  )
})

test('what can not be recorded does not count', async (t) => {
  const own = start(t, alice)
  own.write('config.yml', `${alice}${bob}`)
  await assert.rejects(
    own.config.reload(actor, () => Promise.reject(new Error('the database is away'))),
    /the database is away/,
  )
  assert.deepEqual(peopleOf(own.config), ['alice'])
  await own.reload()
  assert.deepEqual(peopleOf(own.config), ['alice', 'bob'])
})

test('a file that an editor is writing is waited for, in place or renamed, and never taken by half', async (t) => {
  const own = start(t, alice + bob)
  const descriptor = openSync(own.files.configFile, 'r+')
  t.after(() => closeSync(descriptor))
  ftruncateSync(descriptor, 0)
  writeSync(descriptor, alice, 0)
  const inPlace = own.reload()
  for (let part = 0; part < 4; part++) {
    await delay(60)
    writeSync(descriptor, `# ${part}\n`, alice.length + part * 4)
  }
  writeSync(descriptor, bob, alice.length + 16)
  await inPlace
  assert.deepEqual(peopleOf(own.config), ['alice', 'bob'])

  rmSync(own.files.configFile)
  const renamed = own.reload()
  await delay(60)
  writeFileSync(join(own.directory, 'new'), `${alice}notice: New.\n`)
  renameSync(join(own.directory, 'new'), own.files.configFile)
  await renamed
  assert.equal(own.config.current.notice, 'New.')
})

test('two reloads at once are one after the other', async (t) => {
  const own = start(t, alice)
  own.write('config.yml', alice + bob)
  const [first, second] = await Promise.all([own.reload(), own.reload()])
  assert.deepEqual([first?.changes.length, second?.changes.length], [1, 0])
})

test('a secret that changed is said to have, and no more', async (t) => {
  const secret = (password: string) => `db: postgresql://u:${password}@db.example/x?sslmode=verify-full\n`
  const own = start(t, `${alice}database: { url: { secret: db } }\n`, secret('hunter2'))
  own.write('secrets.yml', secret('hunter3'))
  const answer = await own.reload()
  assert.deepEqual(answer.needsRestart, ['database.url'])
  assert.equal(own.recorded.length, 1)
  assert.ok(
    !/hunter[23]/.test(JSON.stringify([answer, own.recorded, own.config.view(), own.config.startEvents(actor)])),
  )
  assert.equal(own.config.current.databaseUrl.reveal().includes('hunter3'), true)
  assert.deepEqual((await own.reload()).needsRestart, ['database.url'])
})

test('a refusal is one entry, however much is wrong', async (t) => {
  const own = start(t, alice)
  own.write('config.yml', Array.from({ length: 20_000 }, (_, at) => `k${at}: x\n`).join(''))
  await assert.rejects(own.reload(), /and 19950 more/)
  assert.equal(own.recorded.length, 1)
  assert.match(String(own.recorded[0]?.detail.lines), /k49 is no key.*\nand 19950 more$/)
})

test('a configuration of thousands of people is on the record whole, in as many entries as it takes', async (t) => {
  const many = Array.from({ length: 3000 }, (_, at) => `  - { name: p${at}, role: member, os_uid: ${2000 + at} }\n`)
  const own = start(t, alice + many.join(''))
  const events = own.config.startEvents(actor)
  assert.ok(events.length > 5)
  const lines = events.map(({ detail }) => String(detail.lines))
  for (const text of lines) assert.ok(Buffer.byteLength(text) <= 16 * 1024)
  const all = lines.join('\n')
  for (let at = 0; at < 3000; at++) assert.ok(all.includes(`people.p${at}: `))
})
