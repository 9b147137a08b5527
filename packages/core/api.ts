// What crosses the socket as JSON, as schemas: the server parses with them, clients take their types.
// Times are RFC 3339 in UTC with microseconds; byte counts and sequences are safe integers.

import { z } from 'zod'
import {
  accessEndings,
  defaultAccessMinutes,
  maxAccessMinutes,
  maxReasonLength,
  noticeKinds,
  viewKinds,
} from './access.ts'
import { commandKinds, commandStates, maxSendLength } from './command.ts'
import { actions } from './policy.ts'
import { roles } from './role.ts'
import { agentSources, agentStates, maxTitleLength, sessionStatuses } from './session.ts'
import { maxTerminalCells } from './transcript.ts'

const maxPathLength = 4096
const maxArguments = 4096
const maxArgumentsLength = 128 * 1024

const noNul = (text: string) => !text.includes('\0')
/** Text the database can hold: well-formed Unicode without NUL. */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine(noNul, 'must not contain a NUL character')
    .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')

const dimension = z.int().min(1).max(maxTerminalCells)
export const terminalSizeSchema = z.strictObject({ cols: dimension, rows: dimension })

export const sessionIdSchema = z.uuid().toLowerCase()

const exitSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('exited'), code: z.int().min(0).max(255) }),
  z.strictObject({ kind: z.literal('signalled'), signal: z.string().regex(/^SIG[A-Z0-9+-]{1,16}$/) }),
])

export { exitSchema as sessionExitSchema }

export const newSessionSchema = z.strictObject({
  project: text(maxPathLength).startsWith('/', 'must be an absolute path'),
  agent: z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, 'must be 1 to 64 of a-z, 0-9, dot, dash and underscore')
    .nullable(),
  title: text(maxTitleLength),
  argv: z
    .array(text(maxArgumentsLength))
    .min(1)
    .max(maxArguments)
    .refine((argv) => argv.reduce((sum, argument) => sum + argument.length, 0) <= maxArgumentsLength, {
      error: `must not be longer than ${maxArgumentsLength} characters in all`,
    }),
  terminal: terminalSizeSchema,
  /** The session in which it is started: one of the caller's own, or else it does not count. */
  parent: sessionIdSchema.nullable().default(null),
})
export type NewSessionRequest = z.input<typeof newSessionSchema>

const time = z.iso.datetime({ precision: 6 })

export const driverSchema = z.strictObject({ person: z.string(), uid: z.int() })

const agentStatusViewSchema = z.strictObject({
  state: z.enum(agentStates),
  /** `hook`: the agent says so itself. `terminal`: its terminal shows it. Null where nobody ever said anything. */
  source: z.enum(agentSources).nullable(),
  since: time.nullable(),
})

export const sessionViewSchema = z.strictObject({
  id: sessionIdSchema,
  host: z.string(),
  owner: z.strictObject({ person: z.string(), uid: z.int(), osUser: z.string() }),
  /** Whether that is the caller. */
  own: z.boolean(),
  project: z.string(),
  agent: z.string().nullable(),
  title: z.string(),
  /** The program and its arguments; null where the caller may see the session but not its content. */
  argv: z.array(z.string()).nullable(),
  terminal: terminalSizeSchema,
  status: z.enum(sessionStatuses),
  exit: exitSchema.nullable(),
  createdAt: time,
  startedAt: time.nullable(),
  endedAt: time.nullable(),
  lastOutputAt: time.nullable(),
  transcriptBytes: z.int(),
  /** When the transcript was removed because it was old; null while it is there. */
  transcriptRemovedAt: time.nullable(),
  /** The session in which it was started. */
  parent: sessionIdSchema.nullable(),
  agentStatus: agentStatusViewSchema,
})
export type SessionView = z.infer<typeof sessionViewSchema>

export const newSessionAnswerSchema = z.strictObject({
  session: sessionViewSchema,
  /** What the person has to be told before anything is recorded. */
  notice: z.string(),
})
export type NewSessionAnswer = z.infer<typeof newSessionAnswerSchema>

const maxPageLimit = 200
const limit = z.coerce.number<string | number>().int().min(1).max(maxPageLimit)

export const sessionListQuerySchema = z.strictObject({
  idPrefix: z
    .string()
    .toLowerCase()
    .regex(/^[0-9a-f-]{1,36}$/, 'must be the beginning of a session id')
    .optional(),
  project: z.string().min(1).max(maxPathLength).optional(),
  /** Whose, by person; for who sees those of others. */
  person: text(256).min(1).optional(),
  status: z.enum([...sessionStatuses, 'live']).optional(),
  /** The id of the last session of the page before. */
  cursor: sessionIdSchema.optional(),
  limit: limit.default(50),
})
export type SessionListQuery = z.input<typeof sessionListQuerySchema>

