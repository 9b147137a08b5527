// Migration files: twins, numbers, names and checksums.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { migrationsDirectory, readMigrations } from './migrations.ts'
import { createMigration } from './new-migration.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'teleclaude-migrations-'))
})
afterEach(() => rm(directory, { recursive: true }))

async function write(name: string, files: Record<string, string>): Promise<void> {
  await mkdir(join(directory, name))
  for (const [file, text] of Object.entries(files)) await writeFile(join(directory, name, file), text)
}
const twins = { 'sqlite.sql': 'SELECT 1;', 'postgres.sql': 'SELECT 1;' }

test("the program's own migrations have their twins and numbers of their own", async () => {
  const [sqlite, postgres] = [
    await readMigrations('sqlite', migrationsDirectory),
    await readMigrations('postgres', migrationsDirectory),
  ]
  assert.deepEqual(
    sqlite.map(({ name }) => name),
    postgres.map(({ name }) => name),
  )
  assert.equal(sqlite[0]?.name, '0001_sessions')
})

test('a migration without its twin is refused', async () => {
  await write('0001_one', { 'sqlite.sql': '' })
  await assert.rejects(
    readMigrations('sqlite', directory),
    /0001_one: it must hold postgres\.sql and sqlite\.sql, and holds sqlite\.sql/,
  )
})

test('two migrations with one number are refused', async () => {
  await write('0001_one', twins)
  await write('0001_two', twins)
  await assert.rejects(readMigrations('postgres', directory), /0001_two: there is another one with number 0001/)
})

for (const name of ['1_one', '0001-one', '0001_One', '0001_', '0001_a b']) {
  test(`a migration named ${name} is refused`, async () => {
    await write(name, twins)
    await assert.rejects(readMigrations('sqlite', directory), /its name is not like/)
  })
}

test('a migration that ends the transaction is refused', async () => {
  await write('0001_one', { ...twins, 'sqlite.sql': 'SELECT 1;\n  commit;' })
  await assert.rejects(readMigrations('sqlite', directory), /the runner owns the transaction/)
})

test('the checksum is the same whatever line ends the checkout has', async () => {
  await write('0001_one', { 'sqlite.sql': 'SELECT 1;\nSELECT 2;\n', 'postgres.sql': 'SELECT 1;\r\nSELECT 2;\r\n' })
  const [sqlite] = await readMigrations('sqlite', directory)
  const [postgres] = await readMigrations('postgres', directory)
  assert.equal(sqlite?.checksum, postgres?.checksum)
  assert.match(sqlite?.checksum ?? '', /^sha256:[0-9a-f]{64}$/)
})

test('a new migration gets the next number and both twins, which are read', async () => {
  await write('0009_nine', twins)
  assert.deepEqual(
    await createMigration(directory, 'add_titles'),
    ['postgres', 'sqlite'].map((engine) => join(directory, '0010_add_titles', `${engine}.sql`)),
  )
  assert.match(await readFile(join(directory, '0010_add_titles', 'sqlite.sql'), 'utf8'), /^-- add titles$/m)
  assert.equal((await readMigrations('sqlite', directory)).at(-1)?.name, '0010_add_titles')
})

test('a new migration needs a name of plain words', async () => {
  for (const name of ['', 'Add', '../x', 'a b', 'a__b', '_a', 'a'.repeat(61)])
    await assert.rejects(createMigration(directory, name), RangeError)
})
