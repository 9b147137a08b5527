// A session's columns and what they are read as, in SQLite.

import { sessionColumns, sessionRow, toSession } from '../rows.ts'
import { textsColumn } from './connection.ts'

export const columns = sessionColumns.join(', ')
export const row = sessionRow.extend({ argv: textsColumn }).transform(toSession)
