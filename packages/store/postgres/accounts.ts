// The accounts that uids are bound to, in PostgreSQL.

import { type CommonQueryMethods, type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import type { BoundAccount } from '../contract.ts'
import { accountColumns, accountRow, toAccount } from '../rows.ts'
import { requireAccount } from '../values.ts'
import { timeValue } from './connection.ts'

const columns = sql.join(
  accountColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)
const row = accountRow.transform(toAccount)
const noRow = z.strictObject({})

type NewAccount = Omit<BoundAccount, 'retired'>

export function listAccounts(db: CommonQueryMethods, host: string): Promise<readonly BoundAccount[]> {
  return db.any(sql.type(row)`SELECT ${columns} FROM accounts WHERE host = ${host} ORDER BY uid, os_user`)
}

/** Of two at the same time the later one has to see what the earlier one bound: rows that are not there yet can't be locked, and
 *  both would have the name. It happens so seldom that the whole table may wait. */
function lockAccounts(transaction: CommonQueryMethods): Promise<unknown> {
  return transaction.query(sql.type(noRow)`LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE`)
}

function isKnown(host: string, uid: number, name: string) {
  return sql.fragment`host = ${host} AND (uid = ${uid} OR (os_user = ${name} AND os_user <> ''))`
}

export async function bindAccount(db: DatabasePool, host: string, account: NewAccount): Promise<void> {
  requireAccount(host, account)
  const { uid, osUser, boundAtUs } = account
  const name = osUser ?? ''
  await db.transaction(async (transaction) => {
    await lockAccounts(transaction)
    await transaction.query(sql.type(noRow)`
      INSERT INTO accounts (host, uid, os_user, bound_at)
      SELECT ${host}, ${uid}::bigint, ${name}, ${timeValue(boundAtUs)}
      WHERE NOT EXISTS (SELECT uid FROM accounts WHERE ${isKnown(host, uid, name)})`)
  })
}

export async function rebindAccount(db: DatabasePool, host: string, account: NewAccount): Promise<void> {
  requireAccount(host, account)
  const { uid, osUser, boundAtUs } = account
  const name = osUser ?? ''
  await db.transaction(async (transaction) => {
    await lockAccounts(transaction)
    await transaction.query(sql.type(noRow)`UPDATE accounts SET retired = true WHERE ${isKnown(host, uid, name)}`)
    await transaction.query(sql.type(noRow)`
      INSERT INTO accounts (host, uid, os_user, bound_at) VALUES (${host}, ${uid}, ${name}, ${timeValue(boundAtUs)})
      ON CONFLICT (host, uid, os_user) DO UPDATE SET retired = false, bound_at = excluded.bound_at`)
  })
}
