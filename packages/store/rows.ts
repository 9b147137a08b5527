// Rows as both engines return them (same column names, times as microseconds), parsed into what the contract speaks of.

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

export const expiredReason = 'nobody took it before it expired'
