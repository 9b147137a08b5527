// Migrations are numbered directories, each with one file of plain SQL per engine: `0007_name/{sqlite,postgres}.sql`.
// Here they are read and compared with what a database says was applied; each engine's migrate.ts applies them.

import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StoreError, type StoreTarget } from './contract.ts'

export const migrationsDirectory = join(import.meta.dirname, 'migrations')

/** The ledger's name is ours alone: the original TeleClaude, like many programs, has a `schema_migrations`. */
export const ledgerTable = 'teleclaude_migrations'

/** A first line that says: PostgreSQL refuses this statement inside a transaction. The file then holds one statement that
 *  can be run again after it was cut off anywhere (`CREATE INDEX CONCURRENTLY IF NOT EXISTS`). SQLite's twin has no need of it. */
const outsideTransactionMarker = '-- outside a transaction'

export type Migration = {
  /** `0001_sessions` */
  readonly name: string
  readonly sql: string
  /** `sha256:` and the hash of the text with LF line ends, as a checkout on any system has it. */
  readonly checksum: string
  readonly transactional: boolean
}

export type AppliedMigration = { readonly name: string; readonly checksum: string; readonly appliedAtUs: number }

/** Names of migrations, in order. */
export type MigrationState = {
  readonly applied: readonly string[]
  readonly pending: readonly string[]
  /** Applied, but the file has changed since. */
  readonly edited: readonly string[]
  /** Applied by a newer program: there is no such file here. */
  readonly unknown: readonly string[]
}

export type MigrationProgress =
  /** Nobody else migrates from here on. */
  | { readonly step: 'locked' }
  /** `ran`: the SQL has run, and is not committed yet. */
  | { readonly step: 'begun' | 'ran' | 'applied'; readonly name: string }

export type OnProgress = (progress: MigrationProgress) => void

export type MigrateOptions = {
  /** Where the migrations are; the program's own by default. */
  readonly directory?: string
  readonly onProgress?: OnProgress
}

/** @throws Error where a migration lacks its twin, is misnamed, shares its number, or ends the runner's transaction. */
export async function readMigrations(engine: StoreTarget['engine'], directory: string): Promise<readonly Migration[]> {
  const names = (await readdir(directory)).sort()
  const numbers = new Set<string>()
  for (const name of names) {
    const number = /^(\d{4})_[a-z0-9]+(_[a-z0-9]+)*$/.exec(name)?.[1]
    if (number === undefined) throw new Error(`cannot read migration ${name}: its name is not like 0007_add_titles`)
    if (numbers.has(number))
      throw new Error(`cannot read migration ${name}: there is another one with number ${number}`)
    numbers.add(number)
    const files = (await readdir(join(directory, name))).sort().join(', ')
    if (files !== 'postgres.sql, sqlite.sql') {
      throw new Error(
        `cannot read migration ${name}: it must hold postgres.sql and sqlite.sql, and holds ${files || 'nothing'}`,
      )
    }
  }
  return Promise.all(names.map((name) => readMigration(name, join(directory, name, `${engine}.sql`))))
}

async function readMigration(name: string, file: string): Promise<Migration> {
  const sql = (await readFile(file, 'utf8')).replaceAll('\r\n', '\n')
  if (/^\s*(commit|rollback)\b/im.test(sql))
    throw new Error(`cannot read migration ${name}: the runner owns the transaction`)
  const checksum = `sha256:${createHash('sha256').update(sql).digest('hex')}`
  return { name, sql, checksum, transactional: !sql.startsWith(`${outsideTransactionMarker}\n`) }
}

export function compareMigrations(known: readonly Migration[], applied: readonly AppliedMigration[]): MigrationState {
  const files = new Map(known.map((migration) => [migration.name, migration.checksum]))
  const names = new Set(applied.map((migration) => migration.name))
  return {
    applied: applied.map((migration) => migration.name),
    pending: known.map((migration) => migration.name).filter((name) => !names.has(name)),
    edited: applied
      .filter(({ name, checksum }) => files.has(name) && files.get(name) !== checksum)
      .map(({ name }) => name),
    unknown: applied.map((migration) => migration.name).filter((name) => !files.has(name)),
  }
}

/** @throws StoreError 'schema-newer', 'migration-edited' */
export function requireApplicable(state: MigrationState, where: string): void {
  if (state.unknown.length > 0) {
    const why = `its schema is newer than this program (${state.unknown.join(', ')}): install the newer version again`
    throw new StoreError('schema-newer', `cannot use ${where}: ${why}`)
  }
  if (state.edited.length > 0) {
    const why = `${state.edited.join(', ')} was edited after it was applied: restore the file and write a new migration`
    throw new StoreError('migration-edited', `cannot use ${where}: ${why}`)
  }
}

/** @throws StoreError 'schema-newer', 'migration-edited', 'schema-older' */
export function requireCurrent(state: MigrationState, where: string): void {
  requireApplicable(state, where)
  if (state.pending.length === 0) return
  const why = `its schema is older than this program (${state.pending.join(', ')} missing): apply the migrations first`
  throw new StoreError('schema-older', `cannot use ${where}: ${why}`)
}

/** Whether the database is ours, by the names of its tables; one without any table is empty and may become ours.
 *  @throws StoreError 'not-a-database' for somebody else's */
export function hasLedger(tables: readonly string[], where: string): boolean {
  if (tables.includes(ledgerTable)) return true
  if (tables.length === 0) return false
  const isOriginal = tables.includes('schema_migrations') && tables.includes('sessions')
  const why = isOriginal
    ? "it belongs to the original single-user TeleClaude: import it into a new database with the migrator's import"
    : `it holds tables that are not TeleClaude's (${tables.slice(0, 3).join(', ')}): name an empty database`
  throw new StoreError('not-a-database', `cannot use ${where}: ${why}`)
}
