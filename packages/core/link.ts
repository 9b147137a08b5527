// What runners and viewers say to the API over a WebSocket. Text frames carry these messages as JSON;
// binary frames carry chunks, parts of snapshots and typed input (transcript.ts). docs/protocol.md tells the whole of it.

import { z } from 'zod'
import { driverSchema, sendTextSchema, sessionViewSchema, terminalSizeSchema } from './api.ts'
import { agentStates } from './session.ts'

const commandNumber = z.int()

export const toRunnerSchema = z.discriminatedUnion('type', [
  /** First message. Everything up to `ackedSeq` is durable; send what comes after it. */
  z.strictObject({ type: z.literal('welcome'), ackedSeq: z.int().min(0) }),
  z.strictObject({ type: z.literal('ack'), seq: z.int().min(1) }),
  z.strictObject({ type: z.literal('resize'), ...terminalSizeSchema.shape }),
  /** Whose typed input follows; null where nobody drives. */
  z.strictObject({ type: z.literal('driver'), driver: driverSchema.nullable() }),
  /** Asks for a snapshot of the screen, and `snapshot-more` for its next part. Where `snapshot` comes before the last part of one
   *  has been sent, that is given up for a new one. */
  z.strictObject({ type: z.literal('snapshot') }),
  z.strictObject({ type: z.literal('snapshot-more') }),
  /** Whether somebody looks on through the service by now: a flood is passed on as it is printed then. Untold, nobody does. */
  z.strictObject({ type: z.literal('watched'), watched: z.boolean() }),
  z.strictObject({
    type: z.literal('command'),
    number: commandNumber,
    request: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('send'), text: sendTextSchema, enter: z.boolean() }),
      z.strictObject({ kind: z.literal('interrupt') }),
      z.strictObject({ kind: z.literal('stop'), force: z.boolean() }),
    ]),
  }),
])
export type ToRunner = z.infer<typeof toRunnerSchema>

export const fromRunnerSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('command-finished'),
    number: commandNumber,
    reason: z.string().max(1000).nullable(),
  }),
  /** After each welcome: how large the terminal is now. */
  z.strictObject({ type: z.literal('terminal'), ...terminalSizeSchema.shape }),
  /** What the terminal tells of the agent: a bell or a notification, and that somebody has typed since. */
  z.strictObject({ type: z.literal('agent'), state: z.enum(agentStates) }),
])
export type FromRunner = z.infer<typeof fromRunnerSchema>

/** Who has the wheel, seen from one viewer. */
const wheel = { driving: z.boolean(), driver: driverSchema.nullable() }

export const toViewerSchema = z.discriminatedUnion('type', [
  /** First message; `driving` says whether this connection's input and resizes count. */
  z.strictObject({ type: z.literal('welcome'), session: sessionViewSchema, ...wheel }),
  /** The wheel has changed hands. */
  z.strictObject({ type: z.literal('wheel'), ...wheel }),
  /** To the owner: somebody else opened the session, or what they see of it has ended. Never part of what the program shows. */
  z.strictObject({
    type: z.literal('access'),
    state: z.enum(['opened', 'ended']),
    grantee: z.string(),
    reason: z.string(),
    drive: z.boolean(),
    until: z.iso.datetime({ precision: 6 }),
  }),
  /** Last message: nothing more will come. */
  z.strictObject({ type: z.literal('end'), session: sessionViewSchema }),
])
export type ToViewer = z.infer<typeof toViewerSchema>

export const fromViewerSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('resize'), ...terminalSizeSchema.shape }),
  /** Asks for a snapshot, to show the screen anew. */
  z.strictObject({ type: z.literal('snapshot') }),
])
export type FromViewer = z.infer<typeof fromViewerSchema>

export const runnerQuerySchema = z.strictObject({
  /** Brings what is left of a session whose runner is gone: its program does not run any more. */
  recovery: z.enum(['true', 'false']).default('false'),
})

export const attachQuerySchema = z.strictObject({
  /** `true` asks to type and resize, `take` to do so instead of whoever does now; one connection of a session does at a time. */
  drive: z.enum(['true', 'take', 'false']).default('false'),
  /** Show what comes after this chunk: 0 shows all, `end` only what is yet to come. */
  afterSeq: z.union([z.literal('end'), z.coerce.number().int().min(0)]).default(0),
  /** `screen`: what a terminal shows. A snapshot comes first where `afterSeq` is `end`, and instead of what a viewer that is too
   *  slow has missed. `record`: every chunk, however late. */
  show: z.enum(['record', 'screen']).default('record'),
})
