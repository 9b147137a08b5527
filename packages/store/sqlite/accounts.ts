// The accounts that uids are bound to, in SQLite.

import type { BoundAccount } from '../contract.ts'
import { accountColumns, accountRow, toAccount } from '../rows.ts'
import { requireAccount } from '../values.ts'
import { booleanColumn, type Connection } from './connection.ts'

const columns = accountColumns.join(', ')
const row = accountRow.extend({ retired: booleanColumn }).transform(toAccount)

type NewAccount = Omit<BoundAccount, 'retired'>

export function listAccounts(connection: Connection, host: string): readonly BoundAccount[] {
  const select = connection.prepare(`SELECT ${columns} FROM accounts WHERE host = ? ORDER BY uid, os_user`)
  return select.all(host).map((found) => row.parse(found))
}

export function bindAccount(connection: Connection, host: string, account: NewAccount): void {
  requireAccount(host, account)
  const { uid, osUser, boundAtUs } = account
  const name = osUser ?? ''
  const insert = connection.prepare(`
    INSERT INTO accounts (host, uid, os_user, bound_at) SELECT ?, ?, ?, ?
    WHERE NOT EXISTS (SELECT uid FROM accounts WHERE host = ? AND (uid = ? OR (os_user = ? AND os_user <> '')))`)
  connection.write(() => insert.run(host, uid, name, boundAtUs, host, uid, name))
}

export function rebindAccount(connection: Connection, host: string, account: NewAccount): void {
  requireAccount(host, account)
  const { uid, osUser, boundAtUs } = account
  const name = osUser ?? ''
  const retire = connection.prepare(`
    UPDATE accounts SET retired = 1 WHERE host = ? AND (uid = ? OR (os_user = ? AND os_user <> ''))`)
  const bind = connection.prepare(`
    INSERT INTO accounts (host, uid, os_user, bound_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (host, uid, os_user) DO UPDATE SET retired = 0, bound_at = excluded.bound_at`)
  connection.write(() => {
    retire.run(host, uid, name)
    bind.run(host, uid, name, boundAtUs)
  })
}
