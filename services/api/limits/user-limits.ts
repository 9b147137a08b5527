// What each user has in use of the service, by uid: connections, requests, streams. Uids that are nobody's share one more budget
// among them, because a user with subordinate ids (subuid(5)) can call as 65536 of them. Pure: it knows neither sockets nor names.

import type { UsageLimits } from '@teleclaude/config/load.ts'
import type { PeerCredentials } from '@teleclaude/core/caller.ts'
import { TokenBucket } from './token-bucket.ts'

/** How long a request waits for its turn before it is refused. */
const patienceMs = 1_000
/** What all strangers have together, in users: one of them alone does not leave the others without anything. */
const strangersShare = 2
/** What a stranger who comes anew costs the strangers: the look-up of their account blocks everybody, and may take long. */
const introductionTokens = 10
/** Refusals that are explained to the peer, a second. More are closed without a word, which is cheap. */
const explanationsPerSecond = 10
/** How often it is noted that somebody is refused. */
const noteEveryMs = 60_000
const forgetEveryMs = 10_000
/** For how long after a connection was closed without a word others are expected. */
const floodMs = 1_000

type Peer = Pick<PeerCredentials, 'uid' | 'pid'>

export type LimitsOptions = {
  /** As they are now. */
  readonly current: () => UsageLimits
  /** Whether the uid has been somebody's, or is exempt: it is no stranger. */
  readonly isKnown: (uid: number) => boolean
  /** Connections of everybody together that the process can have; nobody alone gets more than a quarter. */
  readonly capacity: number
  /** Said now and then of who is refused, and not each time. */
  readonly note: (peer: Peer, reason: string) => void
  /** A clock that never goes back. */
  readonly nowMs?: () => number
}

export type Refusal = {
  readonly refused: true
  /** Which limit it is, for people: goes on after "cannot serve you now: ". */
  readonly reason: string
  readonly retryAfterS: number
  /** Whether the peer is told. */
  readonly explain: boolean
}

/** A connection that is open, and counted until it is closed. */
export type Lease = {
  /** How long the request has to wait, in ms. The first one was paid for with the connection. */
  request(tokens: number): number | Refusal
  /** Takes tokens for what has been done, or can't be refused any more. */
  charge(tokens: number): void
  /** Null where it may; to be closed as often as it was opened. */
  openStream(): Refusal | null
  closeStream(): void
  close(): void
}

/** What one uid, or all strangers, have in use. */
class Budget {
  connections = 0
  streams = 0
  readonly requests = new TokenBucket()
  readonly explanations = new TokenBucket()
  refusals = 0
  notedMs = Number.NEGATIVE_INFINITY

  isIdle(nowMs: number): boolean {
    const isQuiet = this.requests.isFull(nowMs) && nowMs - this.notedMs >= noteEveryMs
    return this.connections === 0 && this.streams === 0 && isQuiet
  }
}

/** A budget that counts for a uid, and what it may hold now. */
type Share = {
  readonly budget: Budget
  readonly whose: string
  readonly connections: number
  readonly perSecond: number
}
/** The budget that has no room, and why. */
type Full = { readonly budget: Budget; readonly reason: string; readonly afterMs?: number }

const oneUser = 'one user may'
const allStrangers = 'all users together whom this service does not know may'

export class Limits {
  readonly #options: LimitsOptions
  readonly #nowMs: () => number
  readonly #byUid = new Map<number, Budget>()
  readonly #strangers = new Budget()
  #floodedUntilMs = Number.NEGATIVE_INFINITY
  #forgetAtMs = 0

  constructor(options: LimitsOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? (() => performance.now())
  }

  /** How many uids are remembered. */
  get size(): number {
    return this.#byUid.size
  }

  /** Whether connections are being closed without a word. */
  get isFlooded(): boolean {
    return this.#nowMs() < this.#floodedUntilMs
  }

