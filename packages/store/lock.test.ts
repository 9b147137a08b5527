// One instance per host, on both real engines, with real processes that hold the lock.

import assert from 'node:assert/strict'
import { stat, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import { startPostgres } from '../../test/support/postgres-server.ts'
import type { InstanceLock, LockHolder, StoreTarget } from './contract.ts'
import { StoreError } from './contract.ts'
import { acquireInstanceLock, migrate, openStore } from './open.ts'
import { parseServer } from './postgres/connection.ts'
import { acquireLock } from './postgres/lock.ts'
import {
  ending,
  engineNames,
  firstLine,
  isStoreError,
  spawnScript,
  startEngine,
  type TestEngine,
} from './test-engines.ts'

const holder: LockHolder = { host: 'build-box', pid: process.pid, program: 'teleclaude-api' }

const holdingScript = `
  import { acquireInstanceLock } from './open.ts'
  const [target, holder] = process.argv.slice(1).map((text) => JSON.parse(text))
  try {
    await acquireInstanceLock(target, { ...holder, pid: process.pid })
    console.log('held')
    setInterval(() => {}, 1_000_000)
  } catch (error) {
    console.log(error.code)
  }`

const contend = (target: StoreTarget) => spawnScript(holdingScript, JSON.stringify(target), JSON.stringify(holder))

/** A killed process's connection is cleared away by its server, at its own time. */
async function acquireOnceFreed(target: StoreTarget): Promise<InstanceLock> {
  for (;;) {
    try {
      return await acquireInstanceLock(target, holder)
    } catch (error) {
      if (!(error instanceof StoreError && error.code === 'lock-held')) throw error
    }
  }
}

for (const engineName of engineNames) {
  describe(`the instance's lock on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('a second instance is refused, and told who holds the lock', async () => {
      const target = await engine.createTarget()
      const lock = await acquireInstanceLock(target, holder)
      const names = new RegExp(`teleclaude-api.*pid ${process.pid}.*build-box`)
      await assert.rejects(acquireInstanceLock(target, { ...holder, pid: 1 }), isStoreError('lock-held', names))
      // The refusal has taken nothing from the holder.
      assert.equal(await firstLine(contend(target)), 'lock-held')
      await lock.release()
      await lock.release()
      await (await acquireInstanceLock(target, holder)).release()
    })

    test('kill -9 of the holder frees the lock', async () => {
      const target = await engine.createTarget()
      const child = contend(target)
      assert.equal(await firstLine(child), 'held')
      await assert.rejects(
        acquireInstanceLock(target, holder),
        isStoreError('lock-held', new RegExp(`pid ${child.pid}`)),
      )
      child.kill('SIGKILL')
      assert.equal(await ending(child), 'SIGKILL')
      await (await acquireOnceFreed(target)).release()
    })

    test('the store is used by others while the lock is held', async () => {
      const { target } = await engine.createStore()
      const lock = await acquireInstanceLock(target, holder)
      const store = await openStore(target)
      await store.ping()
      await store.close()
      await lock.release()
    })
  })
}

describe("the instance's lock on a SQLite file", () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('sqlite')
  })
  after(() => engine.stop())

  test('what a holder once wrote keeps nobody out, nor does nonsense in its place', async () => {
    const target = await engine.createTarget()
    assert.equal(target.engine, 'sqlite')
    await writeFile(`${target.file}.lock.json`, 'nonsense')
    const lock = await acquireInstanceLock(target, holder)
    await writeFile(`${target.file}.lock.json`, '{"pid":')
    await assert.rejects(acquireInstanceLock(target, holder), isStoreError('lock-held', /another instance/))
    await lock.release()
  })

  test('its files are for their owner alone', async () => {
    const target = await engine.createTarget()
    assert.equal(target.engine, 'sqlite')
    const lock = await acquireInstanceLock(target, holder)
    for (const path of [`${target.file}.lock`, `${target.file}.lock.json`])
      assert.equal((await stat(path)).mode & 0o777, 0o600)
    await lock.release()
  })
})

describe("the instance's lock on a PostgreSQL server", () => {
  test('hosts do not stand in each other’s way', async () => {
    await using server = await startPostgres()
    const target = { engine: 'postgres', url: await server.createDatabase() } as const
    const locks = [
      await acquireInstanceLock(target, holder),
      await acquireInstanceLock(target, { ...holder, host: 'other-box' }),
    ]
    for (const lock of locks) await lock.release()
  })

  test('the lock is lost when its connection is cut, and when the server dies', async () => {
    await using server = await startPostgres({ own: true })
    const url = await server.createDatabase()
    const target = { engine: 'postgres', url } as const
    await migrate(target)
    const cut = await acquireInstanceLock(target, holder)
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'teleclaude-api%'",
    )
    await client.end()
    assert.equal((await cut.lost).code, 'unavailable')
    await cut.release()
    const killed = await acquireInstanceLock(target, holder)
    assert.ok(server.pid)
    process.kill(server.pid, 'SIGKILL')
    assert.equal((await killed.lost).code, 'unavailable')
    await killed.release()
  })

  test('the lock counts as lost when the server says nothing any more', async () => {
    await using server = await startPostgres({ own: true })
    const url = await server.createDatabase()
    const lock = await acquireLock(parseServer(url), holder, { heartbeatMs: 50, heartbeatTimeoutMs: 200 })
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const { rows } = await client.query(
      "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'teleclaude-api%'",
    )
    await client.end()
    process.kill(rows[0].pid, 'SIGSTOP')
    assert.match((await lock.lost).message, /cannot go on/)
    await lock.release()
    process.kill(rows[0].pid, 'SIGCONT')
  })
})
