// Entries in the words of the Open Cybersecurity Schema Framework (https://schema.ocsf.io): API Activity, the class for who did
// what to what by way of a service. The exact bytes stand in `raw_data`: they alone can be verified.

import { auditEntryId, type ParsedAuditEntry, parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'

export const ocsfVersion = '1.4.0'

const applicationActivity = 6
const apiActivity = 6003

/** `activity_id` of API Activity. */
const activities = { create: 1, read: 2, update: 3, delete: 4, other: 99 } as const
type Activity = keyof typeof activities

const activityNames: Readonly<Record<Activity, string>> = {
  create: 'Create',
  read: 'Read',
  update: 'Update',
  delete: 'Delete',
  other: 'Other',
}

/** Actions of a later program are `other`. */
const activityOf: ReadonlyMap<string, Activity> = new Map([
  ['access.opened', 'create'],
  ['access.ended', 'delete'],
  ['content.opened', 'read'],
  ['content.delivered', 'read'],
  ['session.started', 'create'],
  ['session.ended', 'delete'],
  ['session.lost', 'delete'],
  ['session.commanded', 'update'],
  ['account.bound', 'create'],
  ['account.rebound', 'update'],
  ['key.changed', 'update'],
])

/** `severity_id`: Informational, High. */
const informational = { severity_id: 1, severity: 'Informational' } as const
const high = { severity_id: 4, severity: 'High' } as const

/** `status_id`: Success, Failure. */
const success = { status_id: 1, status: 'Success' } as const
const failure = { status_id: 2, status: 'Failure' } as const

export function toOcsf({ seq, bytes }: StoredAuditEntry) {
  const entry = parseAuditEntry(bytes)
  if (entry === null) throw new TypeError(`entry ${seq} is none, and was never checked`)
  const { action, session, host } = entry
  const activity = activityOf.get(action) ?? 'other'
  return {
    category_uid: applicationActivity,
    category_name: 'Application Activity',
    class_uid: apiActivity,
    class_name: 'API Activity',
    activity_id: activities[activity],
    // Of what the schema has no word for, ours.
    activity_name: activity === 'other' ? action : activityNames[activity],
    type_uid: apiActivity * 100 + activities[activity],
    type_name: `API Activity: ${activityNames[activity]}`,
    time: Date.parse(entry.at),
    ...(action === 'alarm.raised' ? high : informational),
    ...(action.endsWith('.denied') ? failure : success),
    message: action,
    metadata: {
      version: ocsfVersion,
      uid: auditEntryId(entry),
      event_code: action,
      sequence: seq,
      original_time: entry.at,
      log_name: 'audit',
      log_provider: 'teleclaude',
      product: { name: 'TeleClaude', vendor_name: 'TeleClaude' },
    },
    actor: toActor(entry),
    api: { operation: action, service: { name: 'teleclaude' } },
    src_endpoint: { hostname: host },
    ...(session !== null && {
      resources: [{ type: 'session', uid: session.id, owner: { name: session.owner } }],
    }),
    unmapped: { epoch: entry.epoch, detail: entry.detail },
    raw_data: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'),
  }
}

function toActor({ actor }: Pick<ParsedAuditEntry, 'actor'>) {
  const { person, uid, osUser, name } = actor
  const known = typeof person === 'string' ? person : typeof osUser === 'string' ? osUser : null
  const hasUid = typeof uid === 'number'
  if (known === null && !hasUid) return { app_name: typeof name === 'string' ? name : actor.kind }
  return { user: { ...(known !== null && { name: known }), ...(hasUid && { uid: String(uid) }) } }
}
