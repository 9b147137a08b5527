// The way to a store: the only place that asks which engine a target means. Drivers are loaded when they are needed,
// so that neither engine's users load, or have to install, the other's.

import type { InstanceLock, LockHolder, Store, StoreTarget } from './contract.ts'
import type { Engine } from './engine.ts'
import { type MigrateOptions, type MigrationState, migrationsDirectory, readMigrations } from './migrations.ts'

async function engineOf(target: StoreTarget): Promise<Engine> {
  if (target.engine === 'sqlite') return (await import('./sqlite/engine.ts')).sqliteEngine(target.file)
  return (await import('./postgres/engine.ts')).postgresEngine(target.url)
}

/** Never creates or migrates anything.
 *  @throws StoreError 'not-a-database', 'schema-newer', 'schema-older', 'migration-edited', 'not-writable', 'unavailable' */
export async function openStore(target: StoreTarget): Promise<Store> {
  const engine = await engineOf(target)
  return engine.open(await readMigrations(target.engine, migrationsDirectory))
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

/** @throws StoreError 'lock-held' naming the holder, 'not-writable', 'unavailable' */
export async function acquireInstanceLock(target: StoreTarget, holder: LockHolder): Promise<InstanceLock> {
  return (await engineOf(target)).acquireInstanceLock(holder)
}
