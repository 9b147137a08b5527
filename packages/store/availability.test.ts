// What a store does on bad days: databases that are gone, full, read-only, or something else.

import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { startPostgres } from '../../test/support/postgres-server.ts'
import { StoreError } from './contract.ts'
import { acquireInstanceLock, migrate, openStore, readMigrationState, waitForDatabase } from './open.ts'
import { openConnection } from './sqlite/connection.ts'
import { createSqliteStore } from './sqlite/engine.ts'
import { isStoreError, newSession, queryRows } from './test-engines.ts'

describe('a SQLite file', () => {
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'teleclaude-store-'))
  })
  after(() => rm(directory, { recursive: true }))

  const at = (file: string) => ({ engine: 'sqlite', file }) as const

  test('that is not SQLite is refused and left as it is', async () => {
    const file = join(directory, 'notes.txt')
    await writeFile(file, 'not a database, but long enough to look like one'.repeat(100), { mode: 0o644 })
    const before = await stat(file)
    for (const use of [openStore, migrate, readMigrationState])
      await assert.rejects(use(at(file)), isStoreError('not-a-database', /notes\.txt/))
    const now = await stat(file)
    assert.deepEqual([now.mtimeMs, now.mode], [before.mtimeMs, before.mode])
  })

  test('that is a directory is refused', async () => {
    for (const use of [openStore, migrate]) await assert.rejects(use(at(directory)), isStoreError('not-a-database'))
  })

  test('that is not there is not made by opening', async () => {
    const file = join(directory, 'absent.db')
    await assert.rejects(openStore(at(file)), isStoreError('schema-older', /no such file/))
    assert.deepEqual((await readMigrationState(at(file))).applied, [])
    await assert.rejects(stat(file))
  })

  test('in a directory that is missing or read-only can not be made, and the message names it', async () => {
    const missing = join(directory, 'missing', 'x.db')
    const readOnly = join(directory, 'read-only')
    await mkdir(readOnly)
    await chmod(readOnly, 0o500)
    // Modes do not bind root, but the kernel's own file system takes no files from anybody.
    const files = [missing, join(process.getuid?.() === 0 ? '/sys/kernel' : readOnly, 'x.db')]
    for (const file of files) {
      await assert.rejects(migrate(at(file)), isStoreError('not-writable', new RegExp(file)))
      await assert.rejects(
        acquireInstanceLock(at(file), { host: 'h', pid: 1, program: 'p' }),
        isStoreError('not-writable', new RegExp(file)),
      )
    }
  })

  test('is for its owner alone, with the files beside it, whatever modes it had', async () => {
    const file = join(directory, 'modes.db')
    await writeFile(file, '', { mode: 0o666 })
    await chmod(file, 0o666)
    await migrate(at(file))
    const store = await openStore(at(file))
    await store.sessions.create(newSession())
    for (const suffix of ['', '-wal', '-shm']) assert.equal((await stat(file + suffix)).mode & 0o777, 0o600, suffix)
    await store.close()
  })

  test('keeps what is durable and writes ahead', async () => {
    const file = join(directory, 'pragmas.db')
    await migrate(at(file))
    const { db } = openConnection(file)
    const pragma = (name: string) => db.pragma(name, { simple: true })
    assert.deepEqual(['journal_mode', 'synchronous', 'foreign_keys', 'trusted_schema'].map(pragma), ['wal', 2, 1, 0])
    db.close()
  })

  test('that has no room refuses writes, keeps what it has, and goes on when there is room', async () => {
    const file = join(directory, 'full.db')
    await migrate(at(file))
    const connection = openConnection(file)
    const store = createSqliteStore(connection, 'the database full.db', null)
    const { id } = await store.sessions.create(newSession())
    connection.db.pragma(`max_page_count = ${connection.db.pragma('page_count', { simple: true })}`)
    const chunks = [1, 2, 3, 4, 5].map((seq) => ({
      seq,
      kind: 'output' as const,
      offsetUs: 0,
      bytes: crypto.getRandomValues(new Uint8Array(60_000)),
    }))
    await assert.rejects(
      store.transcripts.append([{ sessionId: id, chunks, atUs: 1 }]),
      isStoreError('not-writable', /full\.db/),
    )
    assert.equal(await store.transcripts.lastSeq(id), 0)
    connection.db.pragma('max_page_count = 1000000')
    await store.transcripts.append([{ sessionId: id, chunks, atUs: 1 }])
    assert.equal(await store.transcripts.lastSeq(id), 5)
    await store.close()
  })
})

