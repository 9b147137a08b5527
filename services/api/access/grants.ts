// The access grants that hold, in memory: asked for each request about somebody else's content, and for what is open. They hold
// for a person, and only while that is an admin (policy.ts sees to it each time); their end is noticed here, and put down.

import type { AccessEnding, AccessGrant } from '@teleclaude/core/access.ts'
import type { AuditActor } from '@teleclaude/core/audit.ts'
import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { Access, Action } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { record, theApi } from '../audit/record.ts'
import type { Identity } from '../identity/identity.ts'
import { Owed } from './owed.ts'

/** How soon the end of a grant is noticed. */
const tickMs = 250
/** For hints that got lost: while there are grants, and while there are none. */
const sweepMs = 1_500
const idleSweepMs = 5_000
/** Accounts and groups change without a word to us. */
const reviewMs = 30_000
const pageLimit = 200

export type GrantEnd = NonNullable<AccessGrant['ended']>

export type AccessGrantsOptions = {
  readonly store: Pick<Store, 'access' | 'audit'>
  readonly host: string
  readonly identity: Pick<Identity, 'imagine' | 'resolve'>
  readonly log: Logger
  readonly clock?: {
    nowUs(): number
    /** One that never goes back. */
    nowMs(): number
  }
}

/** Called as it happens, before anybody is answered. */
type AccessListener = {
  opened(grant: AccessGrant): void
  ended(grant: AccessGrant, end: GrantEnd): void
}

type Held = {
  readonly grant: AccessGrant
  /** By the clock that never goes back: one that does prolongs nothing. */
  readonly deadlineMs: number
  /** Of its holder as they opened it; null where that was not here, or before this service was started. */
  readonly credentials: PeerCredentials | null
  end: GrantEnd | null
}

export class AccessGrants {
  readonly #options: AccessGrantsOptions
  readonly #clock: NonNullable<AccessGrantsOptions['clock']>
  readonly #held = new Map<string, Held>()
  /** Of this service, and going on: what ends each. */
  readonly #views = new Map<string, () => void>()
  readonly #listeners: AccessListener[] = []
  #timer: NodeJS.Timeout | undefined
  #lookedMs = Number.NEGATIVE_INFINITY
  #reviewedMs = Number.NEGATIVE_INFINITY
  #looking: Promise<void> | null = null
  #again = false
  /** Ends and views that are over, on their way to the record. */
  readonly owed: Owed

  constructor(options: AccessGrantsOptions) {
    this.#options = options
    this.#clock = options.clock ?? { nowUs, nowMs: () => performance.now() }
    this.owed = new Owed(options.log)
  }

  onChange(listener: AccessListener): void {
    this.#listeners.push(listener)
  }

  /** Nothing is allowed before. @throws StoreError */
  load(): Promise<void> {
    return this.look()
  }

