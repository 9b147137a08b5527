// The services' roles: they log in, and can do nothing else that a role can by its attributes or by belonging to another.

import type pg from 'pg'
import { z } from 'zod'
import type { PrivilegeDifference } from '../engine.ts'
import { queryClient } from './migrate.ts'

/** What makes a role too strong, as CREATE ROLE says it. */
const strongAttributes = ['SUPERUSER', 'CREATEDB', 'CREATEROLE', 'REPLICATION', 'BYPASSRLS', 'INHERIT'] as const

/** A statement or transaction that hangs is ended, whoever began it. */
const settings = ["statement_timeout = '60s'", "idle_in_transaction_session_timeout = '60s'", "lock_timeout = '30s'"]

const roleRow = z.strictObject({
  name: z.string(),
  mayLogIn: z.boolean(),
  attributes: z.array(z.enum(strongAttributes)),
  memberOf: z.array(z.string()),
})

/** A role that is there keeps its password and settings. */
export async function findRoleDifferences(
  client: pg.Client,
  where: string,
  roles: readonly string[],
): Promise<readonly PrivilegeDifference[]> {
  const found = await queryClient(
    client,
    where,
    roleRow,
    `
    SELECT rolname::text AS name, rolcanlogin AS "mayLogIn",
      array_remove(ARRAY[
        CASE WHEN rolsuper THEN 'SUPERUSER' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolreplication THEN 'REPLICATION' END,
        CASE WHEN rolbypassrls THEN 'BYPASSRLS' END, CASE WHEN rolinherit THEN 'INHERIT' END
      ], NULL) AS attributes,
      ARRAY(
        SELECT DISTINCT roleid::regrole::text FROM pg_auth_members WHERE member = pg_roles.oid ORDER BY 1
      ) AS "memberOf"
    FROM pg_roles WHERE rolname = ANY($1) ORDER BY rolname`,
    [roles],
  )
  return roles.flatMap((role) => {
    const there = found.find(({ name }) => name === role)
    if (there === undefined) return [missing(role)]
    const { mayLogIn, attributes, memberOf } = there
    return [
      ...(mayLogIn
        ? []
        : [{ kind: 'role' as const, subject: role, what: `${role} may not log in`, sql: `ALTER ROLE ${role} LOGIN` }]),
      ...attributes.map((attribute) => ({
        kind: 'role' as const,
        subject: role,
        what: `${role} is too strong: it has ${attribute}`,
        sql: `ALTER ROLE ${role} NO${attribute}`,
      })),
      ...memberOf.map((other) => ({
        kind: 'role' as const,
        subject: role,
        what: `${role} is too strong: it is a member of ${other}`,
        sql: `REVOKE ${other} FROM ${role}`,
      })),
    ]
  })
}

function missing(role: string): PrivilegeDifference {
  const attributes = strongAttributes.map((attribute) => `NO${attribute}`).join(' ')
  const statements = [
    `CREATE ROLE ${role} LOGIN ${attributes}`,
    ...settings.map((setting) => `ALTER ROLE ${role} SET ${setting}`),
  ]
  return { kind: 'role', subject: role, what: `${role} is missing`, sql: statements.join('; ') }
}
