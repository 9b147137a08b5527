// The way to a store: the only place that asks which engine a target means. Drivers are loaded when they are needed,
// so that neither engine's users load, or have to install, the other's.

import { setTimeout as wait } from 'node:timers/promises'
import {
  type InstanceLock,
  type Listening,
  type LockHolder,
  type Store,
  StoreError,
  type StoreTarget,
} from './contract.ts'
import type { AppliedPrivileges, AuditListener, Engine, PrivilegeState } from './engine.ts'
import {
  type AppliedMigration,
  type MigrateOptions,
  type MigrationState,
  migrationsDirectory,
  readMigrations,
} from './migrations.ts'

const waitPollMs = 500

async function engineOf(target: StoreTarget): Promise<Engine> {
  if (target.engine === 'sqlite') return (await import('./sqlite/engine.ts')).sqliteEngine(target.file)
  return (await import('./postgres/engine.ts')).postgresEngine(target.url)
}

export type OpenOptions = {
  /** The instance's: while it is not held, no operation is done. Without one the store asks nobody. */
  readonly lock?: InstanceLock
}

/** Never creates or migrates anything.
 *  @throws StoreError 'not-a-database', 'schema-newer', 'schema-older', 'migration-edited', 'not-writable', 'unavailable' */
export async function openStore(target: StoreTarget, { lock }: OpenOptions = {}): Promise<Store> {
  const engine = await engineOf(target)
  return engine.open(await readMigrations(target.engine, migrationsDirectory), lock ?? null)
}

export type WaitOptions = {
  readonly signal?: AbortSignal
  /** Called once for each reason that there is to wait. */
  readonly onWaiting?: (why: StoreError) => void
}

/** Resolves when the database answers, whatever it says: what it lacks is for the next step to find.
 *  @throws the signal's AbortError; StoreError 'unavailable' for what no waiting mends: a URL that is none */
export async function waitForDatabase(target: StoreTarget, { signal, onWaiting }: WaitOptions = {}): Promise<void> {
  const engine = await engineOf(target)
  const known = new Set<string>()
  for (;;) {
    signal?.throwIfAborted()
    try {
      await engine.readApplied()
      return
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      if (error.code !== 'unavailable') return
      if (!known.has(error.message)) onWaiting?.(error)
      known.add(error.message)
    }
    await wait(waitPollMs, undefined, signal === undefined ? {} : { signal })
  }
}

/** Creates the SQLite file where there is none. A PostgreSQL database has to exist and be ours or empty.
 *  @throws StoreError 'not-a-database', 'schema-newer', 'migration-edited', 'migration-failed', 'not-writable', 'unavailable' */
export async function migrate(
  target: StoreTarget,
  options: MigrateOptions = {},
): Promise<{ readonly applied: readonly string[] }> {
  const engine = await engineOf(target)
  const known = await readMigrations(target.engine, options.directory ?? migrationsDirectory)
  return { applied: await engine.migrate(known, options.onProgress) }
}

/** Changes nothing; an absent SQLite file has everything pending.
 *  @throws StoreError 'not-a-database', 'unavailable' */
export async function readMigrationState(target: StoreTarget): Promise<MigrationState> {
  const engine = await engineOf(target)
  return engine.readMigrationState(await readMigrations(target.engine, migrationsDirectory))
}

/** The ledger, by name. Empty where nothing was applied yet.
 *  @throws StoreError 'not-a-database', 'unavailable' */
export async function readAppliedMigrations(target: StoreTarget): Promise<readonly AppliedMigration[]> {
  return (await engineOf(target)).readApplied()
}

/** What of the services' roles and rights is not as the program declares it. Changes nothing.
 *  @throws StoreError 'unavailable' */
export async function readPrivilegeState(target: StoreTarget): Promise<PrivilegeState> {
  return (await engineOf(target)).readPrivilegeState()
}

/** Makes roles and rights what the program declares, in one transaction, as far as the target's role may. The migrations
 *  have to be applied.
 *  @throws StoreError 'unavailable' */
export async function applyPrivileges(target: StoreTarget): Promise<AppliedPrivileges> {
  return (await engineOf(target)).applyPrivileges()
}

/** @throws StoreError 'lock-held' naming the holder, 'not-writable', 'unavailable' */
export async function acquireInstanceLock(target: StoreTarget, holder: LockHolder): Promise<InstanceLock> {
  return (await engineOf(target)).acquireInstanceLock(holder)
}

/** Calls `onHint` when entries were added to the host's log, as far as the engine can tell: a hint may be late, needless or
 *  lost. Connects again by itself, for as long as it is not closed. SQLite has no such thing and never hints. */
export async function listenForAudit(target: StoreTarget, host: string, listener: AuditListener): Promise<Listening> {
  return (await engineOf(target)).listenForAudit(host, listener)
}
