// One instance per database file: an exclusive lock on a small database beside it. The kernel frees such a lock when its
// process ends, however it ends. Readers of the main file are not in its way.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import Database from 'better-sqlite3'
import { z } from 'zod'
import { type InstanceLock, type LockHolder, StoreError } from '../contract.ts'
import { createFile, describeFile, translateError } from './connection.ts'

const holderSchema = z.object({ host: z.string(), pid: z.int(), program: z.string(), since: z.string() })

/** Who holds the lock is written to a file of its own: nobody can read a database that is locked exclusively, and opening and
 *  closing the lock's file by any other way than SQLite's would free the lock (fcntl(2), "close ... releases all locks").
 *  What it says counts only while the lock is held, so that a killed instance's words never keep anybody out. */
export function acquireLock(file: string, holder: LockHolder): InstanceLock {
  const lockFile = `${file}.lock`
  const holderFile = `${file}.lock.json`
  createFile(lockFile)
  const db = new Database(lockFile, { timeout: 0 })
  try {
    db.pragma('journal_mode = DELETE')
    db.exec('BEGIN EXCLUSIVE')
    writeFileSync(`${holderFile}.new`, JSON.stringify({ ...holder, since: formatInstant(nowUs()) }), { mode: 0o600 })
    renameSync(`${holderFile}.new`, holderFile)
  } catch (error) {
    db.close()
    if (error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new StoreError(
        'lock-held',
        `cannot start on ${describeFile(file)}: ${readHolder(holderFile)} holds its lock; stop that one first`,
        {
          cause: error,
        },
      )
    }
    throw translateError(error, `the lock ${lockFile}`)
  }
  return {
    requireHeld() {
      // Always: the kernel takes a file's lock from nobody.
    },
    onAway() {
      // Never.
    },
    lost: new Promise(() => {
      // Never, for the same reason.
    }),
    async release() {
      if (!db.open) return
      rmSync(holderFile, { force: true })
      db.close()
    },
  }
}

function readHolder(holderFile: string): string {
  try {
    const { program, pid, host, since } = holderSchema.parse(JSON.parse(readFileSync(holderFile, 'utf8')))
    return `${program} (pid ${pid} on ${host}, since ${since})`
  } catch {
    return 'another instance, which has not written yet who it is,'
  }
}
