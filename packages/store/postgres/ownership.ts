// Whoever owns a thing may do everything with it: all of ours belongs to the owner of the database, and what keeps even
// the owner from changing the audit log by accident is in its place.

import type pg from 'pg'
import { z } from 'zod'
import type { PrivilegeDifference } from '../engine.ts'
import { objectsQuery } from './grants.ts'
import { queryClient } from './migrate.ts'

const ownerRow = z.strictObject({ object: z.string(), owner: z.string(), wanted: z.string() })

/** A sequence belongs to whom its table belongs to. pg_database_owner is whoever owns the database. */
export async function findOwnerDifferences(client: pg.Client, where: string): Promise<readonly PrivilegeDifference[]> {
  const found = await queryClient(
    client,
    where,
    ownerRow,
    `
    WITH ${objectsQuery}
    SELECT object, objects.owner::regrole::text AS owner, database.owner::regrole::text AS wanted
    FROM objects, database
    WHERE objects.owner NOT IN (database.owner, 'pg_database_owner'::regrole) AND object NOT LIKE 'SEQUENCE %'
    ORDER BY object`,
  )
  return found.map(({ object, owner, wanted }) => ({
    kind: 'owner',
    subject: object,
    what: `${object} belongs to ${owner}, not to ${wanted}`,
    sql: `ALTER ${object} OWNER TO ${wanted}`,
  }))
}

const triggerRow = z.strictObject({ table: z.string() })

/** What each of these triggers refuses, as the migrations make it: `type` as in pg_trigger.h (BEFORE 2, DELETE 8, UPDATE 16,
 *  TRUNCATE 32, and not ROW 1: for each statement). A text may be erased, by the tables' owner. */
const refused: readonly { readonly table: string; readonly events: string; readonly type: number }[] = [
  { table: 'audit_entries', events: 'UPDATE OR DELETE OR TRUNCATE', type: 58 },
  { table: 'audit_subtrees', events: 'UPDATE OR DELETE OR TRUNCATE', type: 58 },
  { table: 'audit_checkpoints', events: 'UPDATE OR DELETE OR TRUNCATE', type: 58 },
  { table: 'audit_texts', events: 'UPDATE', type: 18 },
]

export async function findTriggerDifferences(
  client: pg.Client,
  where: string,
): Promise<readonly PrivilegeDifference[]> {
  // No row where the table itself is missing, which is said elsewhere.
  const found = await queryClient(
    client,
    where,
    triggerRow,
    `
    SELECT wanted.name AS table FROM unnest($1::text[], $2::int[]) AS wanted (name, type)
    WHERE to_regclass(wanted.name) IS NOT NULL AND NOT EXISTS (
      SELECT FROM pg_trigger
      WHERE tgrelid = to_regclass(wanted.name) AND tgname = wanted.name || '_stay' AND tgenabled = 'A'
        AND tgtype = wanted.type AND tgfoid = to_regprocedure('refuse_audit_change()') AND tgqual IS NULL AND tgattr = ''
    )`,
    [refused.map(({ table }) => table), refused.map(({ type }) => type)],
  )
  return refused
    .filter(({ table }) => found.some((missing) => missing.table === table))
    .map(({ table, events }) => ({
      kind: 'trigger',
      subject: table,
      what: `the trigger ${table}_stay, which refuses changes of TABLE ${table}, is missing, altered or not always enabled`,
      sql: [
        `CREATE OR REPLACE TRIGGER ${table}_stay BEFORE ${events} ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()`,
        `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${table}_stay`,
      ].join('; '),
    }))
}
