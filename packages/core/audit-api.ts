// The audit log as it crosses the socket, but for its export (audit-export.ts).

import { z } from 'zod'
import { limit, reason, sessionIdSchema, text, time } from './api-values.ts'

export const auditListQuerySchema = z.strictObject({
  /** Only what is about oneself: what one did, and what was done with one's sessions. For who may read all. */
  mine: z.enum(['true', 'false']).default('false'),
  session: sessionIdSchema.optional(),
  /** Who did it, by person. */
  actor: text(256).min(1).optional(),
  /** Whose session it is about, by person. */
  owner: text(256).min(1).optional(),
  action: z
    .string()
    .regex(/^[a-z.-]{1,64}$/, 'must be the name of an action')
    .optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  until: z.iso.datetime({ offset: true }).optional(),
  /** `nextCursor` of the page before. */
  cursor: z.string().max(200).optional(),
  limit: limit.default(50),
})
export type AuditListQuery = z.input<typeof auditListQuerySchema>

export const auditEntryViewSchema = z.strictObject({
  /** Null for who may not read all: it counts what everybody does. */
  seq: z.int().nullable(),
  at: time,
  action: z.string(),
  /** The person, or else the uid or the service, that did it. */
  actor: z.string(),
  session: z.strictObject({ id: z.string(), owner: z.string() }).nullable(),
  /** With the texts in the place of the commitments to them, where they have not been erased. */
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})
export type AuditEntryView = z.infer<typeof auditEntryViewSchema>

export const auditPageSchema = z.strictObject({
  entries: z.array(auditEntryViewSchema),
  nextCursor: z.string().nullable(),
})
export type AuditPage = z.infer<typeof auditPageSchema>

export const auditProofQuerySchema = z.union([
  /** For who may read all. */
  z.strictObject({ seq: z.coerce.number<string | number>().int().min(1) }),
  /** Of every entry of an access grant. */
  z.strictObject({ grant: z.uuid() }),
])
export type AuditProofQuery = z.input<typeof auditProofQuerySchema>

export const checkpointViewSchema = z.strictObject({
  host: z.string(),
  /** The newest, with the cosignatures that it has; null where there is none yet. */
  note: z.string().nullable(),
  /** The newest that an auditor has cosigned. */
  cosigned: z.string().nullable(),
  /** In the form of C2SP signed-note. */
  keys: z.strictObject({
    log: z.array(z.strictObject({ epoch: z.int(), vkey: z.string(), fromSeq: z.int() })),
    auditor: z.string().nullable(),
  }),
  /** Entries there are. */
  size: z.int(),
})
export type CheckpointView = z.infer<typeof checkpointViewSchema>

export const alarmViewSchema = z.strictObject({
  id: z.uuid(),
  kind: z.string(),
  at: time,
  fromSeq: z.int().nullable(),
  toSeq: z.int().nullable(),
  message: z.string(),
  acknowledgedBy: z.string().nullable(),
  acknowledgedAt: time.nullable(),
})
export type AlarmView = z.infer<typeof alarmViewSchema>

/** An admin has looked at an alarm: what came of it. */
export const acknowledgementSchema = z.strictObject({ note: reason })

/** The key that signs the audit log from that entry on, in the form of C2SP signed-note. */
export const keyChangeViewSchema = z.strictObject({ epoch: z.int(), vkey: z.string(), fromSeq: z.int() })
export type KeyChangeView = z.infer<typeof keyChangeViewSchema>

/** How the log is kept: by this service, its auditor, and what that ships to. */
export const auditStateSchema = z.strictObject({
  host: z.string(),
  size: z.int(),
  /** Entries that a checkpoint covers, and one that is cosigned. */
  signed: z.int(),
  cosigned: z.int(),
  /** Why the service does not sign the log as it is; null where it does. */
  fault: z.string().nullable(),
  /** Seconds since the oldest entry that no sink has confirmed; 0 where all are, null where there is no auditor. */
  exposureSeconds: z.number().nullable(),
  require: z.enum(['committed', 'cosigned']),
  auditor: z
    .strictObject({
      vkey: z.string(),
      state: z.string(),
      message: z.string().nullable(),
      /** When it said so. */
      at: time,
      /** Whether that is long ago. */
      stale: z.boolean(),
      verifiedSeq: z.int(),
    })
    .nullable(),
  sinks: z.array(
    z.strictObject({
      sink: z.string(),
      seq: z.int(),
      /** Everything up to this entry is there: below the first that is parked. */
      completeThrough: z.int(),
      movedAt: time,
      parked: z.int(),
    }),
  ),
  alarms: z.array(alarmViewSchema),
})
export type AuditState = z.infer<typeof auditStateSchema>

/** A line of `GET /v1/audit/recordings`: whether a session's transcript is what the log says of it. */
export const recordingCheckSchema = z.strictObject({
  session: sessionIdSchema,
  /** `bound`: every byte of it. `partly`: what came last is not bound yet. `removed`: by retention, on the record. */
  state: z.enum(['bound', 'partly', 'unbound', 'removed', 'changed', 'shortened', 'missing']),
  boundSeq: z.int(),
  bytes: z.int(),
  /** What is wrong, for people to read. */
  fault: z.string().nullable(),
})
export type RecordingCheck = z.infer<typeof recordingCheckSchema>
