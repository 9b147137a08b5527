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
  readonly #byUid = new Map<number, BoundAccount>()
  readonly #byName = new Map<string, BoundAccount>()
  #writing: Promise<void> = Promise.resolve()
  #onRebound: () => void = () => undefined

  private constructor(where: Where, accounts: readonly BoundAccount[]) {
    this.#where = where
    for (const account of accounts) this.#remember(account)
  }

  /** @throws StoreError */
  static async load(where: Where): Promise<Accounts> {
    return new Accounts(where, await where.store.accounts.list(where.host))
  }

  /** Whether somebody has used the service with this uid, whoever has it now. */
  isBound(uid: number): boolean {
    return this.#byUid.has(uid)
  }

  all(): readonly BoundAccount[] {
    return [...this.#byUid.values()].toSorted((one, other) => one.uid - other.uid)
  }

  /** What is known of the uid, or else of the name. */
  bindingOf(uid: number, osUser: string | null): BoundAccount | null {
    return this.#byUid.get(uid) ?? (osUser === null ? null : (this.#byName.get(osUser) ?? null))
  }

  /** @param osUser the uid's account now, null where it has none */
  standingOf(uid: number, osUser: string | null): Standing {
    const account = this.#byUid.get(uid)
    if (account !== undefined) {
      return account.osUser === osUser && !account.retired
        ? { kind: 'bound', account }
        : { kind: 'stranger', was: account }
    }
    const namesake = osUser === null ? undefined : this.#byName.get(osUser)
    return namesake === undefined ? { kind: 'new' } : { kind: 'stranger', was: namesake }
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
    this.#remember({ ...account, retired: false })
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
    const namesake = osUser === null ? undefined : this.#byName.get(osUser)
    if (namesake !== undefined && namesake.uid !== uid) this.#remember({ ...namesake, retired: true })
    this.#remember({ ...account, retired: false })
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

  #remember(account: BoundAccount): void {
    const before = this.#byUid.get(account.uid)
    if (before?.osUser && this.#byName.get(before.osUser)?.uid === account.uid) this.#byName.delete(before.osUser)
    this.#byUid.set(account.uid, account)
    if (account.osUser !== null && !account.retired) this.#byName.set(account.osUser, account)
  }
}
