// Applying migrations, on both real engines: refusals, failures, kills and races.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import Database from 'better-sqlite3'
import type { StoreTarget } from './contract.ts'
import { migrationsDirectory } from './migrations.ts'
import { migrate, openStore, readMigrationState } from './open.ts'
import {
  ending,
  engineNames,
  isStoreError,
  queryRows,
  spawnScript,
  startEngine,
  type TestEngine,
} from './test-engines.ts'

/** The names of all migrations there are. */
const everything = (await readdir(migrationsDirectory)).sort()

const root = await mkdtemp(join(tmpdir(), 'teleclaude-migrations-'))
after(() => rm(root, { recursive: true }))
let directories = 0

/** A directory of migrations, the same text for both engines where it is not told apart. */
async function directoryOf(
  migrations: Record<string, string | Record<StoreTarget['engine'], string>>,
): Promise<string> {
  directories += 1
  const directory = join(root, String(directories))
  for (const [name, sql] of Object.entries(migrations)) {
    await mkdir(join(directory, name), { recursive: true })
    for (const engine of engineNames) {
      await writeFile(join(directory, name, `${engine}.sql`), typeof sql === 'string' ? sql : sql[engine])
    }
  }
  return directory
}

/** Each leaves a trace, and would fail or leave two if it ran twice. */
const traces = {
  '0001_one': "CREATE TABLE trace (step TEXT NOT NULL, number INTEGER NOT NULL); INSERT INTO trace VALUES ('one', 1);",
  '0002_two': "CREATE TABLE two (id INTEGER); INSERT INTO trace VALUES ('two', 2);",
  '0003_three': {
    sqlite: 'CREATE INDEX trace_by_number ON trace (number);',
    postgres: '-- outside a transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS trace_by_number ON trace (number);',
  },
  '0004_four': "INSERT INTO trace VALUES ('four', 4);",
}
const traceNames = Object.keys(traces)

async function assertTraced(target: StoreTarget): Promise<void> {
  assert.deepEqual(await queryRows(target, 'SELECT step FROM trace ORDER BY number'), [
    { step: 'one' },
    { step: 'two' },
    { step: 'four' },
  ])
  const applied = await queryRows(target, 'SELECT name FROM teleclaude_migrations ORDER BY name')
  assert.deepEqual(
    applied,
    traceNames.map((name) => ({ name })),
  )
}

const migrateScript = `
  import { migrate } from './open.ts'
  const [target, directory, step, name] = process.argv.slice(1).map((text) => JSON.parse(text))
  await migrate(target, {
    directory,
    onProgress: (at) => { if (at.step === step && (at.name ?? null) === name) process.kill(process.pid, 'SIGKILL') },
  })`

const migrateElsewhere = (target: StoreTarget, directory: string, step = 'never', name?: string) =>
  ending(spawnScript(migrateScript, ...[target, directory, step, name ?? null].map((value) => JSON.stringify(value))))

