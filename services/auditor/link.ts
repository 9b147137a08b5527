// All that the auditor works with, opened when it can be, in this order: its lock, its store, what it remembers, its sinks.

import { auditorNameOf } from '@teleclaude/core/checkpoint.ts'
import { TreeBuilder } from '@teleclaude/core/merkle.ts'
import type { InstanceLock, Store, StoreError } from '@teleclaude/store/contract.ts'
import { listenForAudit, openStore } from '@teleclaude/store/open.ts'
import { makeAuditDirectory, readLastEntry } from './audit-file.ts'
import { type AuditorKey, makeAuditorKey, readAuditorKey } from './auditor-key.ts'
import type { Bell } from './bell.ts'
import { FileSink } from './file-sink.ts'
import type { SaidWord } from './heartbeat.ts'
import { acquireAuditorLock } from './lock.ts'
import { oneLine } from './one-line.ts'
import type { AuditorOptions } from './options.ts'
import { isPassing } from './passing.ts'
import { Shipping } from './shipping.ts'
import type { Sink } from './sink.ts'
import { makeSink } from './sinks.ts'
import { type AuditorState, beginState, readState, startOf, writeState } from './state.ts'
import { Tail } from './tail.ts'
import { VerifiedLog } from './verified-log.ts'

export type Work = {
  readonly store: Store
  readonly lock: InstanceLock
  readonly key: AuditorKey
  readonly tail: Tail
  readonly verified: VerifiedLog
  readonly sinks: readonly Sink[]
  readonly shippings: readonly Shipping[]
  /** Tells the database how this auditor is, where that can be done now. */
  readonly say: (word: SaidWord) => Promise<void>
  /** Takes away what is more than is to be kept. */
  readonly tidy: () => Promise<void>
}

export class Link implements AsyncDisposable {
  readonly options: AuditorOptions
  readonly #bell: Bell | null
  readonly #closing: (() => Promise<void>)[] = []
  #lock: InstanceLock | null = null
  #store: Store | null = null
  #work: Work | null = null
  #lost: StoreError | null = null

  /** @param bell rung at each hint; null: nobody listens */
  constructor(options: AuditorOptions, bell: Bell | null) {
    this.options = options
    this.#bell = bell
  }

  /** Closes the sinks, and begins anew with what is remembered by then.
   *  @param task what is done between the two, by who holds the lock */
  async interrupt(task: (store: Store) => Promise<void>): Promise<void> {
    for (const sink of this.#work?.sinks ?? []) await sink.close()
    this.#work = null
    if (this.#store !== null) await task(this.#store)
  }

  async open(): Promise<Work> {
    if (this.#work !== null) return this.#work
    this.#lock ??= await this.#acquireLock()
    this.#store ??= await this.#openStore(this.#lock)
    this.#work = await this.#begin(this.#lock, this.#store)
    return this.#work
  }

  throwIfLost(): void {
    if (this.#lost !== null) throw this.#lost
  }

  async #acquireLock(): Promise<InstanceLock> {
    const lock = await acquireAuditorLock(this.options)
    this.#closing.push(() => lock.release())
    const lose = (error: StoreError) => {
      this.#lost = error
      this.#bell?.ring()
    }
    lock.lost.then(lose, lose)
    return lock
  }

  async #openStore(lock: InstanceLock): Promise<Store> {
    const { host, log, target } = this.options
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

  async #begin(lock: InstanceLock, store: Store): Promise<Work> {
    const { directory, host, log: logger, sinks: configured } = this.options
    await makeAuditDirectory(directory)
    const key = readAuditorKey(directory, host) ?? (await makeAuditorKey(directory, host))
    const state = await this.#recall()
    const { frontier } = state.verified
    const verified = new VerifiedLog(host, { size: frontier.size, root: TreeBuilder.from(frontier).root() })
    const tail = new Tail(state, await readFloor(directory, host), { directory, key, store, logger, log: verified })
    const startAfter = startOf(state)
    const surroundings = { directory, store, log: verified, logger, startAfter }
    const sinks = configured.map((config) => makeSink(config, configured, surroundings))
    const resend = state.accepted?.resend ?? null
    const shippings = sinks.map(
      (sink) => new Shipping({ sink, store, lock, log: verified, logger, resend, startAfter }),
    )
    const say = async (word: SaidWord) => {
      try {
        const message = word.message === null ? null : oneLine(word.message)
        await store.auditor.say(host, { ...word, message, vkey: key.vkey, verifiedSeq: tail.size })
      } catch (error) {
        if (!isPassing(error)) throw error
      }
    }
    const tidy = async () => {
      for (const sink of sinks) if (sink instanceof FileSink) await sink.tidy()
    }
    return { store, lock, key, tail, verified, sinks, shippings, say, tidy }
  }

  async #recall(): Promise<AuditorState> {
    const { directory, host, log } = this.options
    const known = await readState(directory, host)
    if (known !== null) return known
    log.warn(
      { directory, auditor: auditorNameOf(host) },
      'remembers nothing of the audit log: verifying it from its first entry on',
    )
    const state = beginState(host)
    await writeState(directory, state)
    return state
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sink of this.#work?.sinks ?? []) await sink.close()
    for (const close of this.#closing.reverse()) await close()
  }
}

/** Entries that there have been for sure: they are in our file. What is the matter with that, the file sink says. */
async function readFloor(directory: string, host: string): Promise<number> {
  const last = await readLastEntry(directory, host).catch(() => null)
  return last?.seq ?? 0
}
