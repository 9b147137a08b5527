// One connection to one SQLite file: how it is opened, how writes are framed, what its errors mean.

import { chmodSync, closeSync, existsSync, openSync, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { z } from 'zod'
import { StoreError } from '../contract.ts'

const busyTimeoutMs = 5000

export type Connection = {
  readonly db: Database.Database
  /** Prepares once, then returns the same statement. */
  prepare(sql: string): Database.Statement<unknown[]>
  /** Runs in a transaction that takes the write lock first, so that it never fails half-way for want of it. */
  write<T>(operation: () => T): T
}

/** With its values, for whoever else looks at how it runs. */
export type Statement = { readonly sql: string; readonly values: readonly unknown[] }

export function describeFile(file: string): string {
  return `the database ${file}`
}

/** Creates the file, empty and for its owner alone, where there is none. SQLite gives -wal and -shm the same mode.
 *  A file that is there is not opened: closing it again would free every lock this process holds on it (fcntl(2)).
 *  @throws StoreError 'not-writable' */
export function createFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return
    throw translateError(error, describeFile(file))
  }
}

/** Takes away what others may do with the files. */
function restrictModes(file: string): void {
  for (const path of [file, `${file}-wal`, `${file}-shm`]) {
    if (existsSync(path) && (statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600)
  }
}

/** Only for a file that is known to be ours, or empty: a file that gets the write-ahead log is changed by it. */
export function openConnection(file: string): Connection {
  restrictModes(file)
  const db = new Database(file, { fileMustExist: true, timeout: busyTimeoutMs })
  try {
    db.pragma('trusted_schema = OFF')
    db.pragma('foreign_keys = ON')
    db.pragma('journal_mode = WAL')
    // In WAL mode only FULL makes a commit durable against loss of power (sqlite.org/pragma.html#pragma_synchronous).
    db.pragma('synchronous = FULL')
  } catch (error) {
    db.close()
    throw error
  }
  const statements = new Map<string, Database.Statement<unknown[]>>()
  return {
    db,
    prepare(sql) {
      const known = statements.get(sql)
      if (known !== undefined) return known
      const statement = db.prepare<unknown[]>(sql)
      statements.set(sql, statement)
      return statement
    },
    write: (operation) => writeTransaction(db, operation),
  }
}

export function writeTransaction<T>(db: Database.Database, operation: () => T): T {
  db.exec('BEGIN IMMEDIATE')
  try {
    const result = operation()
    db.exec('COMMIT')
    return result
  } finally {
    // SQLite has rolled back by itself after some errors (sqlite.org/lang_transaction.html).
    if (db.inTransaction) db.exec('ROLLBACK')
  }
}

/** SQLite has no booleans. */
export const booleanColumn = z.union([z.literal(0), z.literal(1)]).transform((value) => value === 1)

/** And no arrays. */
export const textsColumn = z
  .string()
  .transform((text): unknown => JSON.parse(text))
  .pipe(z.array(z.string()))

const notWritable = ['SQLITE_FULL', 'SQLITE_READONLY', 'SQLITE_CANTOPEN', 'SQLITE_PERM', 'SQLITE_AUTH']
const notADatabase = ['SQLITE_NOTADB', 'SQLITE_CORRUPT', 'SQLITE_FORMAT']
const unavailable = ['SQLITE_BUSY', 'SQLITE_LOCKED', 'SQLITE_IOERR', 'SQLITE_PROTOCOL', 'SQLITE_NOMEM']
const systemErrors = [
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'EACCES',
  'EPERM',
  'EROFS',
  'ENOSPC',
  'EDQUOT',
  'ELOOP',
  'ENAMETOOLONG',
  'ENXIO',
]

/** The contract's error for one of SQLite or the file system; any other error as it is. */
export function translateError(error: unknown, where: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error
  if (error instanceof StoreError) return error
  const { code, message } = error
  if (systemErrors.includes(code)) {
    return new StoreError(
      'not-writable',
      `cannot write ${where}: ${message}; mend the path, its permissions or its disk`,
      { cause: error },
    )
  }
  if (!(error instanceof Database.SqliteError)) return error
  // Extended codes are like SQLITE_IOERR_WRITE.
  const isOneOf = (codes: readonly string[]) => codes.some((base) => code === base || code.startsWith(`${base}_`))
  if (isOneOf(notWritable)) {
    return new StoreError(
      'not-writable',
      `cannot write ${where}: ${message} (${code}); check its permissions and the room on its disk`,
      {
        cause: error,
      },
    )
  }
  if (isOneOf(notADatabase)) {
    return new StoreError(
      'not-a-database',
      `cannot use ${where}: ${message} (${code}); restore it or name another file`,
      { cause: error },
    )
  }
  if (isOneOf(unavailable))
    return new StoreError('unavailable', `cannot reach ${where}: ${message} (${code}); try again`, { cause: error })
  return error
}
