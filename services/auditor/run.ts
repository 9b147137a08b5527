// The auditor at work: ships whatever comes, for as long as it runs. LISTEN is a hint, the sweep is the truth.

import { DirectoryError } from '@teleclaude/config/directories.ts'
import { type InstanceLock, type Store, StoreError, type StoreTarget } from '@teleclaude/store/contract.ts'
import { acquireInstanceLock, listenForAudit, openStore } from '@teleclaude/store/open.ts'
import { schedule } from 'node-cron'
import type { Logger } from 'pino'
import { AuditAlarm } from './alarm.ts'
import { AuditFile } from './audit-file.ts'
import { Bell } from './bell.ts'
import { Heart } from './heartbeat.ts'
import { type Shipping, shipBatch } from './shipping.ts'

const everyTwoSeconds = '*/2 * * * * *'

export type AuditorOptions = {
  readonly target: StoreTarget
  readonly host: string
  /** Of the audit files. */
  readonly directory: string
  readonly log: Logger
}

/** Until `stop` is aborted: the batch under way is finished then.
 *  @throws StoreError 'lock-held' where another auditor of this host runs, and for a database that is not ours to read */
export async function runAuditor(options: AuditorOptions, stop: AbortSignal): Promise<void> {
  const { directory, host, log } = options
  const bell = new Bell()
  stop.addEventListener('abort', () => bell.ring())
  const heart = new Heart(directory, host, log)
  const sweep = schedule(everyTwoSeconds, () => {
    bell.ring()
    return heart.beat()
  })
  await using link = new Link(options, bell)
  try {
    while (!stop.aborted) {
      try {
        const shipped = await shipBatch(await link.open())
        if (shipped > 0) log.debug({ shipped }, 'shipped')
        await heart.become('shipping')
        if (shipped > 0) continue
      } catch (error) {
        await heart.become(...stateAfter(error))
      }
      await bell.rung()
      link.throwIfLost()
    }
  } finally {
    await sweep.destroy()
  }
  await heart.become('stopped')
}

/** Ships all there is.
 *  @returns how many entries that were */
export async function shipOnce(options: AuditorOptions): Promise<number> {
  await using link = new Link(options, null)
  const shipping = await link.open()
  let total = 0
  for (;;) {
    const shipped = await shipBatch(shipping)
    if (shipped === 0) return total
    total += shipped
  }
}

const passing = ['unavailable', 'schema-older', 'not-writable']

/** @throws what no waiting mends */
function stateAfter(error: unknown): ['alarm' | 'waiting', Error] {
  if (error instanceof AuditAlarm) return ['alarm', error]
  if (error instanceof StoreError && passing.includes(error.code)) return ['waiting', error]
  if (error instanceof DirectoryError || (error instanceof Error && 'syscall' in error)) return ['waiting', error]
  throw error
}

/** The auditor's lock, the store and the file, opened when they can be. */
class Link implements AsyncDisposable {
  readonly #options: AuditorOptions
  readonly #bell: Bell | null
  readonly #file: AuditFile
  readonly #closing: (() => Promise<void>)[] = []
  #lock: InstanceLock | null = null
  #store: Store | null = null
  #lost: StoreError | null = null

  /** @param bell rung at each hint; null: nobody listens */
  constructor(options: AuditorOptions, bell: Bell | null) {
    this.#options = options
    this.#bell = bell
    this.#file = new AuditFile(options.directory, options.host)
    this.#closing.push(() => this.#file.close())
  }

  async open(): Promise<Shipping> {
    this.#lock ??= await this.#acquireLock()
    this.#store ??= await this.#openStore(this.#lock)
    return { store: this.#store, lock: this.#lock, file: this.#file, host: this.#options.host, log: this.#options.log }
  }

  throwIfLost(): void {
    if (this.#lost !== null) throw this.#lost
  }

  async #acquireLock(): Promise<InstanceLock> {
    const { host, target } = this.#options
    // A host's name has no space in it: no daemon's lock is called like this.
    const lock = await acquireInstanceLock(target, {
      host: `auditor of ${host}`,
      pid: process.pid,
      program: 'teleclaude auditor',
    })
    this.#closing.push(() => lock.release())
    const lose = (error: StoreError) => {
      this.#lost = error
      this.#bell?.ring()
    }
    lock.lost.then(lose, lose)
    return lock
  }

  async #openStore(lock: InstanceLock): Promise<Store> {
    const { host, log, target } = this.#options
    const store = await openStore(target, { lock })
    this.#closing.push(() => store.close())
    const bell = this.#bell
    if (bell !== null) {
      const listening = await listenForAudit(target, host, {
        onHint: () => bell.ring(),
        onState: (state) => log.debug(state, state.listening ? 'listening' : 'not listening: the sweep goes on'),
      })
      this.#closing.push(() => listening.close())
    }
    return store
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closing.reverse()) await close()
  }
}
