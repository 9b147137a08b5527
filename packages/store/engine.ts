// What each engine has to offer beside the store itself.

import type { InstanceLock, Listening, LockHolder, Store } from './contract.ts'
import type { AppliedMigration, Migration, MigrationState, OnProgress } from './migrations.ts'

/** `onHint`: entries may have been added. `onState`: whether hints come at all, at each change; without them nothing is
 *  lost but time. */
export type AuditListener = {
  readonly onHint: () => void
  readonly onState: (state: { readonly listening: true } | { readonly listening: false; readonly why: unknown }) => void
}

/** Something that is otherwise than the program declares it: a role, a right, an owner, a trigger. */
export type PrivilegeDifference = {
  readonly kind: 'role' | 'owner' | 'grant' | 'trigger'
  /** The role, table, function, schema or database that it is about. */
  readonly subject: string
  readonly what: string
  /** What mends it, for whoever may. */
  readonly sql: string
}

/** `roles`: those of the services, by name. An engine without roles has none, and nothing that differs. */
export type PrivilegeState = {
  readonly roles: readonly string[]
  readonly differences: readonly PrivilegeDifference[]
}

/** `left`: what the role that we are could not mend. */
export type AppliedPrivileges = {
  readonly mended: readonly PrivilegeDifference[]
  readonly left: readonly PrivilegeDifference[]
}

export interface Engine {
  /** @param lock asked before each operation, unless it is null
   *  @throws StoreError where the database is not one of ours with exactly these migrations applied */
  open(known: readonly Migration[], lock: InstanceLock | null): Promise<Store>
  readApplied(): Promise<readonly AppliedMigration[]>
  readMigrationState(known: readonly Migration[]): Promise<MigrationState>
  /** Applies what is pending and returns its names. */
  migrate(known: readonly Migration[], onProgress: OnProgress | undefined): Promise<readonly string[]>
  acquireInstanceLock(holder: LockHolder): Promise<InstanceLock>
  readPrivilegeState(): Promise<PrivilegeState>
  applyPrivileges(): Promise<AppliedPrivileges>
  listenForAudit(host: string, listener: AuditListener): Listening
}
