// What was allowed once and goes on: WebSockets, and answers that are streamed. Who may not any more loses them at once, whatever
// their client does; that it can't be recorded keeps nothing open.

import type { AccessGrant } from '@teleclaude/core/access.ts'
import type { AuditEvent } from '@teleclaude/core/audit.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { type Action, decide } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session } from '@teleclaude/core/session.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import type { AccessGrants } from '../access/grants.ts'
import { type AuditedHost, actorOf, recordAll, subjectOf } from '../audit/record.ts'
import { ownershipOf } from '../http/gate.ts'
import type { Identity } from '../identity/identity.ts'

export type OpenStream = {
  /** As they were when it was allowed. */
  readonly caller: Caller
  readonly action: Action
  /** What it is about: a session, or the service itself. */
  readonly session: Pick<Session, 'id' | 'owner'> | null
  /** What allows it, where the session is somebody else's: with that it ends, whatever others there are. */
  readonly grant?: AccessGrant | null
  /** Ends it for good. Called once at most. */
  readonly close: (reason: string) => void
}

type Refused = { readonly stream: OpenStream; readonly reason: string }

/** What could not be recorded is kept for the next review, and no more of it than this. */
const maxUnrecorded = 1_000

export class OpenStreams {
  readonly #where: AuditedHost
  readonly #identity: Pick<Identity, 'refuse' | 'resolve'>
  readonly #access: Pick<AccessGrants, 'accessUnder' | 'whyOver'>
  readonly #log: Logger
  readonly #open = new Set<OpenStream>()
  #unrecorded: readonly AuditEvent[] = []

  constructor(
    where: AuditedHost,
    identity: Pick<Identity, 'refuse' | 'resolve'>,
    access: Pick<AccessGrants, 'accessUnder' | 'whyOver'>,
    log: Logger,
  ) {
    this.#where = where
    this.#identity = identity
    this.#access = access
    this.#log = log
  }

  /** Decided once more right away: between the request's decision and now the rules may have changed.
   *  @returns what to call when it is over */
  open(stream: OpenStream): () => void {
    this.#open.add(stream)
    this.#review([stream])
    return () => this.#open.delete(stream)
  }

  /** Decides each anew, as the gate decides a request of that peer now, and closes those that are refused. */
  review(): void {
    this.#review([...this.#open])
  }

  /** Those that this grant allowed. */
  reviewUnder(grantId: string): void {
    this.#review([...this.#open].filter(({ grant }) => grant?.id === grantId))
  }

  /** For accounts that changed by themselves. While they can't be looked up, that says nothing of anybody: what is open stays
   *  until they can.
   *  @returns what ends it */
  reviewEvery(periodMs: number): () => void {
    const timer = setInterval(() => this.#review([...this.#open], { keepUnknown: true }), periodMs)
    return () => clearInterval(timer)
  }

  #review(streams: readonly OpenStream[], { keepUnknown } = { keepUnknown: false }): void {
    const refused: Refused[] = []
    for (const stream of streams) {
      const reason = this.#refusalOf(stream, keepUnknown)
      if (reason === null) continue
      this.#open.delete(stream)
      stream.close(reason)
      refused.push({ stream, reason })
    }
    this.#record(refused)
  }

  #refusalOf(
    { caller: { credentials }, action, session, grant = null }: OpenStream,
    keepUnknown: boolean,
  ): string | null {
    const refusal = this.#identity.refuse(credentials)
    if (refusal !== null) return refusal
    try {
      const caller = this.#identity.resolve(credentials)
      const decision =
        session === null
          ? decide(caller, action, { kind: 'service' })
          : decide(caller, action, {
              kind: 'session',
              ownership: ownershipOf(session, caller),
              access: grant === null ? null : this.#access.accessUnder(grant, caller),
            })
      if (decision.allow) return null
      return (grant === null ? null : this.#access.whyOver(grant)) ?? decision.reason
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      // Who can't be identified now is nobody, here as at the gate.
      return keepUnknown ? null : error.message
    }
  }

  /** One entry for each caller: somebody with hundreds of streams must not fill the record with them. */
  #record(refused: readonly Refused[]): void {
    const byUid = Map.groupBy(refused, ({ stream }) => stream.caller.credentials.uid)
    const events = [...this.#unrecorded, ...[...byUid.values()].map(describe)]
    if (events.length === 0) return
    this.#unrecorded = []
    recordAll(this.#where, events).catch((error: unknown) => {
      const level = error instanceof StoreError ? 'warn' : 'error'
      this.#log[level]({ err: error, events }, 'that streams were closed could not be recorded')
      // Nobody knows whether it is recorded: twice is better than never.
      if (error instanceof StoreError) this.#unrecorded = [...events, ...this.#unrecorded].slice(0, maxUnrecorded)
    })
  }
}

function describe(refused: readonly Refused[]): AuditEvent {
  const [first] = refused
  if (first === undefined) throw new TypeError('nothing was closed')
  const actions = new Set(refused.map(({ stream }) => stream.action))
  const sessions = new Set(refused.map(({ stream }) => stream.session?.id))
  const { session } = first.stream
  return {
    action: 'stream.closed',
    actor: actorOf(first.stream.caller),
    session: session !== null && sessions.size === 1 ? subjectOf(session) : null,
    detail: {
      request: [...actions].sort().join(', '),
      reason: first.reason,
      streams: refused.length,
      sessions: sessions.size,
    },
  }
}
