// The only door to the database. Both engines keep every promise made here; nobody above asks which one it is.
// Times are microseconds since 1970-01-01T00:00:00Z, as safe integers.

import type { Command, CommandRequest } from '@teleclaude/core/command.ts'
import type { SessionEvent } from '@teleclaude/core/event.ts'
import type {
  AgentSource,
  AgentState,
  Owner,
  Session,
  SessionExit,
  SessionId,
  SessionStatus,
  TerminalSize,
} from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import type { AccessStore, NoticeStore } from './access-contract.ts'
import type { AuditorStore, AuditStore } from './audit-contract.ts'

export type StoreErrorCode =
  /** The database can't be reached, or nobody knows whether the commit took place: treat it as not done. */
  | 'unavailable'
  /** The file or server holds something else than a TeleClaude database. */
  | 'not-a-database'
  /** The schema is newer than this program knows. */
  | 'schema-newer'
  /** The schema is older than this program needs: migrations have to be applied. */
  | 'schema-older'
  /** A migration that was applied has been edited since. */
  | 'migration-edited'
  | 'migration-failed'
  /** Another instance holds the lock of this host. */
  | 'lock-held'
  /** No room, no permission, or a read-only file system. */
  | 'not-writable'
  /** A chunk out of order, or for a session that does not exist. */
  | 'sequence-broken'
  /** What is in the audit log's tables can't be a log. */
  | 'audit-broken'

export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** Where the data lives. */
export type StoreTarget =
  | { readonly engine: 'sqlite'; readonly file: string }
  /** `url` as libpq reads it (postgresql://...), over TCP or a Unix socket directory (`?host=/run/postgresql`). */
  | { readonly engine: 'postgres'; readonly url: string }

export interface Store {
  readonly sessions: SessionStore
  readonly transcripts: TranscriptStore
  readonly commands: CommandStore
  readonly audit: AuditStore
  readonly auditor: AuditorStore
  readonly access: AccessStore
  readonly notices: NoticeStore
  readonly accounts: AccountStore
  readonly events: EventStore
  /** Calls back when something may have come to this host. Hints can get lost, and one means nothing more than that it is worth
   *  looking. */
  listen(host: string, onHint: (what: Hint) => void): Listening
  /** Resolves when a read reaches the database and comes back.
   *  @throws StoreError 'unavailable' */
  ping(): Promise<void>
  /** Waits for what is under way, then closes. */
  close(): Promise<void>
}

/** `commands` for the host's sessions; `events` of anybody's; `access`: a grant was opened or ended, anywhere; `auditor`: this host's
 *  has cosigned, raised an alarm, or said how it is. */
export type Hint = 'commands' | 'events' | 'access' | 'auditor'

export type Listening = { close(): Promise<void> }

export type NewSession = {
  readonly id: SessionId
  readonly host: string
  readonly owner: Owner
  readonly project: string
  readonly agent: string | null
  readonly title: string
  readonly argv: readonly string[]
  readonly terminal: TerminalSize
  /** Has to be there already. */
  readonly parentId: SessionId | null
  readonly createdAtUs: number
}

/** Whose sessions a query may touch at all. What is outside does not exist for it. */
export type SessionScope = { readonly kind: 'all' } | { readonly kind: 'person'; readonly person: string }

export type SessionQuery = {
  readonly scope: SessionScope
  /** Only sessions whose id starts with this: lower-case hexadecimal digits and dashes. */
  readonly idPrefix?: string
  readonly project?: string
  readonly statuses?: readonly SessionStatus[]
  /** Only sessions created before the one with this ordinal: the last one of the page before. */
  readonly beforeOrdinal?: number
  readonly limit: number
}