export const sessionPageSchema = z.strictObject({
  sessions: z.array(sessionViewSchema),
  /** Pass it as `cursor` for the next page; null on the last one. */
  nextCursor: z.string().nullable(),
  /** Notices that the caller has not seen yet (`GET /v1/notices`). */
  unseenNotices: z.int(),
})
export type SessionPage = z.infer<typeof sessionPageSchema>

/** Exactly one of them. */
export const sessionPatchSchema = z.union([
  z.strictObject({ title: text(maxTitleLength) }),
  z.strictObject({ agentStatus: z.strictObject({ state: z.enum(agentStates) }) }),
])
export type SessionPatch = z.infer<typeof sessionPatchSchema>

export const sendTextSchema = text(maxSendLength)

export const newCommandSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('send'),
    text: sendTextSchema,
    /** Whether the Enter key follows the text. */
    enter: z.boolean().default(false),
  }),
  z.strictObject({ kind: z.literal('interrupt') }),
  z.strictObject({
    kind: z.literal('stop'),
    /** Kill at once instead of asking the program to end first. */
    force: z.boolean().default(false),
  }),
])
export type NewCommandRequest = z.input<typeof newCommandSchema>

export const commandViewSchema = z.strictObject({
  /** 1, 2, 3 ... within the session, in the order of delivery. */
  number: z.int(),
  kind: z.enum(commandKinds),
  /** Of a `stop`. */
  force: z.boolean(),
  /** Of a `send`. What it types is content, and not shown. */
  enter: z.boolean(),
  requestedBy: z.string(),
  state: z.enum(commandStates),
  reason: z.string().nullable(),
  createdAt: time,
  expiresAt: time,
  finishedAt: time.nullable(),
})
export type CommandView = z.infer<typeof commandViewSchema>

export const commandListSchema = z.strictObject({ commands: z.array(commandViewSchema) })
export type CommandList = z.infer<typeof commandListSchema>

export const transcriptQuerySchema = z.strictObject({
  format: z.enum(['text', 'raw', 'cast']).default('text'),
  /** `text`: with colours, as SGR sequences. */
  colour: z.enum(['true', 'false']).default('false'),
  /** `cast`: version of the asciicast format. */
  version: z.enum(['2', '3']).default('3'),
  /** Goes on with what comes, to the end of the session. */
  follow: z.enum(['true', 'false']).default('false'),
})
export type TranscriptQuery = z.input<typeof transcriptQuerySchema>

export const sessionEventsQuerySchema = z.strictObject({
  /** The id of the last event that was seen: those after it follow. */
  lastEventId: z.string().max(64).optional(),
})

export type SessionEventsQuery = z.input<typeof sessionEventsQuerySchema>

/** The `data` of an event of `GET /v1/events`: the session as it is now. */
export const sessionEventViewSchema = z.strictObject({ at: time, session: sessionViewSchema })
export type SessionEventView = z.infer<typeof sessionEventViewSchema>

const explanationStepSchema = z.strictObject({
  step: z.enum(['kernel', 'account', 'binding', 'rule', 'role']),
  /** For people to read. */
  says: z.string(),
  /** FILE:LINE, or a variable's name; null where no file says it. */
  place: z.string().nullable(),
})
export type ExplanationStep = z.infer<typeof explanationStepSchema>

export const whoamiQuerySchema = z.strictObject({ explain: z.enum(['0', '1']).default('0') })

export const whoamiSchema = z.strictObject({
  uid: z.int(),
  gid: z.int(),
  groups: z.array(z.int()),
  pid: z.int(),
  osUser: z.string().nullable(),
  person: z.string().nullable(),
  role: z.enum(roles),
  host: z.string(),
  mode: z.enum(['single-user', 'system']),
  /** The rule that made the caller this person, with this role. */
  because: z.string(),
  /** What somebody who is `public` is told: why, and what to do next. Null for everybody else. */
  refusal: z.string().nullable(),
  /** Step by step, where that was asked for. */
  explanation: z.array(explanationStepSchema).nullable(),
})
export type Whoami = z.infer<typeof whoamiSchema>

export const permissionQuerySchema = z.strictObject({
  action: z.enum(actions),
  /** The session that it is about; for most actions there is one. */
  session: z.string().max(64).optional(),
})
export type PermissionQuery = z.input<typeof permissionQuerySchema>

