// Rows of access grants, views and notices, as rows.ts has those of sessions.

import {
  type AccessGrant,
  type AccessView,
  accessEndings,
  type Notice,
  noticeKinds,
  viewKinds,
} from '@teleclaude/core/access.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { z } from 'zod'

const time = z.int().min(0)

export const grantColumns = [
  'id',
  'host',
  'session_id',
  'owner',
  'grantee',
  'grantee_uid',
  'reason',
  'drive',
  'opened_at',
  'expires_at',
  'ended_at',
  'ended_by',
  'ended_why',
] as const

export const grantRow = z.strictObject({
  id: z.string(),
  host: z.string(),
  session_id: z.string(),
  owner: z.string(),
  grantee: z.string(),
  grantee_uid: z.int(),
  reason: z.string(),
  drive: z.boolean(),
  opened_at: time,
  expires_at: time,
  ended_at: time.nullable(),
  ended_by: z.string().nullable(),
  ended_why: z.enum(accessEndings).nullable(),
} satisfies Record<(typeof grantColumns)[number], z.ZodType>)

export function toGrant(row: z.infer<typeof grantRow>): AccessGrant {
  const { ended_at: endedAtUs, ended_by: by, ended_why: why } = row
  return {
    id: row.id,
    host: row.host,
    sessionId: row.session_id as SessionId,
    owner: row.owner,
    grantee: { person: row.grantee, uid: row.grantee_uid },
    reason: row.reason,
    drive: row.drive,
    openedAtUs: row.opened_at,
    expiresAtUs: row.expires_at,
    ended: endedAtUs === null || why === null ? null : { atUs: endedAtUs, by, why },
  }
}

export const viewColumns = [
  'id',
  'grant_id',
  'host',
  'kind',
  'opened_at',
  'ended_at',
  'first_seq',
  'last_seq',
  'bytes',
  'is_complete',
] as const

export const viewRow = z.strictObject({
  id: z.string(),
  grant_id: z.string(),
  host: z.string(),
  kind: z.enum(viewKinds),
  opened_at: time,
  ended_at: time.nullable(),
  first_seq: z.int().nullable(),
  last_seq: z.int().nullable(),
  bytes: z.int(),
  is_complete: z.boolean(),
} satisfies Record<(typeof viewColumns)[number], z.ZodType>)

export function toView(row: z.infer<typeof viewRow>): AccessView {
  const { id, grant_id, host, kind, opened_at, ended_at: atUs, first_seq, last_seq, bytes, is_complete } = row
  const delivered = { firstSeq: first_seq, lastSeq: last_seq, bytes, isComplete: is_complete }
  const ended = atUs === null ? null : { atUs, ...delivered }
  return { id, grantId: grant_id, host, kind, openedAtUs: opened_at, ended }
}

export const noticeColumns = ['id', 'person', 'kind', 'at', 'session_id', 'done_by', 'grant_id', 'seen_at'] as const

export const noticeRow = z.strictObject({
  id: z.string(),
  person: z.string(),
  kind: z.enum(noticeKinds),
  at: time,
  session_id: z.string(),
  done_by: z.string(),
  grant_id: z.string().nullable(),
  seen_at: time.nullable(),
} satisfies Record<(typeof noticeColumns)[number], z.ZodType>)

export function toNotice(row: z.infer<typeof noticeRow>): Notice {
  const { id, person, kind, at, session_id, done_by, grant_id, seen_at } = row
  const sessionId = session_id as SessionId
  return { id, person, kind, atUs: at, sessionId, by: done_by, grantId: grant_id, seenAtUs: seen_at }
}
