// Applies migrations to a SQLite file. Each runs in its own transaction together with its row in the ledger, so that a
// kill at any point leaves either all of it or nothing.

import { existsSync, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { z } from 'zod'
import { StoreError } from '../contract.ts'
import {
  type AppliedMigration,
  compareMigrations,
  hasLedger,
  ledgerTable,
  type Migration,
  type OnProgress,
  requireApplicable,
} from '../migrations.ts'
import { createFile, describeFile, openConnection, translateError, writeTransaction } from './connection.ts'

const lockTimeoutMs = 60_000

const names = z.array(z.strictObject({ name: z.string() }))
const ledger = z.array(z.strictObject({ name: z.string(), checksum: z.string(), appliedAtUs: z.int() }))

/** What is applied, without changing a byte of the file: it may be somebody else's. Null where there is no file.
 *  @throws StoreError 'not-a-database' */
export function readApplied(file: string): readonly AppliedMigration[] | null {
  if (!existsSync(file)) return null
  if (!statSync(file).isFile())
    throw new StoreError('not-a-database', `cannot use ${describeFile(file)}: it is not a file`)
  const db = new Database(file, { readonly: true, timeout: lockTimeoutMs })
  try {
    return readLedger(db, describeFile(file))
  } finally {
    db.close()
  }
}

function readLedger(db: Database.Database, where: string): readonly AppliedMigration[] {
  const tables = names.parse(
    db
      .prepare(
        String.raw`SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
      )
      .all(),
  )
  if (
    !hasLedger(
      tables.map((table) => table.name),
      where,
    )
  )
    return []
  return ledger.parse(
    db.prepare(`SELECT name, checksum, applied_at AS "appliedAtUs" FROM ${ledgerTable} ORDER BY name`).all(),
  )
}

export function applyMigrations(
  file: string,
  known: readonly Migration[],
  onProgress: OnProgress | undefined,
): readonly string[] {
  createFile(file)
  requireApplicable(compareMigrations(known, readApplied(file) ?? []), describeFile(file))
  const { db } = openConnection(file)
  try {
    db.pragma(`busy_timeout = ${lockTimeoutMs}`)
    // Rebuilding a table drops the one that others refer to. This has no effect inside a transaction, hence here
    // (sqlite.org/lang_altertable.html, 7); the check before each commit makes up for it.
    db.pragma('foreign_keys = OFF')
    const applied: string[] = []
    for (;;) {
      const name = writeTransaction(db, () => {
        if (applied.length === 0) onProgress?.({ step: 'locked' })
        return applyNext(db, file, known, onProgress)
      })
      if (name === null) return applied
      applied.push(name)
      onProgress?.({ step: 'applied', name })
    }
  } finally {
    db.close()
  }
}

/** Under the write lock: whatever another process applied meanwhile is seen here. */
function applyNext(
  db: Database.Database,
  file: string,
  known: readonly Migration[],
  onProgress: OnProgress | undefined,
): string | null {
  const state = compareMigrations(known, readLedger(db, describeFile(file)))
  requireApplicable(state, describeFile(file))
  const migration = known.find(({ name }) => name === state.pending[0])
  if (migration === undefined) return null
  const { name, sql, checksum } = migration
  onProgress?.({ step: 'begun', name })
  db.exec(`CREATE TABLE IF NOT EXISTS ${ledgerTable} (
    name TEXT PRIMARY KEY,
    checksum TEXT NOT NULL,  -- of the file's text
    applied_at INTEGER NOT NULL  -- microseconds since 1970-01-01T00:00:00Z
  ) STRICT, WITHOUT ROWID`)
  try {
    db.exec(sql)
  } catch (cause) {
    throw failed(name, file, cause)
  }
  const orphans = db.pragma('foreign_key_check')
  if (!Array.isArray(orphans) || orphans.length > 0) {
    throw failed(
      name,
      file,
      new Error(`it leaves foreign keys that point nowhere: ${JSON.stringify(orphans).slice(0, 500)}`),
    )
  }
  db.prepare(`INSERT INTO ${ledgerTable} (name, checksum, applied_at) VALUES (?, ?, ?)`).run(
    name,
    checksum,
    Date.now() * 1000,
  )
  onProgress?.({ step: 'ran', name })
  return name
}

/** What is wrong with the file or its disk stays what it is; all else is the migration's fault. */
function failed(name: string, file: string, cause: unknown): unknown {
  const translated = translateError(cause, describeFile(file))
  if (translated instanceof StoreError) return translated
  const why = cause instanceof Error ? cause.message : String(cause)
  return new StoreError(
    'migration-failed',
    `cannot apply ${name} to ${describeFile(file)}: ${why}; nothing of it was kept`,
    { cause },
  )
}