/** Each change of a session's status, title or agent status is an event, in the same transaction. */
export interface SessionStore {
  /** Status `starting`. Resolves once it is durable. */
  create(session: NewSession): Promise<Session>
  find(id: SessionId): Promise<Session | null>
  /** Newest first. Cost does not grow with the page's depth. */
  list(query: SessionQuery): Promise<readonly Session[]>
  /** `starting` or `lost` -> `running` (a runner has connected). False where the session is `ended` or unknown, and where its
   *  transcript was removed: nothing of it could be recorded. */
  markRunning(id: SessionId, atUs: number): Promise<boolean>
  /** `starting` or `running` -> `lost`. False where it is neither. */
  markLost(id: SessionId, atUs: number): Promise<boolean>
  /** Anything but `ended` -> `ended`. False where it has ended before or is unknown. */
  end(id: SessionId, exit: SessionExit, atUs: number): Promise<boolean>
  /** How many of the person's sessions of that host are `starting` or `running`. */
  countLive(host: string, person: string): Promise<number>
  /** Ids of the host's sessions that are `starting` or `running`, oldest first. */
  listLive(host: string): Promise<readonly SessionId[]>
  /** The host's sessions that are `starting` or `running` and were created before `createdBeforeUs`, or have shown nothing since
   *  `silentSinceUs` (without any output: were created before that); null leaves that one out. At most `limit`, oldest first. */
  listOverdue(
    host: string,
    query: {
      readonly createdBeforeUs: number | null
      readonly silentSinceUs: number | null
      readonly limit: number
    },
  ): Promise<readonly Session[]>
  /** False where the session is not `starting` or `running`, and where that is its agent's status already (from the same source). */
  setAgentStatus(
    id: SessionId,
    status: { readonly state: AgentState; readonly source: AgentSource },
    atUs: number,
  ): Promise<boolean>
  /** False where the session is unknown, and where that is its title already. */
  rename(id: SessionId, title: string, atUs: number): Promise<boolean>
}

/** Chunks to append to one session, in order. */
export type ChunkAppend = {
  readonly sessionId: SessionId
  readonly chunks: readonly TranscriptChunk[]
  /** When the newest of them arrived. */
  readonly atUs: number
}

export interface TranscriptStore {
  /** Appends to several sessions in one transaction and resolves once that is durable. Chunks that are there already
   *  (a runner sends again what it saw no acknowledgement for) are passed over; each session's sequence stays without a gap.
   *  Adds to the sessions' `transcriptBytes` (output chunks only) and `lastOutputAtUs`.
   *  @throws StoreError 'sequence-broken' where a chunk would leave a gap, the session is unknown or its transcript was removed:
   *  nothing is appended then. */
  append(appends: readonly ChunkAppend[]): Promise<void>
  /** The sequence of the newest chunk, 0 where there is none. */
  lastSeq(id: SessionId): Promise<number>
  /** Chunks in order from the one after `afterSeq`; at least one where there is any, then up to about `maxBytes` of them. */
  read(
    id: SessionId,
    options: { readonly afterSeq: number; readonly maxBytes: number },
  ): Promise<readonly TranscriptChunk[]>
  /** Up to which chunk an audit entry holds the transcript's hash, 0 where none does. */
  sealedSeq(id: SessionId): Promise<number>
  /** Never moves it back. */
  markSealed(id: SessionId, seq: number): Promise<void>
  /** The host's sessions that ended or were lost before that and whose transcript is still there, oldest first. */
  listRemovable(
    host: string,
    query: { readonly endedBeforeUs: number; readonly limit: number },
  ): Promise<readonly Session[]>
  /** Removes up to `maxChunks` of the session's oldest chunks. Returns whether all of it is gone, which it is for an unknown session.
   *  The first call marks the transcript as removed, since what is left is not the whole of it: nothing can be appended any more, and
   *  no runner can connect. `listRemovable` has the session until the last chunk is gone. `transcriptBytes` stays what it was.
   *  @throws RangeError for a session that is `starting` or `running` */
  remove(id: SessionId, options: { readonly maxChunks: number; readonly atUs: number }): Promise<boolean>
}

export type NewCommand = {
  readonly sessionId: SessionId
  readonly request: CommandRequest
  readonly requestedBy: string
  readonly createdAtUs: number
  readonly expiresAtUs: number
}

