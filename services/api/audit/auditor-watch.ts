// What the api knows of its host's auditor: how far it has cosigned, and what it found wrong. What it says of itself goes on the
// record here, since nobody else may append to the log; and its alarms are said loudly.

import { type AuditAction, type AuditEvent, parseAuditEntry } from '@teleclaude/core/audit.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import type { Alarm, AuditorWord, StoredCheckpoint } from '@teleclaude/store/audit-contract.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { isCosigned, listLogKeys } from './checkpoints.ts'
import { record, theApi } from './record.ts'

/** For what no hint has come of. */
const sweepMs = 5_000
/** An auditor says every two seconds how it is. */
export const staleAfterMs = 30_000
/** As many as an auditor's alarms are listed. */
const maxRecorded = 1_000

export type AuditorWatchOptions = {
  readonly store: Pick<Store, 'audit' | 'auditor'>
  readonly host: string
  readonly log: Logger
  /** As configured; null: the one that the database names. */
  readonly trustedKey: () => string | null
}

export class AuditorWatch {
  readonly #options: AuditorWatchOptions
  #alarms: readonly Alarm[] = []
  #word: AuditorWord | null = null
  #saidFault: string | null = null
  #cosignedSize = 0
  readonly #recorded = new Set<string>()
  #next = Promise.withResolvers<void>()
  #looking: Promise<void> | null = null
  #again = false
  readonly #sweep = setInterval(() => this.hint(), sweepMs)

  constructor(options: AuditorWatchOptions) {
    this.#options = options
    this.#sweep.unref()
  }

  /** Those that nobody has acknowledged. */
  get alarms(): readonly Alarm[] {
    return this.#alarms
  }

  /** Up to which entry the log is cosigned, as far as is known here. */
  get cosignedSize(): number {
    return this.#cosignedSize
  }

  /** The only key with which its signatures count, where the configuration says one. */
  get trustedKey(): string | null {
    return this.#options.trustedKey()
  }

  /** Why whoever signs here is not believed. */
  get fault(): string | null {
    if (this.trustedKey === null || this.#word === null || this.#word.vkey === this.trustedKey) return null
    return "the database names another auditor's key than audit.auditor_key: its signatures do not count"
  }

  /** Resolves when it is worth asking again. */
  next(): Promise<void> {
    return this.#next.promise
  }

  /** The auditor may have done something. Nobody waits for it. */
  hint(): void {
    this.look().catch((error: unknown) => {
      const level = error instanceof StoreError ? 'warn' : 'error'
      this.#options.log[level]({ err: error }, 'cannot look after the auditor now')
    })
  }

  /** Resolves after a look that began after the call. @throws StoreError */
  look(): Promise<void> {
    if (this.#looking !== null) {
      this.#again = true
      return this.#looking
    }
    this.#looking = this.#lookUntilDone().finally(() => {
      this.#looking = null
    })
    return this.#looking
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweep)
    await this.#looking?.catch(() => undefined)
    this.#wake()
  }

  async #lookUntilDone(): Promise<void> {
    do {
      this.#again = false
      await this.#look()
    } while (this.#again)
  }

  async #look(): Promise<void> {
    const { store, host } = this.#options
    const [word, alarms, cosigned] = await Promise.all([
      store.auditor.lastWord(host),
      store.auditor.listAlarms(host, { unacknowledged: true }),
      store.audit.findCheckpoint(host, 'cosigned'),
    ])
    // Before anything that could fail: who asks whether all is calm has to know at once.
    this.#alarms = alarms
    this.#word = word
    this.#sayFault()
    if (cosigned !== null) await this.#noteCosigned(cosigned)
    this.#wake()
    if (word !== null) await this.#recordStart(word)
    for (const alarm of alarms) await this.#recordAlarm(alarm)
  }

  #sayFault(): void {
    const { fault } = this
    if (fault !== null && fault !== this.#saidFault) this.#options.log.error({ found: this.#word?.vkey }, fault)
    this.#saidFault = fault
  }

  async #noteCosigned(cosigned: StoredCheckpoint): Promise<void> {
    const auditorKey = this.trustedKey ?? this.#word?.vkey
    if (auditorKey === undefined || cosigned.size <= this.#cosignedSize) return
    const { store, host } = this.#options
    const logKeys = (await listLogKeys(store, host)).map((key) => key.vkey)
    if (isCosigned(cosigned, { host, logKeys, auditorKey })) this.#cosignedSize = cosigned.size
  }

  async #recordStart({ vkey, startedAtUs }: AuditorWord): Promise<void> {
    const startedAt = formatInstant(startedAtUs)
    const event: AuditEvent = { action: 'auditor.started', actor: theApi, session: null, detail: { vkey, startedAt } }
    await this.#recordOnce(event, startedAtUs, (detail) => detail.vkey === vkey && detail.startedAt === startedAt)
  }

  async #recordAlarm({ id, kind, fromSeq, toSeq, message, atUs }: Alarm): Promise<void> {
    const detail = { alarm: id, kind, fromSeq, toSeq }
    const event: AuditEvent = { action: 'alarm.raised', actor: theApi, session: null, detail }
    if (!(await this.#recordOnce(event, atUs, (found) => found.alarm === id))) return
    this.#options.log.error(detail, `ALARM: the auditor found the audit log wrong: ${message}`)
  }

  /** Whether it was not on the record yet: a restart of the api is no news of the auditor. */
  async #recordOnce(
    event: AuditEvent,
    sinceUs: number,
    isIt: (detail: AuditEvent['detail']) => boolean,
  ): Promise<boolean> {
    const key = JSON.stringify(event)
    if (this.#recorded.has(key)) return false
    const isThere = await this.#isRecorded(event.action, sinceUs, isIt)
    if (!isThere) await record(this.#options, event)
    this.#recorded.add(key)
    return !isThere
  }

  async #isRecorded(
    action: AuditAction,
    sinceUs: number,
    isIt: (detail: AuditEvent['detail']) => boolean,
  ): Promise<boolean> {
    const { store, host } = this.#options
    const found = await store.audit.find(host, { scope: { kind: 'all' }, action, sinceUs, limit: maxRecorded })
    return found.some(({ bytes }) => {
      const entry = parseAuditEntry(bytes)
      return entry !== null && isIt(entry.detail)
    })
  }

  #wake(): void {
    const { resolve } = this.#next
    this.#next = Promise.withResolvers<void>()
    resolve()
  }
}
