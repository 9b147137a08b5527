// Rows as both engines return them (same column names, times as microseconds), parsed into what the contract speaks of.

import {
  type AccessGrant,
  type AccessView,
  accessEndings,
  type Notice,
  noticeKinds,
  viewKinds,
} from '@teleclaude/core/access.ts'
import { type Command, commandKinds, commandStates } from '@teleclaude/core/command.ts'
import { type SessionEvent, sessionEventKinds } from '@teleclaude/core/event.ts'
import {
  agentSources,
  agentStates,
  type Session,
  type SessionExit,
  type SessionId,
  sessionStatuses,
} from '@teleclaude/core/session.ts'
import { chunkKinds } from '@teleclaude/core/transcript.ts'
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
import { chunkCodecs, type StoredChunk } from './chunk-codec.ts'
import type { BoundAccount } from './contract.ts'

const time = z.int().min(0)

export const sessionColumns = [
  'id',
  'ordinal',
  'host',
  'owner_person',
  'owner_uid',
  'owner_os_user',
  'project',
  'agent',
  'title',
  'argv',
  'terminal_cols',
  'terminal_rows',
  'status',
  'exit_code',
  'exit_signal',
  'created_at',
  'started_at',
  'ended_at',
  'last_output_at',
  'transcript_bytes',
  'transcript_removed_at',
  'parent_id',
  'agent_state',
  'agent_source',
  'agent_since',
] as const

export const sessionRow = z.strictObject({
  id: z.string(),
  ordinal: z.int(),
  host: z.string(),
  owner_person: z.string(),
  owner_uid: z.int(),
  owner_os_user: z.string(),
  project: z.string(),
  agent: z.string().nullable(),
  title: z.string(),
  argv: z.array(z.string()),
  terminal_cols: z.int(),
  terminal_rows: z.int(),
  status: z.enum(sessionStatuses),
  exit_code: z.int().nullable(),
  exit_signal: z.string().nullable(),
  created_at: time,
  started_at: time.nullable(),
  ended_at: time.nullable(),
  last_output_at: time.nullable(),
  transcript_bytes: z.int(),
  transcript_removed_at: time.nullable(),
  parent_id: z.string().nullable(),
  agent_state: z.enum(agentStates),
  agent_source: z.enum(agentSources).nullable(),
  agent_since: time.nullable(),
} satisfies Record<(typeof sessionColumns)[number], z.ZodType>)

function toExit(row: z.infer<typeof sessionRow>): SessionExit | null {
  if (row.exit_code !== null) return { kind: 'exited', code: row.exit_code }
  return row.exit_signal === null ? null : { kind: 'signalled', signal: row.exit_signal }
}

export function toSession(row: z.infer<typeof sessionRow>): Session {
  return {
    id: row.id as SessionId,
    ordinal: row.ordinal,
    host: row.host,
    owner: { person: row.owner_person, uid: row.owner_uid, osUser: row.owner_os_user },
    project: row.project,
    agent: row.agent,
    title: row.title,
    argv: row.argv,
    terminal: { cols: row.terminal_cols, rows: row.terminal_rows },
    status: row.status,
    exit: toExit(row),
    createdAtUs: row.created_at,
    startedAtUs: row.started_at,
    endedAtUs: row.ended_at,
    lastOutputAtUs: row.last_output_at,
    transcriptBytes: row.transcript_bytes,
    transcriptRemovedAtUs: row.transcript_removed_at,
    parentId: row.parent_id === null ? null : (row.parent_id as SessionId),
    agentStatus: { state: row.agent_state, source: row.agent_source, sinceUs: row.agent_since },
  }
}

/** An event beside its session: both have an id and an ordinal. */
export const sessionEventRow = sessionRow.extend({
  event_id: z.string(),
  event_ordinal: z.int(),
  event_kind: z.enum(sessionEventKinds),
  event_at: time,
})

export function toSessionEvent(row: z.infer<typeof sessionEventRow>): {
  readonly event: SessionEvent
  readonly session: Session
} {
  const event = { id: row.event_id, ordinal: row.event_ordinal, kind: row.event_kind, atUs: row.event_at }
  return { event, session: toSession(row) }
}

export const chunkRow = z.strictObject({
  seq: z.int(),
  kind: z.enum(chunkKinds),
  offset_us: z.int(),
  codec: z.enum(chunkCodecs),
  raw_length: z.int(),
  bytes: z.instanceof(Uint8Array),
}) satisfies z.ZodType<StoredChunk>

export const commandColumns = [
  'session_id',
  'number',
  'kind',
  'force',
  'text',
  'enter',
  'requested_by',
  'state',
  'reason',
  'created_at',
  'expires_at',
  'finished_at',
] as const

export const commandRow = z.strictObject({
  session_id: z.string(),
  number: z.int(),
  kind: z.enum(commandKinds),
  force: z.boolean(),
  text: z.string().nullable(),
  enter: z.boolean(),
  requested_by: z.string(),
  state: z.enum(commandStates),
  reason: z.string().nullable(),
  created_at: time,
  expires_at: time,
  finished_at: time.nullable(),
} satisfies Record<(typeof commandColumns)[number], z.ZodType>)

export function toCommand(row: z.infer<typeof commandRow>): Command {
  return {
    sessionId: row.session_id as SessionId,
    number: row.number,
    kind: row.kind,
    force: row.force,
    text: row.text,
    enter: row.enter,
    requestedBy: row.requested_by,
    state: row.state,
    reason: row.reason,
    createdAtUs: row.created_at,
    expiresAtUs: row.expires_at,
    finishedAtUs: row.finished_at,
  }
}

export const accountColumns = ['uid', 'os_user', 'retired', 'bound_at'] as const

export const accountRow = z.strictObject({
  uid: z.int(),
  os_user: z.string(),
  retired: z.boolean(),
  bound_at: time,
} satisfies Record<(typeof accountColumns)[number], z.ZodType>)

export function toAccount(row: z.infer<typeof accountRow>): BoundAccount {
  const osUser = row.os_user === '' ? null : row.os_user
  return { uid: row.uid, osUser, retired: row.retired, boundAtUs: row.bound_at }
}

export const countRow = z.strictObject({ count: z.int() })

export const seqRow = z.strictObject({ seq: z.int() })

export const ordinalRow = z.strictObject({ ordinal: z.int() })

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

export const expiredReason = 'nobody took it before it expired'
