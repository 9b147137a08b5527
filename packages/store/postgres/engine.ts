// The PostgreSQL engine: the store and what belongs to it, over one database.

import { type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import type { Store } from '../contract.ts'
import type { Engine } from '../engine.ts'
import { createGate } from '../gate.ts'
import { compareMigrations, requireCurrent } from '../migrations.ts'
import { enqueueCommand, expireCommands, finishCommand, listCommands, takeCommand } from './commands.ts'
import { openPool, parseServer, translateError } from './connection.ts'
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

/** @throws StoreError 'unavailable' where the URL is none */
export function postgresEngine(url: string): Engine {
  const server = parseServer(url)
  return {
    async open(known) {
      requireCurrent(compareMigrations(known, await readApplied(server)), server.where)
      return createPostgresStore(await openPool(server), server.where)
    },
    readMigrationState: async (known) => compareMigrations(known, await readApplied(server)),
    migrate: (known, onProgress) => applyMigrations(server, known, onProgress),
    acquireInstanceLock: (holder) => acquireLock(server, holder),
  }
}

const pingRow = z.strictObject({ answer: z.literal(1) })

function createPostgresStore(pool: DatabasePool, where: string): Store {
  const { run, close } = createGate(where, (error) => translateError(error, where))
  return {
    sessions: {
      create: (session) => run(() => createSession(pool, session)),
      find: (id) => run(() => findSession(pool, id)),
      list: (query) => run(() => listSessions(pool, query)),
      markRunning: (id, atUs) => run(() => markSessionRunning(pool, id, atUs)),
      markLost: (id, atUs) => run(() => markSessionLost(pool, id, atUs)),
      end: (id, exit, atUs) => run(() => endSession(pool, id, exit, atUs)),
      listLive: (host) => run(() => listLiveSessions(pool, host)),
    },
    transcripts: {
      append: (appends) => run(() => appendChunks(pool, appends)),
      lastSeq: (id) => run(() => lastSeq(pool, id)),
      read: (id, options) => run(() => readChunks(pool, id, options)),
    },
    commands: {
      enqueue: (command) => run(() => enqueueCommand(pool, command)),
      take: (id, atUs) => run(() => takeCommand(pool, id, atUs)),
      finish: (commandId, outcome) => run(() => finishCommand(pool, commandId, outcome)),
      expire: (atUs) => run(() => expireCommands(pool, atUs)),
      list: (id, limit) => run(() => listCommands(pool, id, limit)),
    },
    ping: () =>
      run(async () => {
        await pool.one(sql.type(pingRow)`SELECT 1 AS answer`)
      }),
    async close() {
      await close()
      await pool.end()
    },
  }
}