  /** Puts down what ended, and what was being delivered, while no service was there to notice; and looks from now on. */
  start(): void {
    this.reviewHolders()
    this.owed.add('the access grants that ended meanwhile', () => this.#noteExpired())
    this.owed.add('the views that were cut off', () => this.#noteCutViews())
    this.#timer = setInterval(() => this.tick(), tickMs)
    this.#timer.unref()
  }

  /** When nothing goes out any more. Waits for what is owed, but not for long. */
  async stop(patienceMs: number): Promise<void> {
    clearInterval(this.#timer)
    for (const over of [...this.#views.values()]) over()
    await Promise.all([this.owed.settle(patienceMs), this.#looking?.catch(() => undefined)])
  }

  /** Without I/O: the one to do that with. Where none allows it, one that says what is allowed instead;
   *  of several, the one that lasts longest. */
  grantFor(
    caller: Pick<Caller, 'person' | 'role'>,
    session: Pick<Session, 'id' | 'owner'>,
    action: Action,
  ): AccessGrant | null {
    const drives = action === 'session.drive' || action === 'session.send'
    return (drives ? this.#best(caller, session, true) : null) ?? this.#best(caller, session, false)
  }

  /** What that one grant allows the caller now. */
  accessUnder({ id }: Pick<AccessGrant, 'id'>, caller: Pick<Caller, 'person' | 'role'>): Access | null {
    const held = this.#held.get(id)
    if (held === undefined || !this.#holdsFor(held, caller)) return null
    return held.grant.drive ? 'drive' : 'view'
  }

  /** For what took its time since it was allowed. @throws ProblemError */
  requireStill(grant: AccessGrant, { credentials }: Caller, what: string): void {
    if (this.accessUnder(grant, this.#options.identity.resolve(credentials)) !== null) return
    const why = this.whyOver(grant) ?? 'you are no admin any more'
    throw new ProblemError('not-permitted', `cannot ${what}: ${why}`)
  }

  /** For people to read; null where it holds. */
  whyOver({ id }: Pick<AccessGrant, 'id'>): string | null {
    const held = this.#held.get(id)
    if (held === undefined) return 'your access to this session has ended'
    if (held.end !== null) return describeEnd(held.end)
    return this.#isDue(held) ? 'your access to this session has ended: its time is over' : null
  }

  /** Those that hold on the session, whoever holds them, oldest first. */
  on(session: Pick<Session, 'id'>): readonly AccessGrant[] {
    const holding = [...this.#held.values()].filter((held) => held.grant.sessionId === session.id && this.#holds(held))
    return holding.map(({ grant }) => grant).sort((one, other) => one.openedAtUs - other.openedAtUs)
  }

  /** How many the person holds. */
  countOf(person: string): number {
    return [...this.#held.values()].filter((held) => held.grant.grantee.person === person && this.#holds(held)).length
  }

  /** One that is durable; `credentials` of its holder where they are here. */
  add(grant: AccessGrant, credentials: PeerCredentials | null = null): void {
    if (this.#held.has(grant.id)) return
    this.#hold(grant, credentials)
    for (const listener of this.#listeners) listener.opened(grant)
  }

  /** Ends it here at once; resolves when that is on the record and durable, which is tried for until it is.
   *  @throws StoreError where it is not at the first try */
  async end(grant: AccessGrant, actor: AuditActor, end: GrantEnd): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const note = this.#noting(grant, actor, end)
    const held = this.#held.get(grant.id)
    if (held !== undefined) this.#over(held, end)
    this.owed.add('the end of an access grant', async () => {
      try {
        await note()
        resolve()
      } catch (error) {
        reject(error)
        throw error
      }
    })
    await promise
  }

  /** A view that this service delivers: nobody's to clear up after until it is over. `over` is called at the end of the service. */
  viewBegins(id: string, over: () => void): void {
    this.#views.set(id, over)
  }

  viewEnded(id: string): void {
    this.#views.delete(id)
  }

  /** For a change of who is an admin. */
  reviewHolders(): void {
    this.#reviewedMs = this.#clock.nowMs()
    for (const held of this.#held.values()) {
      // Who its holder is on another machine is for that to say.
      if (held.grant.host !== this.#options.host || held.end !== null) continue
      if (!this.#mayHold(held)) this.#endByItself(held, 'demoted')
    }
  }

  /** A grant may have been opened or ended elsewhere. Nobody waits for it. */
  hint(): void {
    this.look().catch((error: unknown) => {
      const level = error instanceof StoreError ? 'warn' : 'error'
      this.#options.log[level]({ err: error }, 'cannot look for access grants now')
    })
  }

  /** Resolves after a look that began after the call. @throws StoreError */
  look(): Promise<void> {
    this.#again = true
    this.#looking ??= this.#lookUntilDone().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  /** Ends what is due, and looks into the database where that is long ago. */
  tick(): void {
    for (const held of this.#held.values()) {
      if (held.end !== null || !this.#isDue(held)) continue
      this.#endByItself(held, 'expired')
    }
    if (this.#held.size > 0 && this.#clock.nowMs() - this.#reviewedMs >= reviewMs) this.reviewHolders()
    const sinceMs = this.#clock.nowMs() - this.#lookedMs
    if (sinceMs < (this.#held.size > 0 ? sweepMs : idleSweepMs)) return
    this.#lookedMs = this.#clock.nowMs()
    this.hint()
  }

  async #lookUntilDone(): Promise<void> {
    while (this.#again) {
      this.#again = false
      this.#lookedMs = this.#clock.nowMs()
      await this.#look()
    }
  }

  async #look(): Promise<void> {
    const { access } = this.#options.store
    const before = [...this.#held.keys()]
    const found = new Map<string, AccessGrant>()
    for (let last: string | undefined; ; ) {
      const page = await access.list({
        scope: { kind: 'all' },
        activeAtUs: this.#clock.nowUs(),
        ...(last === undefined ? {} : { before: last }),
        limit: pageLimit,
      })
      for (const grant of page) found.set(grant.id, grant)
      last = page.at(-1)?.id
      if (page.length < pageLimit || last === undefined) break
    }
    for (const grant of found.values()) this.add(grant)
    for (const id of before) {
      if (!found.has(id)) await this.#letGo(id)
    }
  }

  /** One that the database does not list any more: it has ended, or its time is over. */
  async #letGo(id: string): Promise<void> {
    const held = this.#held.get(id)
    if (held === undefined) return
    const ended = (await this.#options.store.access.find(id))?.ended ?? null
    if (ended !== null) this.#over(held, ended)
    else if (held.end === null) this.#endByItself(held, 'expired')
    this.#held.delete(id)
  }

  #hold(grant: AccessGrant, credentials: PeerCredentials | null): void {
    // Not longer than it was opened for, whatever the clock says by now.
    const leftUs = Math.min(grant.expiresAtUs - this.#clock.nowUs(), grant.expiresAtUs - grant.openedAtUs)
    this.#held.set(grant.id, { grant, deadlineMs: this.#clock.nowMs() + leftUs / 1_000, credentials, end: null })
  }

  #isDue({ grant, deadlineMs }: Held): boolean {
    return this.#clock.nowUs() >= grant.expiresAtUs || this.#clock.nowMs() >= deadlineMs
  }

  #holds(held: Held): boolean {
    return held.end === null && !this.#isDue(held)
  }

  #holdsFor(held: Held, { person, role }: Pick<Caller, 'person' | 'role'>): boolean {
    return person !== null && role === 'admin' && held.grant.grantee.person === person && this.#holds(held)
  }

  #best(
    caller: Pick<Caller, 'person' | 'role'>,
    { id, owner }: Pick<Session, 'id' | 'owner'>,
    drives: boolean,
  ): AccessGrant | null {
    let best: Held | null = null
    for (const held of this.#held.values()) {
      const { grant } = held
      if (grant.sessionId !== id || grant.owner !== owner.person || (drives && !grant.drive)) continue
      if (!this.#holdsFor(held, caller)) continue
      if (best === null || held.deadlineMs > best.deadlineMs) best = held
    }
    return best?.grant ?? null
  }

  /** Groups are those of a login, and a directory may know others: who is here goes by what the kernel said of them. While accounts
   *  can't be looked up nobody is demoted for good; and nobody who can't be identified is let in. */
  #mayHold({ grant: { grantee }, credentials }: Held): boolean {
    const { identity } = this.#options
    try {
      const holder = credentials === null ? identity.imagine(grantee.person) : identity.resolve(credentials)
      return holder?.person === grantee.person && holder.role === 'admin'
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error
      return true
    }
  }

  #endByItself(held: Held, why: AccessEnding): void {
    const { grant } = held
    const end: GrantEnd = { atUs: this.#clock.nowUs(), by: null, why }
    this.#over(held, end)
    // Another host's is for that to put down, when it is there.
    if (grant.host !== this.#options.host) return
    this.owed.add('the end of an access grant', this.#noting(grant, theApi, end))
  }

  /** For everybody here, from now on. */
  #over(held: Held, end: GrantEnd): void {
    if (held.end !== null) return
    held.end = end
    for (const listener of this.#listeners) listener.ended(held.grant, end)
  }

  #noting(grant: AccessGrant, actor: AuditActor, end: GrantEnd): () => Promise<void> {
    const { store, host } = this.#options
    let isRecorded = false
    return async () => {
      if (!isRecorded) {
        const found = await store.access.find(grant.id)
        if (found === null || found.ended !== null) return
        await record(
          { store, host },
          {
            action: 'access.ended',
            actor,
            session: { id: grant.sessionId, owner: grant.owner },
            detail: { grant: grant.id, why: end.why },
          },
        )
        isRecorded = true
      }
      await store.access.end(grant.id, end)
    }
  }

  async #noteExpired(): Promise<void> {
    const { store, host } = this.#options
    for (;;) {
      const expired = await store.access.listExpired(host, this.#clock.nowUs(), pageLimit)
      for (const grant of expired) {
        // One that ended only just now is on its way already.
        if (this.#held.has(grant.id)) continue
        const end: GrantEnd = { atUs: this.#clock.nowUs(), by: null, why: 'expired' }
        await this.#noting(grant, theApi, end)()
      }
      if (expired.length < pageLimit) return
    }
  }

  /** Of what the service before this one delivered to the last, nobody knows how much that was. */
  async #noteCutViews(): Promise<void> {
    const { store, host } = this.#options
    for (const { id, grantId, kind } of await store.access.listOpenViews(host)) {
      if (this.#views.has(id)) continue
      const grant = await store.access.find(grantId)
      if (grant === null) continue
      const nothing = { firstSeq: null, lastSeq: null, bytes: 0 }
      await record(
        { store, host },
        {
          action: 'content.delivered',
          actor: theApi,
          session: { id: grant.sessionId, owner: grant.owner },
          detail: { view: id, grant: grantId, kind, ...nothing, durationMs: null, complete: false },
        },
      )
      await store.access.endView(id, { atUs: this.#clock.nowUs(), ...nothing, isComplete: false })
    }
  }
}

function describeEnd({ by, why }: GrantEnd): string {
  const over = 'your access to this session has ended'
  switch (why) {
    case 'ended':
      return by === null ? over : `${over}: ${by} ended it`
    case 'expired':
      return `${over}: its time is over`
    case 'demoted':
      return `${over}: you are no admin any more`
  }
}
