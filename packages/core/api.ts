// What crosses the socket as JSON, as schemas: the server parses with them, clients take their types.
// Times are RFC 3339 in UTC with microseconds; byte counts and sequences are safe integers.

import { z } from 'zod'
import { commandKinds, commandStates } from './command.ts'
import { roles } from './role.ts'
import { maxTitleLength, sessionStatuses } from './session.ts'
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
})
export type NewSessionRequest = z.infer<typeof newSessionSchema>

const time = z.iso.datetime({ precision: 6 })

export const sessionViewSchema = z.strictObject({
  id: sessionIdSchema,
  host: z.string(),
  owner: z.strictObject({ person: z.string(), uid: z.int(), osUser: z.string() }),
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
  status: z.enum([...sessionStatuses, 'live']).optional(),
  cursor: z.string().max(64).optional(),
  limit: limit.default(50),
})
export type SessionListQuery = z.input<typeof sessionListQuerySchema>

export const sessionPageSchema = z.strictObject({
  sessions: z.array(sessionViewSchema),
  /** Pass it as `cursor` for the next page; null on the last one. */
  nextCursor: z.string().nullable(),
})
export type SessionPage = z.infer<typeof sessionPageSchema>

export const newCommandSchema = z.strictObject({
  kind: z.enum(commandKinds),
  /** `stop`: kill at once instead of asking the program to end first. */
  force: z.boolean().default(false),
})
export type NewCommandRequest = z.input<typeof newCommandSchema>

export const commandViewSchema = z.strictObject({
  id: z.int(),
  kind: z.enum(commandKinds),
  force: z.boolean(),
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
})
export type TranscriptQuery = z.input<typeof transcriptQuerySchema>

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
})
export type Whoami = z.infer<typeof whoamiSchema>

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
