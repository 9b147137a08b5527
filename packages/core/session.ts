// A session: one terminal command with its owner, project, agent, status and transcript.

export const sessionStatuses = ['starting', 'running', 'lost', 'ended'] as const
export type SessionStatus = (typeof sessionStatuses)[number]

declare const brand: unique symbol
/** A UUID (RFC 9562, version 4) in lower case. */
export type SessionId = string & { readonly [brand]: 'SessionId' }

/** How the session's program ended (waitpid(2)). */
export type SessionExit =
  | { readonly kind: 'exited'; readonly code: number }
  /** `signal` by name, as in signal(7): `SIGTERM`. */
  | { readonly kind: 'signalled'; readonly signal: string }

export type Owner = {
  readonly person: string
  readonly uid: number
  /** The account name the uid had when the session was started. */
  readonly osUser: string
}

/** In UTF-16 code units. */
export const maxTitleLength = 200

export type TerminalSize = { readonly cols: number; readonly rows: number }

/** A session as the store keeps it. Times are microseconds since 1970-01-01T00:00:00Z. */
export type Session = {
  readonly id: SessionId
  /** Order of creation within the store; lists are newest first by this, never by a clock. */
  readonly ordinal: number
  readonly host: string
  readonly owner: Owner
  /** Absolute path of the git work tree or directory that the session works in. */
  readonly project: string
  /** `claude`, `codex`, ... or null for any other program. */
  readonly agent: string | null
  /** Untrusted text: neutralise it before it reaches a terminal or a page. */
  readonly title: string
  /** The program and its arguments. Content, not metadata: arguments can hold a prompt. */
  readonly argv: readonly string[]
  readonly terminal: TerminalSize
  readonly status: SessionStatus
  /** Set exactly where the status is `ended`. */
  readonly exit: SessionExit | null
  readonly createdAtUs: number
  readonly startedAtUs: number | null
  /** When it ended or was found lost; null while it is `starting` or `running`. */
  readonly endedAtUs: number | null
  readonly lastOutputAtUs: number | null
  /** Bytes of terminal output recorded so far. */
  readonly transcriptBytes: number
}

export const liveStatuses: readonly SessionStatus[] = ['starting', 'running']
