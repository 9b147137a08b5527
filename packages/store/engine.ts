// What each engine has to offer beside the store itself.

import type { InstanceLock, LockHolder, Store } from './contract.ts'
import type { Migration, MigrationState, OnProgress } from './migrations.ts'

export interface Engine {
  /** @throws StoreError where the database is not one of ours with exactly these migrations applied */
  open(known: readonly Migration[]): Promise<Store>
  readMigrationState(known: readonly Migration[]): Promise<MigrationState>
  /** Applies what is pending and returns its names. */
  migrate(known: readonly Migration[], onProgress: OnProgress | undefined): Promise<readonly string[]>
  acquireInstanceLock(holder: LockHolder): Promise<InstanceLock>
}
