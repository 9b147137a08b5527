// For the store's tests: the real engines side by side, and real processes that use them.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { SessionId } from '@teleclaude/core/session.ts'
import { startPostgres } from '../../test/support/postgres-server.ts'
import { type NewSession, type Store, StoreError, type StoreErrorCode, type StoreTarget } from './contract.ts'
import { migrate, openStore } from './open.ts'
import { connectClient, parseServer } from './postgres/connection.ts'
import { openConnection } from './sqlite/connection.ts'

export const engineNames = ['sqlite', 'postgres'] as const

export type TestEngine = {
  /** Nothing in it, not even a schema. */
  createTarget(): Promise<StoreTarget>
  /** A store of its own, closed by `stop`. */
  createStore(): Promise<{ readonly store: Store; readonly target: StoreTarget }>
  stop(): Promise<void>
}

export async function startEngine(name: StoreTarget['engine']): Promise<TestEngine> {
  const directory = await mkdtemp(join(tmpdir(), 'teleclaude-store-'))
  const server = name === 'postgres' ? await startPostgres() : null
  const stores: Store[] = []
  let files = 0
  async function createTarget(): Promise<StoreTarget> {
    if (server !== null) return { engine: 'postgres', url: await server.createDatabase() }
    files += 1
    return { engine: 'sqlite', file: join(directory, `${files}.db`) }
  }
  return {
    createTarget,
    async createStore() {
      const target = await createTarget()
      await migrate(target)
      const store = await openStore(target)
      stores.push(store)
      return { store, target }
    },
    async stop() {
      for (const store of stores) await store.close()
      await server?.stop()
      await rm(directory, { recursive: true })
    },
  }
}

export function newSession(change: Partial<NewSession> = {}): NewSession {
  return {
    id: crypto.randomUUID() as SessionId,
    host: 'testhost',
    owner: { person: 'alice', uid: 1000, osUser: 'alice' },
    project: '/home/alice/project',
    agent: 'claude',
    title: 'a session',
    argv: ['claude', '--resume'],
    terminal: { cols: 80, rows: 24 },
    parentId: null,
    createdAtUs: 1_700_000_000_000_001,
    ...change,
  }
}

/** Runs a module's text in a process of its own, in this directory; its arguments are at process.argv[1] and on. */
export function spawnScript(script: string, ...scriptArguments: readonly string[]): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', script, '--', ...scriptArguments], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** The first line that the process prints. */
export async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new TypeError('cannot read from a process without a standard output')
  for await (const line of createInterface({ input: child.stdout })) return line
  throw new Error('cannot read from a process that ended without a word')
}

/** How the process ended: its exit code or the name of the signal. */
export async function ending(child: ChildProcess): Promise<number | string> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return child.exitCode ?? child.signalCode ?? 'nothing'
}

/** Asks the database past the store. */
export async function queryRows(target: StoreTarget, statement: string): Promise<readonly unknown[]> {
  if (target.engine === 'sqlite') {
    const { db } = openConnection(target.file)
    try {
      const prepared = db.prepare(statement)
      return prepared.reader ? prepared.all() : [prepared.run()]
    } finally {
      db.close()
    }
  }
  const client = await connectClient(parseServer(target.url), 'test')
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}

/** For assert.rejects: the code, and what the message has to say. */
export function isStoreError(code: StoreErrorCode, says = /^cannot /) {
  return (error: unknown) => {
    if (!(error instanceof StoreError)) throw error
    assert.equal(error.code, code, error.message)
    assert.match(error.message, says)
    return true
  }
}
