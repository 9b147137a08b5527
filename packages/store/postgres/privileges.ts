// What each service's role may do in the database, and how the database is made so. What is found and what is declared
// are compared here alone: plan shows the differences, apply mends them, verify wants none.

import pg from 'pg'
import type { AppliedPrivileges, PrivilegeDifference, PrivilegeState } from '../engine.ts'
import { type Server, translateClientError } from './connection.ts'
import { findGrantDifferences } from './grants.ts'
import { lockMigrations, usingClient } from './migrate.ts'
import { findOwnerDifferences, findTriggerDifferences } from './ownership.ts'
import { findRoleDifferences } from './roles.ts'

/** UPDATE of a column alone is named with it: `UPDATE (title)`. */
export type TablePrivilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE' | `UPDATE (${string})`

/** Role -> table -> privileges. What is not here nobody has, but the owner of the database; every table of ours is named. */
export const privileges: Readonly<Record<string, Readonly<Record<string, readonly TablePrivilege[]>>>> = {
  teleclaude_api: {
    teleclaude_migrations: ['SELECT'],
    sessions: ['SELECT', 'INSERT', 'UPDATE'],
    transcript_chunks: ['SELECT', 'INSERT', 'DELETE'],
    commands: ['SELECT', 'INSERT', 'UPDATE'],
    session_events: ['SELECT', 'INSERT', 'DELETE'],
    audit_heads: ['SELECT', 'INSERT', 'UPDATE'],
    audit_entries: ['SELECT', 'INSERT'],
    audit_subtrees: ['SELECT', 'INSERT'],
    audit_texts: ['SELECT', 'INSERT'],
    audit_checkpoints: ['SELECT', 'INSERT'],
    audit_cosignatures: ['SELECT'],
    auditor_words: ['SELECT'],
    auditor_cursors: ['SELECT'],
    auditor_parked: ['SELECT'],
    audit_alarms: ['SELECT', 'UPDATE (acknowledged_by)', 'UPDATE (acknowledged_at)'],
    access_grants: ['SELECT', 'INSERT', 'UPDATE'],
    access_views: ['SELECT', 'INSERT', 'UPDATE'],
    notices: ['SELECT', 'INSERT', 'UPDATE'],
    accounts: ['SELECT', 'INSERT', 'UPDATE'],
  },
  teleclaude_auditor: {
    teleclaude_migrations: ['SELECT'],
    audit_heads: ['SELECT'],
    audit_entries: ['SELECT'],
    audit_subtrees: ['SELECT'],
    audit_checkpoints: ['SELECT'],
    audit_cosignatures: ['SELECT', 'INSERT'],
    auditor_words: ['SELECT', 'INSERT', 'UPDATE'],
    auditor_cursors: ['SELECT', 'INSERT', 'UPDATE'],
    auditor_parked: ['SELECT', 'INSERT', 'UPDATE', 'DELETE'],
    audit_alarms: ['SELECT', 'INSERT'],
  },
}

const roles = Object.keys(privileges)

async function findDifferences(client: pg.Client, where: string): Promise<readonly PrivilegeDifference[]> {
  return [
    ...(await findRoleDifferences(client, where, roles)),
    ...(await findOwnerDifferences(client, where)),
    ...(await findGrantDifferences(client, where, privileges)),
    ...(await findTriggerDifferences(client, where)),
  ]
}

export function readPrivilegeState(server: Server): Promise<PrivilegeState> {
  return usingClient(server, async (client) => ({ roles, differences: await findDifferences(client, server.where) }))
}

export function applyPrivileges(server: Server): Promise<AppliedPrivileges> {
  return usingClient(server, async (client) => {
    await lockMigrations(client, server.where)
    try {
      await client.query('BEGIN')
      const found = await findDifferences(client, server.where)
      for (const { sql } of found) await attempt(client, sql)
      // Some refusals are a warning and no error: what counts is what is there afterwards.
      const left = await findDifferences(client, server.where)
      await client.query('COMMIT')
      return { mended: found.filter(({ what }) => !left.some((difference) => difference.what === what)), left }
    } catch (error) {
      // The connection ends after this, and with it what the transaction did.
      throw translateClientError(error, server.where)
    }
  })
}

/** insufficient_privilege; undefined_object, _table, _function: what could not be made a moment ago. */
const refusals = ['42501', '42704', '42P01', '42883']

/** What the role may not mend is left for somebody who may, and keeps nothing else from being mended. */
async function attempt(client: pg.Client, sql: string): Promise<void> {
  await client.query('SAVEPOINT attempt')
  try {
    await client.query(sql)
  } catch (error) {
    if (!(error instanceof pg.DatabaseError && refusals.includes(error.code ?? ''))) throw error
    await client.query('ROLLBACK TO SAVEPOINT attempt')
  }
}