for (const engineName of engineNames) {
  describe(`migrations on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('an empty database gets everything once, and a store opens on it only then', async () => {
      const target = await engine.createTarget()
      await assert.rejects(openStore(target), isStoreError('schema-older', /apply the migrations/))
      assert.deepEqual(await readMigrationState(target), {
        applied: [],
        pending: everything,
        edited: [],
        unknown: [],
      })
      assert.deepEqual((await migrate(target)).applied, everything)
      assert.deepEqual((await migrate(target)).applied, [])
      assert.deepEqual(await readMigrationState(target), {
        applied: everything,
        pending: [],
        edited: [],
        unknown: [],
      })
      await (await openStore(target)).close()
    })

    test('a newer database is refused', async () => {
      const { target } = await engine.createStore()
      const now = engineName === 'sqlite' ? '0' : 'now()'
      await queryRows(
        target,
        `INSERT INTO teleclaude_migrations (name, checksum, applied_at) VALUES ('9999_future', 'x', ${now})`,
      )
      for (const use of [openStore, migrate])
        await assert.rejects(use(target), isStoreError('schema-newer', /9999_future/))
      assert.deepEqual((await readMigrationState(target)).unknown, ['9999_future'])
    })

    test('a migration that was edited after it was applied is refused', async () => {
      const { target } = await engine.createStore()
      await queryRows(target, "UPDATE teleclaude_migrations SET checksum = 'sha256:another'")
      for (const use of [openStore, migrate])
        await assert.rejects(use(target), isStoreError('migration-edited', /0001_sessions/))
      assert.deepEqual((await readMigrationState(target)).edited, everything)
    })

    test('a failing migration keeps nothing of itself and all before it, and can be mended', async () => {
      const target = await engine.createTarget()
      const broken = await directoryOf({
        ...traces,
        '0002_two': 'CREATE TABLE two (id INTEGER); INSERT INTO nowhere VALUES (1);',
      })
      await assert.rejects(
        migrate(target, { directory: broken }),
        isStoreError('migration-failed', /0002_two.*nowhere/),
      )
      assert.deepEqual(await queryRows(target, 'SELECT name FROM teleclaude_migrations'), [{ name: '0001_one' }])
      assert.deepEqual((await migrate(target, { directory: await directoryOf(traces) })).applied, traceNames.slice(1))
      await assertTraced(target)
    })

    for (const [step, name] of [
      ['locked', undefined],
      ['begun', '0001_one'],
      ['ran', '0001_one'],
      ['applied', '0001_one'],
      ['ran', '0002_two'],
      ['begun', '0003_three'],
      ['ran', '0003_three'],
      ['ran', '0004_four'],
      ['applied', '0004_four'],
    ] as const) {
      test(`kill -9 when ${name ?? 'the lock'} is ${step} is mended by running again`, async () => {
        const target = await engine.createTarget()
        const directory = await directoryOf(traces)
        assert.equal(await migrateElsewhere(target, directory, step, name), 'SIGKILL')
        await migrate(target, { directory })
        await assertTraced(target)
      })
    }

    test('of many processes that migrate at once, all succeed and each migration is applied once', async () => {
      const target = await engine.createTarget()
      const directory = await directoryOf(traces)
      assert.deepEqual(
        await Promise.all(Array.from({ length: 6 }, () => migrateElsewhere(target, directory))),
        [0, 0, 0, 0, 0, 0],
      )
      await assertTraced(target)
    })

    test("somebody else's database is refused, and the original TeleClaude's by its name", async () => {
      const target = await engine.createTarget()
      const foreign = await directoryOf({ '0001_x': 'CREATE TABLE wp_posts (id INTEGER);' })
      await migrate(target, { directory: foreign })
      await queryRows(target, 'DROP TABLE teleclaude_migrations')
      for (const use of [openStore, migrate, readMigrationState])
        await assert.rejects(use(target), isStoreError('not-a-database', /wp_posts/))
      await queryRows(target, 'CREATE TABLE schema_migrations (version TEXT PRIMARY KEY, applied_at TEXT)')
      await queryRows(target, 'CREATE TABLE sessions (session_id TEXT PRIMARY KEY)')
      for (const use of [openStore, migrate])
        await assert.rejects(use(target), isStoreError('not-a-database', /original.*import/))
      assert.deepEqual(await queryRows(target, 'SELECT * FROM sessions'), [])
    })
  })
}

describe('migrations on a SQLite file', () => {
  test("the original TeleClaude's file keeps every bit", async () => {
    const file = join(root, 'teleclaude.db')
    const original = new Database(file)
    original.exec(
      'CREATE TABLE schema_migrations (version TEXT PRIMARY KEY, applied_at TEXT); CREATE TABLE sessions (session_id TEXT)',
    )
    original.close()
    const hash = async () =>
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
    const before = await hash()
    for (const use of [openStore, migrate])
      await assert.rejects(use({ engine: 'sqlite', file }), isStoreError('not-a-database'))
    assert.equal(await hash(), before)
  })

  const base = {
    '0001_base': `
      CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT) STRICT;
      CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER NOT NULL REFERENCES parent (id) ON DELETE CASCADE) STRICT;
      INSERT INTO parent VALUES (1, 'one'), (2, 'two');
      INSERT INTO child VALUES (1, 1), (2, 2);`,
  }
  const rebuild = (rows: string) => `
    CREATE TABLE parent_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
    INSERT INTO parent_new SELECT id, name FROM parent ${rows};
    DROP TABLE parent;
    ALTER TABLE parent_new RENAME TO parent;`

  test('a table that others refer to is rebuilt without losing what refers to it', async () => {
    const target = { engine: 'sqlite', file: join(root, 'rebuild.db') } as const
    await migrate(target, { directory: await directoryOf({ ...base, '0002_rebuild': rebuild('') }) })
    assert.deepEqual(await queryRows(target, 'SELECT * FROM child ORDER BY id'), [
      { id: 1, parent_id: 1 },
      { id: 2, parent_id: 2 },
    ])
    await assert.rejects(queryRows(target, 'INSERT INTO child VALUES (3, 3)'), /FOREIGN KEY/)
  })

  test('a rebuild that leaves rows pointing nowhere is not kept', async () => {
    const target = { engine: 'sqlite', file: join(root, 'orphans.db') } as const
    const directory = await directoryOf({ ...base, '0002_rebuild': rebuild('WHERE id = 1') })
    await assert.rejects(migrate(target, { directory }), isStoreError('migration-failed', /point nowhere.*child/))
    assert.deepEqual(await queryRows(target, 'SELECT count(*) AS count FROM parent'), [{ count: 2 }])
  })
})

describe('migrations outside a transaction on PostgreSQL', () => {
  test('an index that failed half-way is built anew', async () => {
    const engine = await startEngine('postgres')
    try {
      const target = await engine.createTarget()
      const directory = await directoryOf({
        '0001_one': 'CREATE TABLE numbers (number integer); INSERT INTO numbers VALUES (1), (1);',
        '0002_unique':
          '-- outside a transaction\nCREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS numbers_once ON numbers (number);',
      })
      const validity = () =>
        queryRows(target, "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('numbers_once')")
      await assert.rejects(
        migrate(target, { directory }),
        isStoreError('migration-failed', /0002_unique.*run the migrations again/),
      )
      assert.deepEqual(await validity(), [{ indisvalid: false }])
      await queryRows(target, 'TRUNCATE numbers')
      assert.deepEqual((await migrate(target, { directory })).applied, ['0002_unique'])
      assert.deepEqual(await validity(), [{ indisvalid: true }])
    } finally {
      await engine.stop()
    }
  })
})
