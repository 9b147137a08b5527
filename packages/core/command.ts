// A command: a durable request to a session, delivered in order, at most once.

import type { SessionId } from './session.ts'

/** `send`: types a text into the session. `interrupt`: what Ctrl-C types (termios(3), VINTR). `stop`: ends its program. */
export const commandKinds = ['send', 'interrupt', 'stop'] as const
export type CommandKind = (typeof commandKinds)[number]

/** `queued` until a runner takes it; `delivered` once it was handed over; then how that went, or `expired`. */
export const commandStates = ['queued', 'delivered', 'done', 'failed', 'expired'] as const
export type CommandState = (typeof commandStates)[number]

/** Of the text that one `send` types, in UTF-16 code units. */
export const maxSendLength = 64 * 1024

/** What is asked of the session. */
export type CommandRequest =
  /** `enter`: whether the Enter key follows the text. */
  | { readonly kind: 'send'; readonly text: string; readonly enter: boolean }
  | { readonly kind: 'interrupt' }
  /** `force`: whether to kill at once instead of asking first. */
  | { readonly kind: 'stop'; readonly force: boolean }

/** Times are microseconds since 1970-01-01T00:00:00Z. */
export type Command = {
  readonly sessionId: SessionId
  /** 1, 2, 3 ... within the session: the order of delivery. Says nothing of other sessions. */
  readonly number: number
  readonly kind: CommandKind
  /** Of a `stop`; false otherwise. */
  readonly force: boolean
  /** Of a `send`: content, kept until it is finished and null from then on. Null of other kinds. */
  readonly text: string | null
  /** Of a `send`; false otherwise. */
  readonly enter: boolean
  readonly requestedBy: string
  readonly state: CommandState
  /** Why it failed or expired, for a person to read; null otherwise. */
  readonly reason: string | null
  readonly createdAtUs: number
  readonly expiresAtUs: number
  readonly finishedAtUs: number | null
}
