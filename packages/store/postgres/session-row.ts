// A session's columns and what they are read as, in PostgreSQL.

import { sql } from 'slonik'
import { sessionColumns, sessionRow, toSession } from '../rows.ts'

export const columns = sql.join(
  sessionColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)
export const row = sessionRow.transform(toSession)
