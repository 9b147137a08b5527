// What crosses the socket as JSON, as schemas: the server parses with them, clients take their types.
// Times are RFC 3339 in UTC with microseconds; byte counts and sequences are safe integers.

import { z } from 'zod'
import { limit, sessionIdSchema, text, time } from './api-values.ts'
import { commandKinds, commandStates, maxSendLength } from './command.ts'
import { actions } from './policy.ts'
import { roles } from './role.ts'
import { agentSources, agentStates, maxTitleLength, sessionStatuses } from './session.ts'
import { maxTerminalCells } from './transcript.ts'

const maxPathLength = 4096
const maxArguments = 4096
const maxArgumentsLength = 128 * 1024

const dimension = z.int().min(1).max(maxTerminalCells)
export const terminalSizeSchema = z.strictObject({ cols: dimension, rows: dimension })

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

export const searchQuerySchema = z.strictObject({
  /** As it stands in the transcript's text; no pattern. */
  text: z
    .string()
    .min(1)
    .max(1000)
    .regex(/^[^\p{Cc}]+$/u, 'has a control character, which no transcript has as text'),
  ignoreCase: z.enum(['true', 'false']).default('false'),
  /** No more lines than this. */
  limit: z.coerce.number<string | number>().int().min(1).max(10_000).default(1_000),
})
export type SearchQuery = z.input<typeof searchQuerySchema>

/** A line of a transcript's text in which a text stands; of a long one, up to 1,000 UTF-16 code units around it. The answer is such
 *  objects, one a line. */
export const transcriptMatchSchema = z.strictObject({
  /** From 1 on. */
  line: z.int().min(1),
  text: z.string(),
})
export type TranscriptMatch = z.infer<typeof transcriptMatchSchema>

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
