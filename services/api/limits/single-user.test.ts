import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Client } from '@teleclaude/client/client.ts'
import { pino } from 'pino'
import { startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { testConfig } from '../configuration/test-config.ts'
import { Accounts } from '../identity/accounts.ts'
import { singleUserIdentity } from '../identity/single-user.ts'
import { startServing } from '../serve.ts'

let engine: TestEngine
before(async () => {
  engine = await startEngine('sqlite')
})
after(() => engine.stop())

const host = 'h'
const newSession = { project: '/tmp', agent: null, title: 't', argv: ['true'], terminal: { cols: 80, rows: 24 } }

test('one who has the service for themselves has no limits: hundreds of requests at once, and of sessions', async (t) => {
  const { store } = await engine.createStore()
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const path = join(directory, 'api.sock')
  const serving = await startServing({
    mode: 'single-user',
    store,
    identity: singleUserIdentity({ uid: process.getuid?.() ?? -1, osUser: 'tester' }),
    accounts: await Accounts.load({ store, host }),
    host,
    config: testConfig(),
    log: pino({ level: 'silent' }),
    socket: { path, mode: 0o600 },
    auditKey: { keyFile: join(directory, 'audit.key'), replaceLost: false },
    limits: null,
  })
  t.after(async () => {
    await serving.stop()
    rmSync(directory, { recursive: true })
  })
  const client = new Client(path)
  for (let round = 0; round < 10; round++) {
    const many = Array.from({ length: 50 }, () => client.whoami())
    for (const { person } of await Promise.all(many)) assert.equal(person, 'tester')
  }
  for (let count = 0; count < 150; count++) await client.createSession(newSession)
  assert.equal(await store.sessions.countLive(host, 'tester'), 150)
})
