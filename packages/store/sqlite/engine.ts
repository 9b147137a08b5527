// The SQLite engine: the store and what belongs to it, over one file.

import { createAuditQueue } from '../audit-queue.ts'
import { type Hint, type InstanceLock, type Store, StoreError } from '../contract.ts'
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
import { appendAudit, beginEpoch, headSeq, moveCursor, readAudit, readCursor, readHead, tryTampering } from './audit.ts'
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
import { type Connection, describeFile, openConnection, translateError } from './connection.ts'
import { findEvent, newestEvent, readEvents, removeEvents } from './events.ts'
import { createHints } from './hints.ts'
import { acquireLock } from './lock.ts'
import { applyMigrations, readApplied } from './migrate.ts'
import { addNotice, countUnseen, listNotices, markSeen } from './notices.ts'
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
  const hinting = <T>(what: Hint, change: () => T) =>
    run(() => {
      const changed = change()
      if (changed !== false) hints.tell(what)
      return changed
    })
  const telling = <T>(change: () => T) => hinting('events', change)
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
      sealedSeq: (id) => run(() => sealedSeq(connection, id)),
      markSealed: (id, seq) => run(() => markSealed(connection, id, seq)),
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
      putBack: (id, number) => run(() => putCommandBack(connection, id, number)),
      finish: (id, number, outcome) => run(() => finishCommand(connection, id, number, outcome)),
      expire: (atUs) => run(() => expireCommands(connection, atUs)),
      close: (id, reason, atUs) => run(() => closeCommands(connection, id, reason, atUs)),
      listWaiting: (host) => run(() => listWaitingSessions(connection, host)),
      list: (id, limit) => run(() => listCommands(connection, id, limit)),
    },
    audit: {
      append: (host, events, atUs) => run(() => append(host, events, atUs)),
      beginEpoch: (host, fromEpoch, event, atUs) => run(() => beginEpoch(connection, host, fromEpoch, event, atUs)),
      headSeq: (host) => run(() => headSeq(connection, host)),
      readHead: (host) => run(() => readHead(connection, host)),
      read: (host, options) => run(() => readAudit(connection, host, options)),
      find: (host, query) => run(() => findAudit(connection, host, query)),
      readTexts: (host, seqs) => run(() => readTexts(connection, host, seqs)),
      readSubtrees: (host, wanted) => run(() => readSubtrees(connection, host, wanted)),
      addCheckpoint: (host, checkpoint) => run(() => addCheckpoint(connection, host, checkpoint)),
      findCheckpoint: (host, which) => run(() => findCheckpoint(connection, host, which)),
      listCheckpoints: (host, options) => run(() => listCheckpoints(connection, host, options)),
      readCursor: (host, sink) => run(() => readCursor(connection, host, sink)),
      moveCursor: (host, sink, seq) => run(() => moveCursor(connection, host, sink, seq)),
      tryTampering: (host) => run(() => tryTampering(connection, host)),
    },
    auditor: {
      cosign: async (host, cosignature) => {
        await hinting('auditor', () => cosign(connection, host, cosignature))
      },
      say: async (host, word) => {
        await hinting('auditor', () => sayWord(connection, host, word))
      },
      lastWord: (host) => run(() => lastWord(connection, host)),
      raiseAlarm: async (host, alarm) => {
        await hinting('auditor', () => raiseAlarm(connection, host, alarm))
      },
      listAlarms: (host, options) => run(() => listAlarms(connection, host, options)),
      acknowledgeAlarm: (host, id, by, atUs) => run(() => acknowledgeAlarm(connection, host, id, by, atUs)),
      listSinks: (host) => run(() => listSinks(connection, host)),
      park: (host, sink, entries, seq, atUs) => run(() => parkEntries(connection, host, sink, entries, seq, atUs)),
      listParked: (host, query) => run(() => listParked(connection, host, query)),
      unpark: (host, sink, seq) => run(() => unparkEntry(connection, host, sink, seq)),
      noteAttempt: (host, sink, seq, reason, atUs) => run(() => noteAttempt(connection, host, sink, seq, reason, atUs)),
    },
    access: {
      open: (grant, noticeId) => hinting('access', () => openGrant(connection, grant, noticeId)),
      find: (id) => run(() => findGrant(connection, id)),
      list: (query) => run(() => listGrants(connection, query)),
      end: (id, ended) => hinting('access', () => endGrant(connection, id, ended)),
      listExpired: (host, atUs, limit) => run(() => listExpiredGrants(connection, host, atUs, limit)),
      beginView: (view) => run(() => beginView(connection, view)),
      endView: (id, ended) => run(() => endView(connection, id, ended)),
      listOpenViews: (host) => run(() => listOpenViews(connection, host)),
      listViews: (grantIds) => run(() => listViews(connection, grantIds)),
    },
    notices: {
      add: (notice) => hinting('access', () => addNotice(connection, notice)),
      list: (query) => run(() => listNotices(connection, query)),
      countUnseen: (person) => run(() => countUnseen(connection, person)),
      markSeen: (person, throughId, atUs) => run(() => markSeen(connection, person, throughId, atUs)),
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