export interface CommandStore {
  /** Resolves after the commit. */
  enqueue(command: NewCommand): Promise<Command>
  /** Takes the session's oldest `queued` command and makes it `delivered`, or null where there is none. Of several callers
   *  at the same time one gets it: a command is taken at most once, unless it is put back. Commands past their expiry become `expired`
   *  first. */
  take(id: SessionId, atUs: number): Promise<Command | null>
  /** `delivered` -> `queued`, in its old place, for who took it and has told nobody. False where it was not `delivered`. */
  putBack(id: SessionId, number: number): Promise<boolean>
  /** `delivered` -> `done` or `failed`, and its text is gone. False where it was not `delivered`. */
  finish(
    id: SessionId,
    number: number,
    outcome: { readonly state: 'done' | 'failed'; readonly reason: string | null; readonly atUs: number },
  ): Promise<boolean>
  /** `queued` -> `expired` for all that are past their expiry at `atUs`, of every session; their texts are gone. Returns how many. */
  expire(atUs: number): Promise<number>
  /** `queued` or `delivered` -> `failed` for all of the session, which has ended; their texts are gone. Returns how many. */
  close(id: SessionId, reason: string, atUs: number): Promise<number>
  /** The host's sessions that have a `queued` command. */
  listWaiting(host: string): Promise<readonly SessionId[]>
  /** The session's commands, newest first. */
  list(id: SessionId, limit: number): Promise<readonly Command[]>
}

/** Whose events a query may touch, as for sessions. */
export type EventQuery = {
  readonly scope: SessionScope
  readonly afterOrdinal: number
  readonly limit: number
}

export interface EventStore {
  /** The ordinal of the newest event, 0 where there is none. Those that are committed later have greater ones, always. */
  newest(): Promise<number>
  /** The ordinal of the event with that id, null where it is unknown, removed or outside the scope. */
  find(scope: SessionScope, id: string): Promise<number | null>
  /** In order, each with its session as it is now. */
  read(query: EventQuery): Promise<readonly { readonly event: SessionEvent; readonly session: Session }[]>
  /** Removes up to `limit` events from before that. Returns how many. */
  remove(beforeUs: number, limit: number): Promise<number>
}

/** A uid of a host, and the account that it was when somebody first used the service with it. Numbers and names come back: a uid
 *  under another name, and a name under another uid, are somebody else's until an admin says otherwise. */
export type BoundAccount = {
  readonly uid: number
  /** Null where the uid had no name. */
  readonly osUser: string | null
  /** The uid or the name has been bound to another since: whoever comes with these two is a stranger. */
  readonly retired: boolean
  readonly boundAtUs: number
}

export interface AccountStore {
  /** All that the host's uids have been, by uid and name. */
  list(host: string): Promise<readonly BoundAccount[]>
  /** Resolves once it is durable. Where the uid or the name is known already, nothing changes. */
  bind(host: string, account: Omit<BoundAccount, 'retired'>): Promise<void>
  /** Binds the two together, and retires what else either of them was. Durable when it resolves. */
  rebind(host: string, account: Omit<BoundAccount, 'retired'>): Promise<void>
}

/** The right to be the one instance of a host on a database. Held until released, or until the process ends. */
export interface InstanceLock {
  /** Throws while nobody knows whether the lock is held: the connection to the database broke, and the lock is asked for
   *  again until it is held again or lost. A store that was opened with the lock asks this before each operation.
   *  @throws StoreError 'unavailable' */
  requireHeld(): void
  /** Calls back each time the lock goes away. What is under way then may never be answered: its outcome is unknown. */
  onAway(listener: (why: StoreError) => void): void
  /** Resolves when another instance has got the lock: this one has to stop. */
  readonly lost: Promise<StoreError>
  release(): Promise<void>
}

/** Who asks for the lock, shown to whoever finds it held. */
export type LockHolder = { readonly host: string; readonly pid: number; readonly program: string }