  /** Whether a connection of the peer would be closed without a word: the cheapest of all ways to refuse it. */
  drops(peer: Peer): boolean {
    const full = this.#findFull(peer.uid, this.#budgetOf(peer.uid))
    if (full === null || this.#mayExplain(full.budget)) return false
    this.#refuse(peer, full)
    return true
  }

  /** One more connection of the peer. */
  connect(peer: Peer): Lease | Refusal {
    const { uid } = peer
    const isNew = !this.#byUid.has(uid)
    const own = this.#budgetOf(uid)
    const full = this.#findFull(uid, own)
    if (full !== null) return this.#refuse(peer, full)
    this.#forgetIdle()
    this.#byUid.set(uid, own)
    const counted = this.#sharesOf(uid, own)
    for (const { budget } of counted) budget.connections += 1
    const waitMs = this.#waitMs(counted)
    this.#take(counted, 1)
    const strangers = counted.filter(({ budget }) => budget === this.#strangers)
    if (isNew) this.#take(strangers, introductionTokens - 1)
    let prepaidFromMs: number | null = this.#nowMs() + waitMs
    return {
      request: (tokens) => {
        const shares = this.#sharesOf(uid, own)
        if (prepaidFromMs !== null) {
          const restMs = Math.max(0, prepaidFromMs - this.#nowMs())
          prepaidFromMs = null
          this.#take(shares, tokens - 1)
          return restMs
        }
        const late = this.#findLate(shares)
        if (late !== null) return this.#refuse(peer, late)
        const turnMs = this.#waitMs(shares)
        this.#take(shares, tokens)
        return turnMs
      },
      charge: (tokens) => this.#take(this.#sharesOf(uid, own), tokens),
      openStream: () => {
        const { streams } = this.#options.current()
        if (own.streams >= streams) {
          return this.#refuse(peer, { budget: own, reason: `${oneUser} have ${streams} streams at the same time` })
        }
        own.streams += 1
        return null
      },
      closeStream: () => {
        own.streams -= 1
      },
      close: () => {
        for (const { budget } of counted) budget.connections -= 1
      },
    }
  }

  #budgetOf(uid: number): Budget {
    return this.#byUid.get(uid) ?? new Budget()
  }

  /** What counts for the uid: who has become known leaves the strangers. */
  #sharesOf(uid: number, own: Budget): readonly Share[] {
    const { current, capacity, isKnown } = this.#options
    const { requestsPerSecond } = current()
    const connections = Math.min(current().connections, Math.floor(capacity / 4))
    const ownShare = { budget: own, whose: oneUser, connections, perSecond: requestsPerSecond }
    if (isKnown(uid)) return [ownShare]
    const strangers = {
      budget: this.#strangers,
      whose: allStrangers,
      connections: connections * strangersShare,
      perSecond: requestsPerSecond * strangersShare,
    }
    return [strangers, ownShare]
  }

  /** What is in the way of another connection. */
  #findFull(uid: number, own: Budget): Full | null {
    const shares = this.#sharesOf(uid, own)
    const full = shares.find(({ budget, connections }) => budget.connections >= connections)
    if (full === undefined) return this.#findLate(shares)
    return { budget: full.budget, reason: `${full.whose} have ${full.connections} connections at the same time` }
  }

  /** What is in the way of another request. */
  #findLate(shares: readonly Share[]): Full | null {
    const nowMs = this.#nowMs()
    for (const { budget, whose, perSecond } of shares) {
      const waitMs = budget.requests.waitMs(perSecond, nowMs)
      if (waitMs <= patienceMs) continue
      return { budget, reason: `${whose} ask ${perSecond} times a second`, afterMs: waitMs - patienceMs }
    }
    return null
  }

  #mayExplain({ explanations }: Budget): boolean {
    return explanations.waitMs(explanationsPerSecond, this.#nowMs()) === 0
  }

  #refuse(peer: Peer, { budget, reason, afterMs = 0 }: Full): Refusal {
    const nowMs = this.#nowMs()
    // Those of strangers are noted together: they would keep the record from others by coming as many uids.
    const noted = this.#options.isKnown(peer.uid) ? budget : this.#strangers
    noted.refusals += 1
    if (nowMs - noted.notedMs >= noteEveryMs) {
      const times = noted.refusals > 1 ? ` (refused ${noted.refusals} times since the last note)` : ''
      this.#options.note(peer, `${reason}${times}`)
      noted.notedMs = nowMs
      noted.refusals = 0
    }
    const explain = this.#mayExplain(budget)
    if (explain) budget.explanations.take(1, explanationsPerSecond, nowMs)
    else this.#floodedUntilMs = nowMs + floodMs
    return { refused: true, reason, retryAfterS: Math.max(1, Math.ceil(afterMs / 1_000)), explain }
  }

  #waitMs(shares: readonly Share[]): number {
    const nowMs = this.#nowMs()
    return Math.max(...shares.map(({ budget, perSecond }) => budget.requests.waitMs(perSecond, nowMs)))
  }

  #take(shares: readonly Share[], tokens: number): void {
    const nowMs = this.#nowMs()
    for (const { budget, perSecond } of shares) budget.requests.take(tokens, perSecond, nowMs)
  }

  /** No more uids are remembered than those that have something open, or had it in the last seconds. */
  #forgetIdle(): void {
    const nowMs = this.#nowMs()
    if (nowMs < this.#forgetAtMs) return
    this.#forgetAtMs = nowMs + forgetEveryMs
    for (const [uid, budget] of this.#byUid) if (budget.isIdle(nowMs)) this.#byUid.delete(uid)
  }
}
