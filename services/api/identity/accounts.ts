// Which account a uid was when somebody first used the service with it. Machines give numbers and names out again; whoever has
// got one of somebody else's is a stranger, until an admin says whose it is now.

import type { AuditActor } from '@teleclaude/core/audit.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { BoundAccount, Store } from '@teleclaude/store/contract.ts'
import { actorOf, record } from '../audit/record.ts'

type Where = { readonly store: Pick<Store, 'accounts' | 'audit'>; readonly host: string }

export type Standing =
  | { readonly kind: 'bound'; readonly account: BoundAccount }
  /** Neither the uid nor the name has been seen before. */
  | { readonly kind: 'new' }
  /** `was`: what was bound before, of the uid or of the name. */
  | { readonly kind: 'stranger'; readonly was: BoundAccount }

export class Accounts {
  readonly #where: Where
  /** All that there have been: what they were is not forgotten when they become others. */
  #accounts: readonly BoundAccount[]
  #byUid: ReadonlyMap<number, readonly BoundAccount[]> = new Map()
  #byName: ReadonlyMap<string | null, readonly BoundAccount[]> = new Map()
  #writing: Promise<void> = Promise.resolve()
  #onRebound: () => void = () => undefined

  private constructor(where: Where, accounts: readonly BoundAccount[]) {
    this.#where = where
    this.#accounts = accounts
    this.#index()
  }

  /** @throws StoreError */
  static async load(where: Where): Promise<Accounts> {
    return new Accounts(where, await where.store.accounts.list(where.host))
  }

  /** Whether somebody has used the service with this uid, whoever has it now. */
  isBound(uid: number): boolean {
    return this.#byUid.has(uid)
  }

  /** In their order. */
  uids(): readonly number[] {
    return [...this.#byUid.keys()].toSorted((one, other) => one - other)
  }

  /** @param osUser the uid's account now, null where it has none */
  standingOf(uid: number, osUser: string | null): Standing {
    const ofUid = this.#byUid.get(uid) ?? []
    const account = ofUid.find((known) => known.osUser === osUser && !known.retired)
    if (account !== undefined) return { kind: 'bound', account }
    // What it was last says most.
    const known = [...ofUid, ...(osUser === null ? [] : (this.#byName.get(osUser) ?? []))]
    const was = known.find(({ retired }) => !retired) ?? known[0]
    return was === undefined ? { kind: 'new' } : { kind: 'stranger', was }
  }

  /** Binds the caller's uid to their account where it is the first time. Resolves once that is durable.
   *  @throws StoreError: then they must not be served */
  async bind(caller: Caller): Promise<void> {
    const { uid } = caller.credentials
    if (caller.person === null || this.isBound(uid)) return
    await this.#oneByOne(() => this.#bindFirst(caller))
  }

  async #bindFirst(caller: Caller): Promise<void> {
    const { osUser, person } = caller
    const { uid } = caller.credentials
    const standing = this.standingOf(uid, osUser)
    if (standing.kind === 'bound') return
    // Another uid has got the name meanwhile.
    if (standing.kind === 'stranger') {
      throw new ProblemError(
        'not-permitted',
        `cannot serve you now: ${osUser} is being bound to uid ${standing.was.uid}`,
      )
    }
    const actor = actorOf(caller)
    const account = { uid, osUser, boundAtUs: nowUs() }
    await record(this.#where, { action: 'account.bound', actor, session: null, detail: { uid, osUser, person } })
    await this.#where.store.accounts.bind(this.#where.host, account)
    this.#remember(account)
  }

  /** From now on the uid is that account. Resolves once that is on the record and durable. @throws StoreError */
  async rebind(actor: AuditActor, account: Pick<BoundAccount, 'uid' | 'osUser'>): Promise<void> {
    await this.#oneByOne(() => this.#rebind(actor, account))
    this.#onRebound()
  }

  async #rebind(actor: AuditActor, { uid, osUser }: Pick<BoundAccount, 'uid' | 'osUser'>): Promise<void> {
    const { store, host } = this.#where
    const account = { uid, osUser, boundAtUs: nowUs() }
    const standing = this.standingOf(uid, osUser)
    const was = standing.kind === 'stranger' ? { wasUid: standing.was.uid, wasOsUser: standing.was.osUser } : {}
    await record(this.#where, { action: 'account.rebound', actor, session: null, detail: { uid, osUser, ...was } })
    await store.accounts.rebind(host, account)
    this.#remember(account)
  }

  /** Of two at the same time the later one has to see what the earlier one bound: a name is one uid's. */
  #oneByOne(write: () => Promise<void>): Promise<void> {
    const written = this.#writing.then(write)
    this.#writing = written.catch(() => undefined)
    return written
  }

  onRebound(listener: () => void): void {
    this.#onRebound = listener
  }

  /** As `rebind` of the store does it. */
  #remember(account: Omit<BoundAccount, 'retired'>): void {
    const { uid, osUser } = account
    const others = this.#accounts.filter((known) => known.uid !== uid || known.osUser !== osUser)
    const isSuperseded = (known: BoundAccount) => known.uid === uid || (osUser !== null && known.osUser === osUser)
    const kept = others.map((known) => (isSuperseded(known) ? { ...known, retired: true } : known))
    this.#accounts = [...kept, { ...account, retired: false }]
    this.#index()
  }

  #index(): void {
    this.#byUid = Map.groupBy(this.#accounts, ({ uid }) => uid)
    this.#byName = Map.groupBy(this.#accounts, ({ osUser }) => osUser)
  }
}
