// The accounts that uids are bound to, in SQLite.

import type { BoundAccount } from '../contract.ts'
import { accountColumns, accountRow, toAccount } from '../rows.ts'
import { requireAccount } from '../values.ts'
import { booleanColumn, type Connection } from './connection.ts'

const columns = accountColumns.join(', ')
const row = accountRow.extend({ retired: booleanColumn }).transform(toAccount)

type NewAccount = Omit<BoundAccount, 'retired'>

export function listAccounts(connection: Connection, host: string): readonly BoundAccount[] {
  const select = connection.prepare(`SELECT ${columns} FROM accounts WHERE host = ? ORDER BY uid`)
  return select.all(host).map((found) => row.parse(found))
}

export function bindAccount(connection: Connection, host: string, account: NewAccount): void {
  requireAccount(host, account)
  const insert = connection.prepare(`
    INSERT INTO accounts (host, uid, os_user, bound_at) VALUES (?, ?, ?, ?) ON CONFLICT (host, uid) DO NOTHING`)
  connection.write(() => insert.run(host, account.uid, account.osUser, account.boundAtUs))
}

export function rebindAccount(connection: Connection, host: string, account: NewAccount): void {
  requireAccount(host, account)
  const { uid, osUser, boundAtUs } = account
  const retire = connection.prepare('UPDATE accounts SET retired = 1 WHERE host = ? AND os_user = ? AND uid <> ?')
  const bind = connection.prepare(`
    INSERT INTO accounts (host, uid, os_user, bound_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (host, uid) DO UPDATE SET os_user = excluded.os_user, retired = 0, bound_at = excluded.bound_at`)
  connection.write(() => {
    retire.run(host, osUser, uid)
    bind.run(host, uid, osUser, boundAtUs)
  })
}