describe('a PostgreSQL server', () => {
  test('that dies makes a store unavailable, and a cut connection is replaced', async () => {
    await using server = await startPostgres({ own: true })
    const target = { engine: 'postgres', url: await server.createDatabase() } as const
    await migrate(target)
    const store = await openStore(target)
    await Promise.all([store.ping(), store.ping()])
    await queryRows(
      target,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'teleclaude'",
    )
    // Queries may still fail while the news travels; then they do not any more.
    for (let isUp = false; !isUp; ) {
      try {
        await store.ping()
        isUp = true
      } catch (error) {
        assert.ok(error instanceof StoreError && error.code === 'unavailable', inspect(error))
      }
    }
    assert.ok(server.pid)
    process.kill(server.pid, 'SIGKILL')
    await assert.rejects(
      Promise.all([1, 2, 3].map(() => store.ping())),
      isStoreError('unavailable', /postgresql:\/\/postgres@/),
    )
    await assert.rejects(store.sessions.create(newSession()), isStoreError('unavailable'))
    await assert.rejects(store.commands.take(newSession().id, 1), isStoreError('unavailable'))
    await assert.rejects(openStore(target), isStoreError('unavailable'))
    await assert.rejects(migrate(target), isStoreError('unavailable'))
    await assert.rejects(acquireInstanceLock(target, { host: 'h', pid: 1, program: 'p' }), isStoreError('unavailable'))
    await store.close()
  })

  test('that lets nobody in yet is waited for, and its reason is told once', async () => {
    await using server = await startPostgres({ own: true })
    const url = await server.createDatabase()
    const admin = { engine: 'postgres', url } as const
    await queryRows(admin, 'CREATE ROLE late NOLOGIN')
    const target = { engine: 'postgres', url: url.replace('postgres@', 'late@') } as const
    const told: string[] = []
    let letIn: Promise<unknown> | undefined
    await waitForDatabase(target, {
      onWaiting({ message }) {
        told.push(message)
        letIn = queryRows(admin, 'ALTER ROLE late LOGIN')
      },
    })
    await letIn
    assert.equal(told.length, 1)
    assert.match(told[0] ?? '', /not permitted to log in/)
    // Whatever it answers is an answer: here, that there is nothing of ours in it.
    await waitForDatabase(target)
  })

  test('that never answers is waited for until whoever waits has enough; what is no URL is not', async () => {
    const target = { engine: 'postgres', url: 'postgresql://u@/d?host=/nonexistent' } as const
    const stop = new AbortController()
    await assert.rejects(waitForDatabase(target, { signal: stop.signal, onWaiting: () => stop.abort() }), {
      name: 'AbortError',
    })
    await assert.rejects(waitForDatabase({ engine: 'postgres', url: 'nonsense://[' }), isStoreError('unavailable'))
  })

  test('works over TCP with a password, which no error repeats', async () => {
    await using server = await startPostgres({ tcp: true })
    const url = await server.createDatabase()
    await migrate({ engine: 'postgres', url })
    const store = await openStore({ engine: 'postgres', url })
    await store.ping()
    await store.close()
    const password = 'hunter2hunter2'
    const wrong = new URL(url)
    wrong.password = password
    const deaf = new URL(wrong)
    deaf.port = '1'
    const absent = new URL(wrong)
    absent.pathname = '/absent'
    const urls = [
      wrong.href,
      deaf.href,
      absent.href,
      `postgresql://u:${password}@[bad/x`,
      `postgresql://u:${password}@h:99999/x`,
      `${wrong.href}?sslrootcert=/nowhere`,
    ]
    for (const bad of urls) {
      for (const use of [openStore, migrate]) {
        const error: unknown = await use({ engine: 'postgres', url: bad }).then(
          () => null,
          (reason) => reason,
        )
        assert.ok(error instanceof StoreError && error.code === 'unavailable', inspect(error))
        assert.ok(!inspect(error, { depth: 20, showHidden: true }).includes(password), bad)
      }
    }
  })

  test('that only reads is not writable', async () => {
    await using server = await startPostgres()
    const url = await server.createDatabase()
    await migrate({ engine: 'postgres', url })
    const readOnly = new URL(url)
    readOnly.searchParams.set('options', '-c default_transaction_read_only=on')
    const store = await openStore({ engine: 'postgres', url: readOnly.href })
    await store.ping()
    await assert.rejects(store.sessions.create(newSession()), isStoreError('not-writable'))
    await store.close()
  })
})
