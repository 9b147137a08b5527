// Who may do what with the database, its schema, tables, columns, sequences and functions, compared with what is declared.
// The owner's own rights are left out: they are what makes it the owner.

import type pg from 'pg'
import { z } from 'zod'
import type { PrivilegeDifference } from '../engine.ts'
import { queryClient } from './migrate.ts'

/** Everything of ours as GRANT names it, with its owner and access control list (PostgreSQL manual, "Privileges"; an empty
 *  list means the default). What an extension brought along is the extension's. */
export const objectsQuery = `
  objects (object, owner, acl) AS (
    SELECT format('DATABASE %I', datname), datdba, coalesce(datacl, acldefault('d', datdba))
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT format('SCHEMA %I', nspname), nspowner, coalesce(nspacl, acldefault('n', nspowner))
    FROM pg_namespace WHERE nspname = current_schema()
    UNION ALL
    SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, oid::regclass), relowner,
      coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))
    FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
    UNION ALL
    SELECT format('ROUTINE %s', oid::regprocedure), proowner, coalesce(proacl, acldefault('f', proowner))
    FROM pg_proc
    WHERE pronamespace = current_schema()::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid AND deptype = 'e')
  ),
  database (owner) AS (SELECT datdba FROM pg_database WHERE datname = current_database())`

const grantRow = z.strictObject({
  object: z.string(),
  grantee: z.string(),
  /** `SELECT`, `SELECT (column)`, `SELECT WITH GRANT OPTION` */
  privilege: z.string(),
})
const placeRow = z.strictObject({ database: z.string(), schema: z.string() })

type Grants = Map<string, { readonly object: string; readonly grantee: string; readonly privileges: Set<string> }>

function add(grants: Grants, object: string, grantee: string, privileges: readonly string[]): void {
  const key = `${object} ${grantee}`
  const there = grants.get(key) ?? { object, grantee, privileges: new Set() }
  for (const privilege of privileges) there.privileges.add(privilege)
  grants.set(key, there)
}

/** @param declared role -> table -> privileges; each role may use the schema, too */
export async function findGrantDifferences(
  client: pg.Client,
  where: string,
  declared: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>,
): Promise<readonly PrivilegeDifference[]> {
  const wanted: Grants = new Map()
  const places = await queryClient(
    client,
    where,
    placeRow,
    'SELECT quote_ident(current_database()) AS database, quote_ident(current_schema()) AS schema',
  )
  for (const [role, tables] of Object.entries(declared)) {
    for (const { database, schema } of places) {
      add(wanted, `DATABASE ${database}`, role, ['CONNECT'])
      add(wanted, `SCHEMA ${schema}`, role, ['USAGE'])
    }
    for (const [table, privileges] of Object.entries(tables)) add(wanted, `TABLE ${table}`, role, privileges)
  }
  const found: Grants = new Map()
  for (const { object, grantee, privilege } of await readGrants(client, where)) add(found, object, grantee, [privilege])

  return [...new Map([...found, ...wanted])].flatMap(([key, { object, grantee }]) => {
    const should = wanted.get(key)?.privileges ?? new Set()
    const has = found.get(key)?.privileges ?? new Set()
    const excess = [...has.difference(should)]
    const lacking = [...should.difference(has)]
    const grant = (what: readonly string[]) =>
      what.length === 0 ? [] : [`GRANT ${what.join(', ')} ON ${object} TO ${grantee}`]
    const revoke = `REVOKE ALL ON ${object} FROM ${grantee} CASCADE`
    const differences: PrivilegeDifference[] = []
    if (excess.length > 0) {
      const what = `${grantee} has ${excess.join(', ')} on ${object}, and must not`
      differences.push({ kind: 'grant', subject: grantee, what, sql: [revoke, ...grant([...should])].join('; ') })
    } else if (lacking.length > 0) {
      const what = `${grantee} lacks ${lacking.join(', ')} on ${object}`
      differences.push({ kind: 'grant', subject: grantee, what, sql: grant(lacking).join('; ') })
    }
    return differences
  })
}

function readGrants(client: pg.Client, where: string): Promise<z.infer<typeof grantRow>[]> {
  return queryClient(
    client,
    where,
    grantRow,
    `
    WITH ${objectsQuery},
    grants (object, owner, place, entry) AS (
      SELECT object, owner, '', aclexplode(acl) FROM objects
      UNION ALL
      SELECT format('TABLE %s', attrelid::regclass), relowner, format(' (%I)', attname), aclexplode(attacl)
      FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      WHERE relnamespace = current_schema()::regnamespace
    )
    SELECT object, coalesce(quote_ident(rolname), 'PUBLIC') AS grantee,
      (entry).privilege_type || place || CASE WHEN (entry).is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS privilege
    FROM grants LEFT JOIN pg_roles ON pg_roles.oid = (entry).grantee
    WHERE (entry).grantee NOT IN (grants.owner, (SELECT owner FROM database))
    ORDER BY object, grantee, privilege`,
  )
}
