// Access grants and notices as they cross the socket.

import { z } from 'zod'
import { accessEndings, defaultAccessMinutes, maxAccessMinutes, noticeKinds, viewKinds } from './access.ts'
import { limit, reason, sessionIdSchema, time } from './api-values.ts'

export const newAccessGrantSchema = z.strictObject({
  session: sessionIdSchema,
  reason,
  minutes: z.int().min(1).max(maxAccessMinutes).default(defaultAccessMinutes),
  /** Whether to type is allowed, too. */
  drive: z.boolean().default(false),
})
export type NewAccessGrantRequest = z.input<typeof newAccessGrantSchema>

const accessViewViewSchema = z.strictObject({
  kind: z.enum(viewKinds),
  openedAt: time,
  /** Null while it goes on. */
  endedAt: time.nullable(),
  /** Of terminal output; null while it goes on, and where the service ended meanwhile. */
  bytes: z.int().nullable(),
  /** First and last chunk that were delivered. */
  firstSeq: z.int().nullable(),
  lastSeq: z.int().nullable(),
})

export const accessGrantViewSchema = z.strictObject({
  id: z.uuid(),
  host: z.string(),
  session: sessionIdSchema,
  owner: z.string(),
  grantee: z.string(),
  reason: z.string(),
  drive: z.boolean(),
  openedAt: time,
  expiresAt: time,
  endedAt: time.nullable(),
  endedBy: z.string().nullable(),
  ending: z.enum(accessEndings).nullable(),
  /** Whether it holds now. */
  active: z.boolean(),
  views: z.array(accessViewViewSchema),
})
export type AccessGrantView = z.infer<typeof accessGrantViewSchema>

export const accessGrantListQuerySchema = z.strictObject({
  session: sessionIdSchema.optional(),
  active: z.enum(['true', 'false']).default('false'),
  /** The id of the last grant of the page before. */
  cursor: z.uuid().optional(),
  limit: limit.default(50),
})
export type AccessGrantListQuery = z.input<typeof accessGrantListQuerySchema>

export const accessGrantPageSchema = z.strictObject({
  grants: z.array(accessGrantViewSchema),
  nextCursor: z.string().nullable(),
})
export type AccessGrantPage = z.infer<typeof accessGrantPageSchema>

export const noticeListQuerySchema = z.strictObject({
  unseen: z.enum(['true', 'false']).default('false'),
  /** The id of the last notice of the page before. */
  cursor: z.uuid().optional(),
  limit: limit.default(50),
})
export type NoticeListQuery = z.input<typeof noticeListQuerySchema>

export const noticeViewSchema = z.strictObject({
  id: z.uuid(),
  kind: z.enum(noticeKinds),
  at: time,
  session: sessionIdSchema,
  by: z.string(),
  /** Of an `access.opened`: why, until when, and what was delivered. */
  grant: accessGrantViewSchema.nullable(),
  seen: z.boolean(),
})
export type NoticeView = z.infer<typeof noticeViewSchema>

export const noticePageSchema = z.strictObject({
  notices: z.array(noticeViewSchema),
  unseen: z.int(),
  nextCursor: z.string().nullable(),
})
export type NoticePage = z.infer<typeof noticePageSchema>

/** `through`: that one and all before it. */
export const noticesSeenSchema = z.strictObject({ through: z.uuid() })

export const noticesSeenAnswerSchema = z.strictObject({
  /** Those that are left. */
  unseen: z.int(),
})
export type NoticesSeenAnswer = z.infer<typeof noticesSeenAnswerSchema>