/** What the service would answer somebody, without doing it. */
export const permissionSchema = z.strictObject({
  /** Null where the account is nobody's. */
  person: z.string().nullable(),
  role: z.enum(roles),
  because: z.string(),
  /** Of the rule that makes them that: FILE:LINE, or a variable's name. */
  place: z.string().nullable(),
  action: z.enum(actions),
  session: z.string().nullable(),
  allow: z.boolean(),
  /** Why not; null where they may. */
  reason: z.string().nullable(),
  /** The code of the problem that they get. */
  code: z.enum(['not-permitted', 'not-found']).nullable(),
})
export type Permission = z.infer<typeof permissionSchema>

/** An account of this machine, as it is and as it was when the service first saw it as somebody. */
export const accountViewSchema = z.strictObject({
  uid: z.int(),
  /** Its name now; null where it has none. */
  osUser: z.string().nullable(),
  /** What was first seen under this uid, or else under this name. */
  bound: z.strictObject({ uid: z.int(), osUser: z.string().nullable(), at: time }).nullable(),
  /** It is another account than that: it has nothing of the former one's until an admin binds it anew. */
  quarantined: z.boolean(),
  /** Whom the rules make of it, quarantine aside, at its next login. */
  person: z.string().nullable(),
  role: z.enum(roles),
  because: z.string(),
  /** Of the rule: FILE:LINE, or a variable's name. */
  place: z.string().nullable(),
})
export type AccountView = z.infer<typeof accountViewSchema>

export const accountListSchema = z.strictObject({ accounts: z.array(accountViewSchema) })
export type AccountList = z.infer<typeof accountListSchema>

export const rebindSchema = z.strictObject({
  /** The name of an account, or a uid. */
  account: text(256).min(1),
  /** Only say what it would be. */
  dryRun: z.boolean().default(false),
})
export type RebindRequest = z.input<typeof rebindSchema>

export const readinessSchema = z.strictObject({
  status: z.enum(['ready', 'unavailable']),
  version: z.string(),
  database: z.discriminatedUnion('status', [
    z.strictObject({ status: z.literal('ok') }),
    z.strictObject({ status: z.literal('unavailable'), reason: z.string() }),
  ]),
})
export type Readiness = z.infer<typeof readinessSchema>

/** What keeps even the service itself from doing harm, and whether it holds: each is really tried. */
export const safeguardsSchema = z.strictObject({
  checks: z.array(z.strictObject({ check: z.string(), ok: z.boolean(), what: z.string() })),
})
export type Safeguards = z.infer<typeof safeguardsSchema>

const configLayers = ['environment', 'secrets', 'system', 'personal', 'default'] as const
const configOriginSchema = z.strictObject({
  layer: z.enum(configLayers),
  /** A variable's name, or FILE:LINE; null for a default. */
  place: z.string().nullable(),
})
export type ConfigOrigin = z.infer<typeof configOriginSchema>

const configEntrySchema = z.strictObject({
  key: z.string(),
  /** Null where it is not set, and where it is a secret. */
  value: z.json(),
  secret: z.boolean(),
  origin: configOriginSchema,
  /** What would count without that, nearest first. */
  shadows: z.array(configOriginSchema),
  /** When a change takes effect. */
  applies: z.enum(['live', 'restart', 'next command']),
})
export type ConfigEntry = z.infer<typeof configEntrySchema>

export const configViewSchema = z.strictObject({
  mode: z.enum(['single-user', 'system']),
  entries: z.array(configEntrySchema),
  /** What is unwise, for people to read. */
  warnings: z.array(z.string()),
  /** Keys whose value in the files waits for a restart. */
  needsRestart: z.array(z.string()),
})
export type ConfigView = z.infer<typeof configViewSchema>

export const reloadAnswerSchema = z.strictObject({
  /** One a line, for people to read; secrets as "changed". */
  changes: z.array(z.string()),
  needsRestart: z.array(z.string()),
  warnings: z.array(z.string()),
})
export type ReloadAnswer = z.infer<typeof reloadAnswerSchema>

export const noParametersSchema = z.strictObject({})

/** One line that people read, as somebody typed it. */
const reason = z
  .string()
  .trim()
  .min(1, 'must say why')
  .max(maxReasonLength)
  .refine((value) => value.isWellFormed(), 'must be well-formed Unicode')
  // Also what would turn the order of a line around (Unicode TR 9), and what is invisible.
  .refine((value) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value), 'must be one line without control characters')

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
