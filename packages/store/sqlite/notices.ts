// Notices in SQLite.

import type { Notice } from '@teleclaude/core/access.ts'
import { noticeColumns, noticeRow, toNotice } from '../access-rows.ts'
import { countRow } from '../rows.ts'
import { canHold, isId, requireNotice } from '../values.ts'
import type { Connection, Statement } from './connection.ts'

const columns = noticeColumns.join(', ')
const row = noticeRow.transform(toNotice)

type NoticeQuery = {
  readonly person: string
  readonly unseen?: boolean
  readonly before?: string
  readonly limit: number
}

/** Inside the transaction of what it tells of. */
export function insertNotice(connection: Connection, notice: Omit<Notice, 'seenAtUs'>): void {
  requireNotice(notice)
  const { id, kind, person, atUs, sessionId, by, grantId } = notice
  const insert = connection.prepare(`
    INSERT INTO notices (id, person, kind, at, session_id, done_by, grant_id) VALUES (?, ?, ?, ?, ?, ?, ?)`)
  insert.run(id, person, kind, atUs, sessionId, by, grantId)
}

export function addNotice(connection: Connection, notice: Omit<Notice, 'seenAtUs'>): void {
  connection.write(() => insertNotice(connection, notice))
}

/** Null where nothing can match. */
export function listStatement({ person, unseen, before, limit }: NoticeQuery): Statement | null {
  if (!canHold(person) || (before !== undefined && !isId(before))) return null
  const earlier =
    before === undefined
      ? ''
      : 'AND ordinal < (SELECT ordinal FROM notices INDEXED BY notices_by_id WHERE id = ? AND person = ?)'
  // INDEXED BY: the right index is known here, and no statistics are needed to find it.
  const sql = `
    SELECT ${columns} FROM notices INDEXED BY ${unseen === true ? 'notices_unseen' : 'notices_by_person'}
    WHERE person = ? ${unseen === true ? 'AND seen_at IS NULL' : ''} ${earlier} ORDER BY ordinal DESC LIMIT ?`
  return { sql, values: [person, ...(before === undefined ? [] : [before, person]), limit] }
}

export function listNotices(connection: Connection, query: NoticeQuery): readonly Notice[] {
  const statement = listStatement(query)
  if (statement === null) return []
  return connection
    .prepare(statement.sql)
    .all(...statement.values)
    .map((found) => row.parse(found))
}

/** Takes the person. */
export const unseenStatement = `
  SELECT count(*) AS count FROM notices INDEXED BY notices_unseen WHERE person = ? AND seen_at IS NULL`

export function countUnseen(connection: Connection, person: string): number {
  return canHold(person) ? countRow.parse(connection.prepare(unseenStatement).get(person)).count : 0
}

export function markSeen(connection: Connection, person: string, throughId: string, atUs: number): number {
  if (!canHold(person) || !isId(throughId)) return 0
  const update = connection.prepare(`
    UPDATE notices SET seen_at = ? WHERE person = ? AND seen_at IS NULL
      AND ordinal <= (SELECT ordinal FROM notices WHERE id = ? AND person = ?)`)
  return connection.write(() => update.run(atUs, person, throughId, person)).changes
}
