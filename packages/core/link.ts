// What runners and viewers say to the API over a WebSocket. Text frames carry these messages as JSON;
// binary frames carry chunks and typed input (transcript.ts).

import { z } from 'zod'
import { sessionViewSchema, terminalSizeSchema } from './api.ts'
import { commandKinds } from './command.ts'

export const toRunnerSchema = z.discriminatedUnion('type', [
  /** First message. Everything up to `ackedSeq` is durable; send what comes after it. */
  z.strictObject({ type: z.literal('welcome'), ackedSeq: z.int().min(0) }),
  z.strictObject({ type: z.literal('ack'), seq: z.int().min(1) }),
  z.strictObject({ type: z.literal('resize'), ...terminalSizeSchema.shape }),
  z.strictObject({ type: z.literal('command'), number: z.int(), kind: z.enum(commandKinds), force: z.boolean() }),
])
export type ToRunner = z.infer<typeof toRunnerSchema>

export const fromRunnerSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('command-finished'), number: z.int(), reason: z.string().max(1000).nullable() }),
])
export type FromRunner = z.infer<typeof fromRunnerSchema>

export const toViewerSchema = z.discriminatedUnion('type', [
  /** First message; `driving` says whether this connection's input and resizes count. */
  z.strictObject({ type: z.literal('welcome'), session: sessionViewSchema, driving: z.boolean() }),
  /** Last message: nothing more will come. */
  z.strictObject({ type: z.literal('end'), session: sessionViewSchema }),
])
export type ToViewer = z.infer<typeof toViewerSchema>

export const fromViewerSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('resize'), ...terminalSizeSchema.shape }),
])
export type FromViewer = z.infer<typeof fromViewerSchema>

export const attachQuerySchema = z.strictObject({
  /** `true` asks to type and resize; one connection of a session does at a time. */
  drive: z.enum(['true', 'false']).default('false'),
  /** Show what comes after this chunk: 0 shows all, `end` only what is yet to come. */
  afterSeq: z.union([z.literal('end'), z.coerce.number().int().min(0)]).default(0),
})
