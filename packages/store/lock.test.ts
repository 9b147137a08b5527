// One instance per host, on both real engines, with real processes that hold the lock.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { stat, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { inspect } from 'node:util'
import { z } from 'zod'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'
import type { InstanceLock, LockHolder, StoreTarget } from './contract.ts'
import { StoreError } from './contract.ts'
import { acquireInstanceLock, migrate, openStore } from './open.ts'
import { connectClient, parseServer, translateClientError } from './postgres/connection.ts'
import { acquireLock } from './postgres/lock.ts'
import {
  ending,
  engineNames,
  firstLine,
  isStoreError,
  newSession,
  queryRows,
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

  describe('that goes away', () => {
    let server: TestPostgres
    before(async () => {
      server = await startPostgres({ own: true })
    })
    after(() => server.stop())

    const patience = { heartbeatMs: 50, answerMs: 300, retryMs: 20 }

    /** A lock, a store that was opened with it, and the server's process that keeps the lock. */
    async function holdOnNewDatabase() {
      const target = { engine: 'postgres', url: await server.createDatabase() } as const
      await migrate(target)
      const lock = await acquireLock(parseServer(target.url), holder, patience)
      const store = await openStore(target, { lock })
      await store.ping()
      return { target, lock, store, backend: await backendOf(target, 'teleclaude-api%') }
    }

    test('is used no more while the lock is away, and again when it is back', async () => {
      const { target, lock, store, backend } = await holdOnNewDatabase()
      // Tried right then: it can be back before anybody looks.
      const tried = new Promise<readonly PromiseSettledResult<unknown>[]>((resolve) => {
        lock.onAway(() => resolve(Promise.allSettled([store.ping(), store.sessions.create(newSession())])))
      })
      await queryRows(target, `SELECT pg_terminate_backend(${backend})`)
      for (const outcome of await tried) {
        assert.ok(outcome.status === 'rejected')
        assert.ok(isStoreError('unavailable', /holds this host's lock broke; it is being asked/)(outcome.reason))
      }
      await until(() => isHeld(lock))
      await store.ping()
      await assert.rejects(acquireInstanceLock(target, holder), isStoreError('lock-held'))
      await lock.release()
      await assert.rejects(store.ping(), isStoreError('unavailable', /released/))
      await store.close()
    })

    test('comes back after a crash, and nothing is written before the lock is held again', async () => {
      const { target, lock, store } = await holdOnNewDatabase()
      const victim = await backendOf(target, 'teleclaude')
      // PostgreSQL takes down everybody when one of its processes is killed, and starts anew.
      process.kill(victim, 'SIGKILL')
      await until(() => !isHeld(lock))
      await assert.rejects(store.sessions.create(newSession()), isStoreError('unavailable'))
      await until(() => isHeld(lock))
      await assert.rejects(acquireInstanceLock(target, holder), isStoreError('lock-held'))
      await store.ping()
      await lock.release()
      await store.close()
    })

    test('is not waited for when it is frozen, and its old session of ours is no other instance', async () => {
      const { target, lock, store, backend } = await holdOnNewDatabase()
      // What nobody answers is given up with the lock, too.
      const blocking = await connectClient(parseServer(target.url), 'blocking')
      await blocking.query('BEGIN; LOCK TABLE sessions')
      const blocked = assert.rejects(
        store.sessions.listLive('h'),
        isStoreError('unavailable', /it is being asked for again/),
      )
      process.kill(backend, 'SIGSTOP')
      await until(() => !isHeld(lock))
      await blocked
      await blocking.end()
      const startedMs = performance.now()
      await assert.rejects(store.ping(), isStoreError('unavailable'))
      assert.ok(performance.now() - startedMs < 1_000)
      // Until it thaws, the frozen session keeps the lock: whoever asks finds it held, the instance itself, too.
      await assert.rejects(acquireInstanceLock(target, holder), isStoreError('lock-held'))
      process.kill(backend, 'SIGCONT')
      await until(() => isHeld(lock))
      assert.equal(await heldBy(lock), 'nobody')
      await store.ping()
      await lock.release()
      await store.close()
    })

    test('as a whole, frozen and thawed, leaves the lock with its instance', async () => {
      const { target, lock, store, backend } = await holdOnNewDatabase()
      assert.ok(server.pid)
      for (const pid of [server.pid, backend]) process.kill(pid, 'SIGSTOP')
      await until(() => !isHeld(lock))
      for (const pid of [server.pid, backend]) process.kill(pid, 'SIGCONT')
      await until(() => isHeld(lock))
      await assert.rejects(acquireInstanceLock(target, holder), isStoreError('lock-held'))
      await lock.release()
      await store.close()
    })

    test('a lock that is away is released all the same', async () => {
      const { target, lock, store, backend } = await holdOnNewDatabase()
      process.kill(backend, 'SIGSTOP')
      await until(() => !isHeld(lock))
      await lock.release()
      assert.throws(() => lock.requireHeld(), isStoreError('unavailable', /released/))
      process.kill(backend, 'SIGCONT')
      await (await acquireOnceFreed(target)).release()
      await store.close()
    })

    test('an instance that stood still meanwhile stops, naming the one that took over', async () => {
      const target = { engine: 'postgres', url: await server.createDatabase() } as const
      const child = spawnScript(lostScript, JSON.stringify(target), JSON.stringify(holder))
      const lines = linesOf(child)
      assert.equal(await lines.next(), 'held')
      child.kill('SIGSTOP')
      await queryRows(target, `SELECT pg_terminate_backend(${await backendOf(target, 'teleclaude-api%')})`)
      const lock = await acquireOnceFreed(target)
      child.kill('SIGCONT')
      const said = new RegExp(`^lock-held .*teleclaude-api pid ${process.pid} .*holds the lock of host build-box now`)
      assert.match(await lines.next(), said)
      assert.equal(await ending(child), 0)
      lock.requireHeld()
      await lock.release()
    })

    test('two instances are never both the one, however often the server crashes', async (t) => {
      const target = { engine: 'postgres', url: await server.createDatabase() } as const
      await migrate(target)
      const writers = ['a', 'b'].map((name) => spawnScript(writingScript, JSON.stringify(target), name))
      t.after(() => writers.map((writer) => writer.kill('SIGKILL')))
      const periods: { readonly name: string; readonly fromNs: bigint; readonly toNs: bigint }[] = []
      const reading = writers.map(async (writer) => {
        for (const lines = linesOf(writer); ; ) {
          const line = await lines.next()
          if (line === '') return
          const [name = '', fromNs = '', toNs = ''] = line.split(' ')
          periods.push({ name, fromNs: BigInt(fromNs), toNs: BigInt(toNs) })
        }
      })
      for (let crash = 0; crash < 6; crash += 1) {
        const before = await countSessions(target)
        while ((await countSessions(target)) < before + 5) await turn()
        process.kill(await backendOf(target, crash % 2 === 0 ? 'teleclaude' : 'writer%'), 'SIGKILL')
      }
      const last = await countSessions(target)
      while ((await countSessions(target)) < last + 5) await turn()
      for (const writer of writers) writer.kill('SIGTERM')
      await Promise.all(reading)
      const inOrder = periods.toSorted((a, b) => (a.fromNs < b.fromNs ? -1 : 1))
      assert.ok(inOrder.length >= 6, inspect(inOrder))
      for (const [index, { fromNs }] of inOrder.entries()) {
        const previous = inOrder[index - 1]
        assert.ok(previous === undefined || previous.toNs < fromNs, inspect(inOrder))
      }
    })
  })
})

/** Says when it is lost, and why. */
const lostScript = `
  import { acquireInstanceLock } from './open.ts'
  const [target, holder] = process.argv.slice(1).map((text) => JSON.parse(text))
  const lock = await acquireInstanceLock(target, { ...holder, pid: process.pid })
  console.log('held')
  const alive = setInterval(() => {}, 1_000_000)
  const error = await lock.lost
  console.log(error.code, error.message)
  clearInterval(alive)
  await lock.release()`

/** Writes as fast as it can while it is the one, and prints each time from when to when it was (the clock is the
 *  system's). An instance that has lost the lock begins again as another one. */
const writingScript = `
  import { acquireInstanceLock, openStore } from './open.ts'
  import { newSession } from './test-engines.ts'
  const target = JSON.parse(process.argv[1])
  const name = process.argv[2]
  let stopping = false
  process.on('SIGTERM', () => { stopping = true })
  while (!stopping) {
    let lock
    try {
      lock = await acquireInstanceLock(target, { host: 'h', pid: process.pid, program: 'writer ' + name })
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5))
      continue
    }
    let isOver = false
    lock.lost.then(() => { isOver = true })
    let store, fromNs, toNs
    const end = () => {
      if (fromNs !== undefined) console.log(name, String(fromNs), String(toNs))
      fromNs = undefined
    }
    while (!isOver && !stopping) {
      try {
        lock.requireHeld()
        toNs = process.hrtime.bigint()
        fromNs ??= toNs
      } catch {
        end()
      }
      try {
        store ??= await openStore(target, { lock })
        await store.sessions.create(newSession({ title: name }))
      } catch {
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    end()
    await store?.close()
    await lock.release()
  }`

const turn = () => wait(10)

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn()
}

