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

/** What the agent in a session does, where that can be known: `working`, `waiting` for a human, or `idle`. */
export const agentStates = ['working', 'waiting', 'idle', 'unknown'] as const
export type AgentState = (typeof agentStates)[number]
/** Who says so: the agent itself through a hook, or its terminal (bell, notification, typed input). */
export const agentSources = ['hook', 'terminal'] as const
export type AgentSource = (typeof agentSources)[number]

/** `sinceUs` is when it was said; both are null where nobody ever said anything. */
export type AgentStatus = {
  readonly state: AgentState
  readonly source: AgentSource | null
  readonly sinceUs: number | null
}

/** Who drives a session: their typed input counts. */
export type Driver = { readonly person: string; readonly uid: number }

/** Why nothing follows in a transcript that has no exit: for people to read. */
export type Gap = { readonly reason: string }

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
  /** When its transcript was removed because it was old; null while it is there. */
  readonly transcriptRemovedAtUs: number | null
  /** The session in which it was started, of the same person. */
  readonly parentId: SessionId | null
  readonly agentStatus: AgentStatus
}

export const liveStatuses: readonly SessionStatus[] = ['starting', 'running']
