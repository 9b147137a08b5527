// Whoever owns a thing may do everything with it: all of ours belongs to the owner of the database, and what keeps even
// the owner from changing audit entries by accident is in its place.

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

const triggerRow = z.strictObject({ isInPlace: z.boolean() })
/** pg_trigger.h: BEFORE 2, DELETE 8, UPDATE 16, TRUNCATE 32, and not ROW 1: for each statement. */
const triggerType = 58

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
    SELECT EXISTS (
      SELECT FROM pg_trigger
      WHERE tgrelid = audit.oid AND tgname = 'audit_entries_stay' AND tgenabled = 'A' AND tgtype = $1
        AND tgfoid = to_regprocedure('refuse_audit_change()') AND tgqual IS NULL AND tgattr = ''
    ) AS "isInPlace"
    FROM pg_class AS audit WHERE audit.oid = to_regclass('audit_entries')`,
    [triggerType],
  )
  return found
    .filter(({ isInPlace }) => !isInPlace)
    .map(() => ({
      kind: 'trigger',
      subject: 'audit_entries',
      what: 'the trigger audit_entries_stay, which refuses changes of TABLE audit_entries, is missing, altered or not always enabled',
      sql: [
        'CREATE OR REPLACE TRIGGER audit_entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()',
        'ALTER TABLE audit_entries ENABLE ALWAYS TRIGGER audit_entries_stay',
      ].join('; '),
    }))
}
