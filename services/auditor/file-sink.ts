// The sink that is always there: files in the auditor's own directory. They know best what is in them.

import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { AuditAlarm, entries } from './alarm.ts'
import { AuditFile, maxFileBatchBytes, type RotationRule } from './audit-file.ts'
import { confirmed, type Delivery, type Sink } from './sink.ts'
import type { VerifiedLog } from './verified-log.ts'

export type FileSinkOptions = {
  readonly name: string
  readonly directory: string
  readonly rule: RotationRule
  readonly store: Pick<Store, 'audit'>
  readonly log: VerifiedLog
  readonly logger: Logger
  /** Up to which entry the other sinks have everything: nothing after it is taken away. */
  readonly othersHave: () => Promise<number>
}

export class FileSink implements Sink {
  readonly name: string
  readonly confirms = true
  readonly limit = { maxEntries: 5000, maxBytes: maxFileBatchBytes }
  readonly maxPauseMs = 5000
  readonly #options: FileSinkOptions
  readonly #file: AuditFile
  /** Was compared with the log. */
  #known: StoredAuditEntry | null = null

  constructor(options: FileSinkOptions) {
    this.name = options.name
    this.#options = options
    this.#file = new AuditFile(options.directory, options.log.host, options.rule)
  }

  async position(cursor: number): Promise<number> {
    const last = await this.#file.lastEntry(cursor)
    const lastSeq = last?.seq ?? this.#options.rule.startAfter
    if (lastSeq < cursor) {
      const again = entries(lastSeq + 1, cursor)
      const range = { from: lastSeq + 1, to: cursor }
      this.#options.logger.error(range, `${this.#file.path} has lost ${again}, which it had: writing them again`)
    }
    if (last !== null && last !== this.#known && lastSeq <= this.#options.log.size) {
      await this.#requireSame(last)
      this.#known = last
    }
    return lastSeq
  }

  async #requireSame(last: StoredAuditEntry): Promise<void> {
    const { log, store } = this.#options
    const [stored] = await log.read(store.audit, last.seq - 1, { maxEntries: 1, maxBytes: this.limit.maxBytes })
    if (stored !== undefined && Buffer.compare(stored.bytes, last.bytes) === 0) return
    throw new AuditAlarm(
      'sink',
      { from: last.seq, to: last.seq },
      `cannot go on with ${this.#file.path}: entry ${last.seq} of the database is not what the file holds; ` +
        'one of them was changed: keep both, and compare them (auditor verify)',
    )
  }

  async deliver(batch: readonly StoredAuditEntry[]): Promise<Delivery> {
    await this.#file.append(batch)
    this.#known = batch.at(-1) ?? this.#known
    return confirmed
  }

  /** Takes away closed files that are more than are kept. */
  async tidy(): Promise<void> {
    if (this.#options.rule.keepFiles === null) return
    const removed = await this.#file.removeOldest(await this.#options.othersHave())
    for (const path of removed)
      this.#options.logger.info({ path }, 'removed the oldest audit file: it is more than keep_files')
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
