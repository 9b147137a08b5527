// A command: a durable request to a session, delivered in order, at most once.

import type { SessionId } from './session.ts'

export const commandKinds = ['stop'] as const
export type CommandKind = (typeof commandKinds)[number]

/** `queued` until a runner takes it; `delivered` once it was handed over; then how that went, or `expired`. */
export const commandStates = ['queued', 'delivered', 'done', 'failed', 'expired'] as const
export type CommandState = (typeof commandStates)[number]

/** Times are microseconds since 1970-01-01T00:00:00Z. */
export type Command = {
  readonly sessionId: SessionId
  /** 1, 2, 3 ... within the session: the order of delivery. Says nothing of other sessions. */
  readonly number: number
  readonly kind: CommandKind
  /** `stop`: whether to kill at once instead of asking first. */
  readonly force: boolean
  readonly requestedBy: string
  readonly state: CommandState
  /** Why it failed or expired, for a person to read; null otherwise. */
  readonly reason: string | null
  readonly createdAtUs: number
  readonly expiresAtUs: number
  readonly finishedAtUs: number | null
}
