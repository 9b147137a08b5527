// The PostgreSQL engine: the store and what belongs to it, over one database.

import { type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import { createAuditQueue } from '../audit-queue.ts'
import type { InstanceLock, Listening, Store } from '../contract.ts'
import type { Engine } from '../engine.ts'
import { createGate } from '../gate.ts'
import { compareMigrations, requireCurrent } from '../migrations.ts'
import {
  beginView,
  endGrant,
  endView,
  findGrant,
  listExpiredGrants,
  listGrants,
  listOpenViews,
  listViews,
  openGrant,
} from './access.ts'
import { bindAccount, listAccounts, rebindAccount } from './accounts.ts'
import { createAuditAppender, headSeq, moveCursor, readAudit, readCursor, readHead, tryTampering } from './audit.ts'
import { findAudit, readTexts } from './audit-search.ts'
import {
  acknowledgeAlarm,
  cosign,
  lastWord,
  listAlarms,
  listParked,
  listSinks,
  noteAttempt,
  parkEntries,
  raiseAlarm,
  sayWord,
  unparkEntry,
} from './auditor.ts'
import { addCheckpoint, findCheckpoint, listCheckpoints, readSubtrees } from './checkpoints.ts'
import {
  closeCommands,
  enqueueCommand,
  expireCommands,
  finishCommand,
  listCommands,
  listWaitingSessions,
  putCommandBack,
  takeCommand,
} from './commands.ts'
import { openPool, parseServer, type Server, translateError } from './connection.ts'
import { findEvent, newestEvent, readEvents, removeEvents } from './events.ts'
import { listenForAudit, listenForHints } from './hints.ts'
import { acquireLock } from './lock.ts'
import { applyMigrations, readApplied } from './migrate.ts'
import { addNotice, countUnseen, listNotices, markSeen } from './notices.ts'
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
import { appendChunks, lastSeq, listRemovable, markSealed, readChunks, removeChunks, sealedSeq } from './transcripts.ts'

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
  const appender = createAuditAppender(pool)
  const append = createAuditQueue(async (host, pending) => {
    // It may have waited for a group before it.
    lock?.requireHeld()
    return appender.append(host, pending)
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
      sealedSeq: (id) => run(() => sealedSeq(pool, id)),
      markSealed: (id, seq) => run(() => markSealed(pool, id, seq)),
      listRemovable: (host, query) => run(() => listRemovable(pool, host, query)),
      remove: (id, options) => run(() => removeChunks(pool, id, options)),
    },
    commands: {
      enqueue: (command) => run(() => enqueueCommand(pool, command)),
      take: (id, atUs) => run(() => takeCommand(pool, id, atUs)),
      putBack: (id, number) => run(() => putCommandBack(pool, id, number)),
      finish: (id, number, outcome) => run(() => finishCommand(pool, id, number, outcome)),
      expire: (atUs) => run(() => expireCommands(pool, atUs)),
      close: (id, reason, atUs) => run(() => closeCommands(pool, id, reason, atUs)),
      listWaiting: (host) => run(() => listWaitingSessions(pool, host)),
      list: (id, limit) => run(() => listCommands(pool, id, limit)),
    },
    audit: {
      append: (host, events, atUs) => run(() => append(host, events, atUs)),
      beginEpoch: (host, fromEpoch, event, atUs) => run(() => appender.beginEpoch(host, fromEpoch, event, atUs)),
      headSeq: (host) => run(() => headSeq(pool, host)),
      readHead: (host) => run(() => readHead(pool, host)),
      read: (host, options) => run(() => readAudit(pool, host, options)),
      find: (host, query) => run(() => findAudit(pool, host, query)),
      readTexts: (host, seqs) => run(() => readTexts(pool, host, seqs)),
      readSubtrees: (host, wanted) => run(() => readSubtrees(pool, host, wanted)),
      addCheckpoint: (host, checkpoint) => run(() => addCheckpoint(pool, host, checkpoint)),
      findCheckpoint: (host, which) => run(() => findCheckpoint(pool, host, which)),
      listCheckpoints: (host, options) => run(() => listCheckpoints(pool, host, options)),
      readCursor: (host, sink) => run(() => readCursor(pool, host, sink)),
      moveCursor: (host, sink, seq) => run(() => moveCursor(pool, host, sink, seq)),
      tryTampering: (host) => run(() => tryTampering(server, host)),
    },
    auditor: {
      cosign: (host, cosignature) => run(() => cosign(pool, host, cosignature)),
      say: (host, word) => run(() => sayWord(pool, host, word)),
      lastWord: (host) => run(() => lastWord(pool, host)),
      raiseAlarm: (host, alarm) => run(() => raiseAlarm(pool, host, alarm)),
      listAlarms: (host, options) => run(() => listAlarms(pool, host, options)),
      acknowledgeAlarm: (host, id, by, atUs) => run(() => acknowledgeAlarm(pool, host, id, by, atUs)),
      listSinks: (host) => run(() => listSinks(pool, host)),
      park: (host, sink, entries, seq, atUs) => run(() => parkEntries(pool, host, sink, entries, seq, atUs)),
      listParked: (host, query) => run(() => listParked(pool, host, query)),
      unpark: (host, sink, seq) => run(() => unparkEntry(pool, host, sink, seq)),
      noteAttempt: (host, sink, seq, reason, atUs) => run(() => noteAttempt(pool, host, sink, seq, reason, atUs)),
    },
    access: {
      open: (grant, noticeId) => run(() => openGrant(pool, grant, noticeId)),
      find: (id) => run(() => findGrant(pool, id)),
      list: (query) => run(() => listGrants(pool, query)),
      end: (id, ended) => run(() => endGrant(pool, id, ended)),
      listExpired: (host, atUs, limit) => run(() => listExpiredGrants(pool, host, atUs, limit)),
      beginView: (view) => run(() => beginView(pool, view)),
      endView: (id, ended) => run(() => endView(pool, id, ended)),
      listOpenViews: (host) => run(() => listOpenViews(pool, host)),
      listViews: (grantIds) => run(() => listViews(pool, grantIds)),
    },
    notices: {
      add: (notice) => run(() => addNotice(pool, notice)),
      list: (query) => run(() => listNotices(pool, query)),
      countUnseen: (person) => run(() => countUnseen(pool, person)),
      markSeen: (person, throughId, atUs) => run(() => markSeen(pool, person, throughId, atUs)),
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
      const listening = listenForHints(server, host, onHint)
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
