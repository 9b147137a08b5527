// The SQLite engine: the store and what belongs to it, over one file.

import { type Store, StoreError } from '../contract.ts'
import type { Engine } from '../engine.ts'
import { createGate } from '../gate.ts'
import { compareMigrations, requireCurrent } from '../migrations.ts'
import { enqueueCommand, expireCommands, finishCommand, listCommands, takeCommand } from './commands.ts'
import { type Connection, describeFile, openConnection, translateError } from './connection.ts'
import { acquireLock } from './lock.ts'
import { applyMigrations, readApplied } from './migrate.ts'
import {
  createSession,
  endSession,
  findSession,
  listLiveSessions,
  listSessions,
  markSessionLost,
  markSessionRunning,
} from './sessions.ts'
import { appendChunks, lastSeq, readChunks } from './transcripts.ts'

export function sqliteEngine(file: string): Engine {
  const where = describeFile(file)

  /** The driver's errors become the contract's. */
  async function translated<T>(operation: () => T): Promise<T> {
    try {
      return operation()
    } catch (error) {
      throw translateError(error, where)
    }
  }

  return {
    open: (known) =>
      translated(() => {
        const applied = readApplied(file)
        if (applied === null) {
          throw new StoreError(
            'schema-older',
            `cannot use ${where}: there is no such file; apply the migrations to create it`,
          )
        }
        requireCurrent(compareMigrations(known, applied), where)
        return createSqliteStore(openConnection(file), where)
      }),
    readMigrationState: (known) => translated(() => compareMigrations(known, readApplied(file) ?? [])),
    migrate: (known, onProgress) => translated(() => applyMigrations(file, known, onProgress)),
    acquireInstanceLock: (holder) => translated(() => acquireLock(file, holder)),
  }
}

export function createSqliteStore(connection: Connection, where: string): Store {
  const { run, close } = createGate(where, (error) => translateError(error, where))
  return {
    sessions: {
      create: (session) => run(() => createSession(connection, session)),
      find: (id) => run(() => findSession(connection, id)),
      list: (query) => run(() => listSessions(connection, query)),
      markRunning: (id, atUs) => run(() => markSessionRunning(connection, id, atUs)),
      markLost: (id, atUs) => run(() => markSessionLost(connection, id, atUs)),
      end: (id, exit, atUs) => run(() => endSession(connection, id, exit, atUs)),
      listLive: (host) => run(() => listLiveSessions(connection, host)),
    },
    transcripts: {
      append: (appends) => run(() => appendChunks(connection, appends)),
      lastSeq: (id) => run(() => lastSeq(connection, id)),
      read: (id, options) => run(() => readChunks(connection, id, options)),
    },
    commands: {
      enqueue: (command) => run(() => enqueueCommand(connection, command)),
      take: (id, atUs) => run(() => takeCommand(connection, id, atUs)),
      finish: (commandId, outcome) => run(() => finishCommand(connection, commandId, outcome)),
      expire: (atUs) => run(() => expireCommands(connection, atUs)),
      list: (id, limit) => run(() => listCommands(connection, id, limit)),
    },
    ping: () =>
      run(() => {
        connection.prepare('SELECT ordinal FROM sessions LIMIT 1').get()
      }),
    async close() {
      await close()
      connection.db.close()
    },
  }
}
