// Rows of the audit log and of what its auditor keeps, as rows.ts has those of sessions.

import { z } from 'zod'
import {
  type Alarm,
  type AuditorWord,
  type AuditText,
  alarmKinds,
  auditorStates,
  type IndexedAuditEntry,
  type ParkedEntry,
  type SinkProgress,
  type StoredAuditEntry,
} from './audit-contract.ts'

const time = z.int().min(0)

export const auditEntryRow = z.strictObject({
  seq: z.int(),
  bytes: z.instanceof(Uint8Array),
}) satisfies z.ZodType<StoredAuditEntry>

export const indexedEntryRow = auditEntryRow.extend({
  action: z.string(),
  actor: z.string().nullable(),
  owner: z.string().nullable(),
  session_id: z.string().nullable(),
})

export function toIndexedEntry(row: z.infer<typeof indexedEntryRow>): IndexedAuditEntry {
  const { seq, bytes, action, actor, owner, session_id } = row
  return { seq, bytes, index: { action, actor, owner, sessionId: session_id } }
}

/** `tree` is null of a log that is there since before it was one. */
export const auditHeadRow = z.strictObject({
  seq: z.int(),
  epoch: z.int(),
  tree: z.instanceof(Uint8Array).nullable(),
})

export const leafRow = z.strictObject({ seq: z.int(), hash: z.instanceof(Uint8Array) })

export const auditTextRow = z.strictObject({
  seq: z.int(),
  name: z.string(),
  salt: z.instanceof(Uint8Array),
  text: z.string(),
}) satisfies z.ZodType<AuditText>

export const subtreePartRow = z.strictObject({ wanted: z.int(), hash: z.instanceof(Uint8Array) })

export const checkpointRow = z.strictObject({ size: z.int(), note: z.string(), made_at: time })

export const cosignatureRow = z.strictObject({ size: z.int(), line: z.string(), made_at: time })

export const wordRow = z.strictObject({
  vkey: z.string(),
  started_at: time,
  said_at: time,
  state: z.enum(auditorStates),
  message: z.string().nullable(),
  verified_seq: z.int(),
})

export function toWord(row: z.infer<typeof wordRow>): AuditorWord {
  const { vkey, started_at, said_at, state, message, verified_seq } = row
  return { vkey, startedAtUs: started_at, atUs: said_at, state, message, verifiedSeq: verified_seq }
}

export const alarmColumns = [
  'id',
  'kind',
  'at',
  'from_seq',
  'to_seq',
  'message',
  'acknowledged_by',
  'acknowledged_at',
] as const

export const alarmRow = z.strictObject({
  id: z.string(),
  kind: z.enum(alarmKinds),
  at: time,
  from_seq: z.int().nullable(),
  to_seq: z.int().nullable(),
  message: z.string(),
  acknowledged_by: z.string().nullable(),
  acknowledged_at: time.nullable(),
} satisfies Record<(typeof alarmColumns)[number], z.ZodType>)

export function toAlarm(row: z.infer<typeof alarmRow>): Alarm {
  const { id, kind, at, from_seq, to_seq, message, acknowledged_by: by, acknowledged_at: ackAtUs } = row
  const acknowledged = by === null || ackAtUs === null ? null : { by, atUs: ackAtUs }
  return { id, kind, atUs: at, fromSeq: from_seq, toSeq: to_seq, message, acknowledged }
}

/** At most so many alarms in one answer. */
export const maxAlarms = 1000

export const sinkRow = z.strictObject({
  sink: z.string(),
  seq: z.int(),
  moved_at: time,
  parked: z.int(),
  first_parked: z.int().nullable(),
})

export function toSink(row: z.infer<typeof sinkRow>): SinkProgress {
  const { sink, seq, moved_at, parked, first_parked } = row
  return { sink, seq, movedAtUs: moved_at, parked, firstParkedSeq: first_parked }
}

export const parkedRow = z.strictObject({
  sink: z.string(),
  seq: z.int(),
  reason: z.string(),
  attempts: z.int(),
  parked_at: time,
  tried_at: time,
})

export function toParked(row: z.infer<typeof parkedRow>): ParkedEntry {
  const { sink, seq, reason, attempts, parked_at, tried_at } = row
  return { sink, seq, reason, attempts, parkedAtUs: parked_at, triedAtUs: tried_at }
}