function isHeld(lock: InstanceLock): boolean {
  try {
    lock.requireHeld()
    return true
  } catch (error) {
    return !isStoreError('unavailable')(error)
  }
}

/** Who else the lock was lost to, so far. */
function heldBy(lock: InstanceLock): Promise<string> {
  return Promise.race([lock.lost.then(({ message }) => message), Promise.resolve('nobody')])
}

/** The server is being asked while it may be crashing. */
async function ask<T>(target: StoreTarget, statement: string, row: z.ZodType<T>): Promise<T> {
  for (;;) {
    try {
      const [found] = await queryRows(target, statement)
      const parsed = row.safeParse(found)
      if (parsed.success) return parsed.data
    } catch (error) {
      const translated = translateClientError(error, 'the database')
      if (!(translated instanceof StoreError && translated.code === 'unavailable')) throw error
    }
    await turn()
  }
}

async function backendOf(target: StoreTarget, applicationName: string): Promise<number> {
  const statement = `
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE '${applicationName}' ORDER BY backend_start LIMIT 1`
  return (await ask(target, statement, z.object({ pid: z.int() }))).pid
}

async function countSessions(target: StoreTarget): Promise<number> {
  const statement = 'SELECT count(*)::integer AS count FROM sessions'
  return (await ask(target, statement, z.object({ count: z.int() }))).count
}

function linesOf(child: ChildProcess) {
  if (child.stdout === null) throw new TypeError('cannot read from a process without a standard output')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    /** Empty where there are no more. */
    async next(): Promise<string> {
      const { value, done } = await lines.next()
      return done === true ? '' : value
    },
  }
}
