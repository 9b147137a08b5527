// The SQLite engine: the store and what belongs to it, over one file.

import { createAuditQueue } from '../audit-queue.ts'
import { type InstanceLock, type Store, StoreError } from '../contract.ts'
import type { Engine } from '../engine.ts'
import { createGate } from '../gate.ts'
import { compareMigrations, requireCurrent } from '../migrations.ts'
import { bindAccount, listAccounts, rebindAccount } from './accounts.ts'
import { appendAudit, headSeq, moveCursor, readAudit, readCursor, tryTampering } from './audit.ts'
import { enqueueCommand, expireCommands, finishCommand, listCommands, takeCommand } from './commands.ts'
import { type Connection, describeFile, openConnection, translateError } from './connection.ts'
import { acquireLock } from './lock.ts'
import { applyMigrations, readApplied } from './migrate.ts'
import {
  countLiveSessions,
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
    open: (known, lock) =>
      translated(() => {
        const applied = readApplied(file)
        if (applied === null) {
          throw new StoreError(
            'schema-older',
            `cannot use ${where}: there is no such file; apply the migrations to create it`,
          )
        }
        requireCurrent(compareMigrations(known, applied), where)
        return createSqliteStore(openConnection(file), where, lock)
      }),
    readMigrationState: (known) => translated(() => compareMigrations(known, readApplied(file) ?? [])),
    readApplied: () => translated(() => readApplied(file) ?? []),
    migrate: (known, onProgress) => translated(() => applyMigrations(file, known, onProgress)),
    acquireInstanceLock: (holder) => translated(() => acquireLock(file, holder)),
    // A file has an owner and a mode, and no roles.
    readPrivilegeState: async () => ({ roles: [], differences: [] }),
    applyPrivileges: async () => ({ mended: [], left: [] }),
    listenForAudit: () => ({
      async close() {
        // There is no channel that could be open.
      },
    }),
  }
}

export function createSqliteStore(connection: Connection, where: string, lock: InstanceLock | null): Store {
  const { run, close } = createGate(where, (error) => translateError(error, where), lock)
  const append = createAuditQueue(async (host, pending) => appendAudit(connection, host, pending))
  return {
    sessions: {
      create: (session) => run(() => createSession(connection, session)),
      find: (id) => run(() => findSession(connection, id)),
      list: (query) => run(() => listSessions(connection, query)),
      markRunning: (id, atUs) => run(() => markSessionRunning(connection, id, atUs)),
      markLost: (id, atUs) => run(() => markSessionLost(connection, id, atUs)),
      end: (id, exit, atUs) => run(() => endSession(connection, id, exit, atUs)),
      countLive: (host, person) => run(() => countLiveSessions(connection, host, person)),
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
      finish: (id, number, outcome) => run(() => finishCommand(connection, id, number, outcome)),
      expire: (atUs) => run(() => expireCommands(connection, atUs)),
      list: (id, limit) => run(() => listCommands(connection, id, limit)),
    },
    audit: {
      append: (host, events, atUs) => run(() => append(host, events, atUs)),
      headSeq: (host) => run(() => headSeq(connection, host)),
      read: (host, options) => run(() => readAudit(connection, host, options)),
      readCursor: (host, sink) => run(() => readCursor(connection, host, sink)),
      moveCursor: (host, sink, seq) => run(() => moveCursor(connection, host, sink, seq)),
      tryTampering: (host) => run(() => tryTampering(connection, host)),
    },
    accounts: {
      list: (host) => run(() => listAccounts(connection, host)),
      bind: (host, account) => run(() => bindAccount(connection, host, account)),
      rebind: (host, account) => run(() => rebindAccount(connection, host, account)),
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
