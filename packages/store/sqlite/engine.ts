// The SQLite engine: the store and what belongs to it, over one file.

import { createAuditQueue } from '../audit-queue.ts'
import { type InstanceLock, type Store, StoreError } from '../contract.ts'
import type { Engine } from '../engine.ts'
import { createGate } from '../gate.ts'
import { compareMigrations, requireCurrent } from '../migrations.ts'
import { bindAccount, listAccounts, rebindAccount } from './accounts.ts'
import { appendAudit, headSeq, moveCursor, readAudit, readCursor, tryTampering } from './audit.ts'
import {
  closeCommands,
  enqueueCommand,
  expireCommands,
  finishCommand,
  listCommands,
  listWaitingSessions,
  takeCommand,
} from './commands.ts'
import { type Connection, describeFile, openConnection, translateError } from './connection.ts'
import { findEvent, newestEvent, readEvents, removeEvents } from './events.ts'
import { createHints } from './hints.ts'
import { acquireLock } from './lock.ts'
import { applyMigrations, readApplied } from './migrate.ts'
import {
  countLiveSessions,
  createSession,
  endSession,
  findSession,
  listLiveSessions,
  listOverdueSessions,
  listSessions,
  markSessionLost,
  markSessionRunning,
  renameSession,
  setAgentStatus,
} from './sessions.ts'
import { appendChunks, lastSeq, listRemovable, readChunks, removeChunks } from './transcripts.ts'

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
  const hints = createHints()
  /** What is false has changed nothing. */
  const telling = <T>(change: () => T) =>
    run(() => {
      const changed = change()
      if (changed !== false) hints.tell('events')
      return changed
    })
  return {
    sessions: {
      create: (session) => telling(() => createSession(connection, session)),
      find: (id) => run(() => findSession(connection, id)),
      list: (query) => run(() => listSessions(connection, query)),
      markRunning: (id, atUs) => telling(() => markSessionRunning(connection, id, atUs)),
      markLost: (id, atUs) => telling(() => markSessionLost(connection, id, atUs)),
      end: (id, exit, atUs) => telling(() => endSession(connection, id, exit, atUs)),
      countLive: (host, person) => run(() => countLiveSessions(connection, host, person)),
      listLive: (host) => run(() => listLiveSessions(connection, host)),
      listOverdue: (host, query) => run(() => listOverdueSessions(connection, host, query)),
      setAgentStatus: (id, status, atUs) => telling(() => setAgentStatus(connection, id, status, atUs)),
      rename: (id, title, atUs) => telling(() => renameSession(connection, id, title, atUs)),
    },
    transcripts: {
      append: (appends) => run(() => appendChunks(connection, appends)),
      lastSeq: (id) => run(() => lastSeq(connection, id)),
      read: (id, options) => run(() => readChunks(connection, id, options)),
      listRemovable: (host, query) => run(() => listRemovable(connection, host, query)),
      remove: (id, options) => run(() => removeChunks(connection, id, options)),
    },
    commands: {
      enqueue: (command) =>
        run(() => {
          const enqueued = enqueueCommand(connection, command)
          hints.tell('commands')
          return enqueued
        }),
      take: (id, atUs) => run(() => takeCommand(connection, id, atUs)),
      finish: (id, number, outcome) => run(() => finishCommand(connection, id, number, outcome)),
      expire: (atUs) => run(() => expireCommands(connection, atUs)),
      close: (id, reason, atUs) => run(() => closeCommands(connection, id, reason, atUs)),
      listWaiting: (host) => run(() => listWaitingSessions(connection, host)),
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
    events: {
      newest: () => run(() => newestEvent(connection)),
      find: (scope, id) => run(() => findEvent(connection, scope, id)),
      read: (query) => run(() => readEvents(connection, query)),
      remove: (beforeUs, limit) => run(() => removeEvents(connection, beforeUs, limit)),
    },
    // The one service that has the file is the host of all its sessions.
    listen: (_, onHint) => hints.listen(onHint),
    ping: () =>
      run(() => {
        connection.prepare('SELECT ordinal FROM sessions LIMIT 1').get()
      }),
    async close() {
      hints.silence()
      await close()
      connection.db.close()
    },
  }
}
