// Notices in PostgreSQL.

import type { Notice } from '@teleclaude/core/access.ts'
import { type CommonQueryMethods, type DatabasePool, sql } from 'slonik'
import { z } from 'zod'
import { noticeColumns, noticeRow, toNotice } from '../access-rows.ts'
import { countRow } from '../rows.ts'
import { canHold, isId, requireNotice } from '../values.ts'
import { timeValue } from './connection.ts'
import { channels, notify } from './hints.ts'

const columns = sql.join(
  noticeColumns.map((name) => sql.identifier([name])),
  sql.fragment`, `,
)
const row = noticeRow.transform(toNotice)
const noRow = z.strictObject({})

type NoticeQuery = {
  readonly person: string
  readonly unseen?: boolean
  readonly before?: string
  readonly limit: number
}

/** Inside the transaction of what it tells of. */
export async function insertNotice(transaction: CommonQueryMethods, notice: Omit<Notice, 'seenAtUs'>): Promise<void> {
  requireNotice(notice)
  const { id, kind, person, atUs, sessionId, by, grantId } = notice
  await transaction.query(sql.type(noRow)`
    INSERT INTO notices (id, person, kind, at, session_id, done_by, grant_id)
    VALUES (${id}, ${person}, ${kind}, ${timeValue(atUs)}, ${sessionId}, ${by}, ${grantId})`)
}

export async function addNotice(db: DatabasePool, notice: Omit<Notice, 'seenAtUs'>): Promise<void> {
  await db.transaction(async (transaction) => {
    await insertNotice(transaction, notice)
    await notify(transaction, channels.access, '')
  })
}

/** Null where nothing can match. */
export function listStatement({ person, unseen, before, limit }: NoticeQuery) {
  if (!canHold(person) || (before !== undefined && !isId(before))) return null
  const isAsked = sql.and([
    sql.fragment`person = ${person}`,
    unseen === true && sql.fragment`seen_at IS NULL`,
    before !== undefined &&
      sql.fragment`ordinal < (SELECT ordinal FROM notices WHERE id = ${before} AND person = ${person})`,
  ])
  return sql.type(row)`SELECT ${columns} FROM notices WHERE ${isAsked} ORDER BY ordinal DESC LIMIT ${limit}`
}

export async function listNotices(db: CommonQueryMethods, query: NoticeQuery): Promise<readonly Notice[]> {
  const statement = listStatement(query)
  return statement === null ? [] : db.any(statement)
}

export function unseenStatement(person: string) {
  return sql.type(countRow)`SELECT count(*) AS count FROM notices WHERE person = ${person} AND seen_at IS NULL`
}

export async function countUnseen(db: CommonQueryMethods, person: string): Promise<number> {
  return canHold(person) ? (await db.one(unseenStatement(person))).count : 0
}

export async function markSeen(
  db: CommonQueryMethods,
  person: string,
  throughId: string,
  atUs: number,
): Promise<number> {
  if (!canHold(person) || !isId(throughId)) return 0
  const { rowCount } = await db.query(sql.type(noRow)`
    UPDATE notices SET seen_at = ${timeValue(atUs)}
    WHERE person = ${person} AND seen_at IS NULL
      AND ordinal <= (SELECT ordinal FROM notices WHERE id = ${throughId} AND person = ${person})`)
  return rowCount
}
