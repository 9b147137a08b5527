// The PostgreSQL engine: the store and what belongs to it, over one database.

import { type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import { createAuditQueue } from '../audit-queue.ts'
import type { InstanceLock, Listening, Store } from '../contract.ts'
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
import { openPool, parseServer, type Server, translateError } from './connection.ts'
import { findEvent, newestEvent, readEvents, removeEvents } from './events.ts'
import { listenForAudit, listenForSessions } from './hints.ts'
import { acquireLock } from './lock.ts'
import { applyMigrations, readApplied } from './migrate.ts'
import { applyPrivileges, readPrivilegeState } from './privileges.ts'
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

/** @throws StoreError 'unavailable' where the URL is none */
export function postgresEngine(url: string): Engine {
  const server = parseServer(url)
  return {
    async open(known, lock) {
      requireCurrent(compareMigrations(known, await readApplied(server)), server.where)
      return createPostgresStore(await openPool(server), server, lock)
    },
    readMigrationState: async (known) => compareMigrations(known, await readApplied(server)),
    readApplied: () => readApplied(server),
    migrate: (known, onProgress) => applyMigrations(server, known, onProgress),
    acquireInstanceLock: (holder) => acquireLock(server, holder),
    readPrivilegeState: () => readPrivilegeState(server),
    applyPrivileges: () => applyPrivileges(server),
    listenForAudit: (host, listener) => listenForAudit(server, host, listener),
  }
}

const pingRow = z.strictObject({ answer: z.literal(1) })

function createPostgresStore(pool: DatabasePool, server: Server, lock: InstanceLock | null): Store {
  const { run, close } = createGate(server.where, (error) => translateError(error, server.where), lock)
  const listenings = new Set<Listening>()
  const append = createAuditQueue(async (host, pending) => {
    // It may have waited for a group before it.
    lock?.requireHeld()
    return appendAudit(pool, host, pending)
  })
  return {
    sessions: {
      create: (session) => run(() => createSession(pool, session)),
      find: (id) => run(() => findSession(pool, id)),
      list: (query) => run(() => listSessions(pool, query)),
      markRunning: (id, atUs) => run(() => markSessionRunning(pool, id, atUs)),
      markLost: (id, atUs) => run(() => markSessionLost(pool, id, atUs)),
      end: (id, exit, atUs) => run(() => endSession(pool, id, exit, atUs)),
      countLive: (host, person) => run(() => countLiveSessions(pool, host, person)),
      listLive: (host) => run(() => listLiveSessions(pool, host)),
      listOverdue: (host, query) => run(() => listOverdueSessions(pool, host, query)),
      setAgentStatus: (id, status, atUs) => run(() => setAgentStatus(pool, id, status, atUs)),
      rename: (id, title, atUs) => run(() => renameSession(pool, id, title, atUs)),
    },
    transcripts: {
      append: (appends) => run(() => appendChunks(pool, appends)),
      lastSeq: (id) => run(() => lastSeq(pool, id)),
      read: (id, options) => run(() => readChunks(pool, id, options)),
      listRemovable: (host, query) => run(() => listRemovable(pool, host, query)),
      remove: (id, options) => run(() => removeChunks(pool, id, options)),
    },
    commands: {
      enqueue: (command) => run(() => enqueueCommand(pool, command)),
      take: (id, atUs) => run(() => takeCommand(pool, id, atUs)),
      finish: (id, number, outcome) => run(() => finishCommand(pool, id, number, outcome)),
      expire: (atUs) => run(() => expireCommands(pool, atUs)),
      close: (id, reason, atUs) => run(() => closeCommands(pool, id, reason, atUs)),
      listWaiting: (host) => run(() => listWaitingSessions(pool, host)),
      list: (id, limit) => run(() => listCommands(pool, id, limit)),
    },
    audit: {
      append: (host, events, atUs) => run(() => append(host, events, atUs)),
      headSeq: (host) => run(() => headSeq(pool, host)),
      read: (host, options) => run(() => readAudit(pool, host, options)),
      readCursor: (host, sink) => run(() => readCursor(pool, host, sink)),
      moveCursor: (host, sink, seq) => run(() => moveCursor(pool, host, sink, seq)),
      tryTampering: (host) => run(() => tryTampering(server, host)),
    },
    accounts: {
      list: (host) => run(() => listAccounts(pool, host)),
      bind: (host, account) => run(() => bindAccount(pool, host, account)),
      rebind: (host, account) => run(() => rebindAccount(pool, host, account)),
    },
    events: {
      newest: () => run(() => newestEvent(pool)),
      find: (scope, id) => run(() => findEvent(pool, scope, id)),
      read: (query) => run(() => readEvents(pool, query)),
      remove: (beforeUs, limit) => run(() => removeEvents(pool, beforeUs, limit)),
    },
    listen(host, onHint) {
      const listening = listenForSessions(server, host, onHint)
      listenings.add(listening)
      return listening
    },
    ping: () =>
      run(async () => {
        await pool.one(sql.type(pingRow)`SELECT 1 AS answer`)
      }),
    async close() {
      await Promise.all([...listenings].map((listening) => listening.close()))
      await close()
      await pool.end()
    },
  }
}
