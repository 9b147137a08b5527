// Who is at the other end of a connection. Nothing here is ever taken from a header, a query or a body.

import type { Role } from './role.ts'

/** What the kernel says of the peer of a connected Unix socket (unix(7) SO_PEERCRED, SO_PEERGROUPS). */
export type PeerCredentials = {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups, in the kernel's order. */
  readonly groups: readonly number[]
  /** For the record only, never for a decision: 0 where the peer lives in another PID namespace. */
  readonly pid: number
}

/** The peer of one connection, resolved to a person. */
export type Caller = {
  readonly credentials: PeerCredentials
  /** The account name of the uid on this host, or null where the uid has none. */
  readonly osUser: string | null
  /** The human behind the uid, or null for nobody known: then the role is `public`. */
  readonly person: string | null
  readonly role: Role
  /** The rule that says so, for people to read. */
  readonly because: string
  /** The configuration's key of that rule, or null where no rule names them. */
  readonly rule: string | null
  /** What somebody who is `public` is told: why, and what to do next. */
  readonly refusal: string
}
