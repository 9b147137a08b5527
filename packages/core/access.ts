// Access grants: an admin's time-limited, reasoned, recorded permission to open somebody else's content; and what the one whose
// content it is gets to know of that.

import type { SessionId } from './session.ts'

/** In UTF-16 code units. */
export const maxReasonLength = 500
export const defaultAccessMinutes = 30
export const maxAccessMinutes = 8 * 60

/** Why a grant is no more: somebody ended it, its time was over, or its holder is no admin any more. */
export const accessEndings = ['ended', 'expired', 'demoted'] as const
export type AccessEnding = (typeof accessEndings)[number]

export type AccessGrant = {
  /** A random UUID. */
  readonly id: string
  /** The machine whose kernel vouched for the grantee: the grant is in its log. */
  readonly host: string
  readonly sessionId: SessionId
  /** Whose session that is. */
  readonly owner: string
  readonly grantee: { readonly person: string; readonly uid: number }
  /** One line, for people to read. */
  readonly reason: string
  /** Whether the grantee may also type. */
  readonly drive: boolean
  readonly openedAtUs: number
  readonly expiresAtUs: number
  /** Null while nobody has noticed its end: what counts then is `expiresAtUs`. `by` is null where it ended by itself. */
  readonly ended: { readonly atUs: number; readonly by: string | null; readonly why: AccessEnding } | null
}

/** How content leaves: as it was recorded, as it goes on, or with somebody else's hands on it. */
export const viewKinds = ['transcript', 'follow', 'attach', 'drive'] as const
export type ViewKind = (typeof viewKinds)[number]

/** One delivery of content under a grant. */
export type AccessView = {
  /** A random UUID. */
  readonly id: string
  readonly grantId: string
  /** The machine that delivers it. */
  readonly host: string
  readonly kind: ViewKind
  readonly openedAtUs: number
  /** What was delivered, once that is known; `firstSeq` and `lastSeq` are null where nothing was. `isComplete`: false where the
   *  service ended meanwhile, and what was delivered up to then is not known. */
  readonly ended: {
    readonly atUs: number
    readonly firstSeq: number | null
    readonly lastSeq: number | null
    /** Of terminal output. */
    readonly bytes: number
    readonly isComplete: boolean
  } | null
}

/** What was done with a person's session by somebody else. */
export const noticeKinds = ['access.opened', 'session.stopped', 'session.renamed', 'session.commanded'] as const
export type NoticeKind = (typeof noticeKinds)[number]

export type Notice = {
  /** A random UUID: it tells nobody how many others get. */
  readonly id: string
  readonly kind: NoticeKind
  /** Who is told. */
  readonly person: string
  readonly atUs: number
  readonly sessionId: SessionId
  /** Who did it. */
  readonly by: string
  /** Of an `access.opened`. */
  readonly grantId: string | null
  readonly seenAtUs: number | null
}
