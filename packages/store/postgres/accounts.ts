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
  return db.any(sql.type(row)`SELECT ${columns} FROM accounts WHERE host = ${host} ORDER BY uid`)
}

export async function bindAccount(db: CommonQueryMethods, host: string, account: NewAccount): Promise<void> {
  requireAccount(host, account)
  const { uid, osUser, boundAtUs } = account
  await db.query(sql.type(noRow)`
    INSERT INTO accounts (host, uid, os_user, bound_at) VALUES (${host}, ${uid}, ${osUser}, ${timeValue(boundAtUs)})
    ON CONFLICT (host, uid) DO NOTHING`)
}

export async function rebindAccount(db: DatabasePool, host: string, account: NewAccount): Promise<void> {
  requireAccount(host, account)
  const { uid, osUser, boundAtUs } = account
  await db.transaction(async (transaction) => {
    // Of two at the same time the later one has to see what the earlier one bound: rows that are not there yet can't be
    // locked, and both uids would keep the name. It happens so seldom that the whole table may wait.
    await transaction.query(sql.type(noRow)`LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE`)
    await transaction.query(sql.type(noRow)`
      UPDATE accounts SET retired = true WHERE host = ${host} AND os_user = ${osUser} AND uid <> ${uid}`)
    await transaction.query(sql.type(noRow)`
      INSERT INTO accounts (host, uid, os_user, bound_at) VALUES (${host}, ${uid}, ${osUser}, ${timeValue(boundAtUs)})
      ON CONFLICT (host, uid) DO UPDATE SET os_user = excluded.os_user, retired = false, bound_at = excluded.bound_at`)
  })
}
