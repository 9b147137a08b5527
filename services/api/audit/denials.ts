// Refused requests go on the record, but nobody may fill it with them: a few per caller and minute, and not many in all.
// What is left out is counted, and the count stands in the next entry.

import type { AuditEvent } from '@teleclaude/core/audit.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { type AuditedHost, type CallerActor, record } from './record.ts'

const windowMs = 60_000
const maxPerUid = 5
/** A user with a range of subordinate ids (subuid(5)) can call as 65536 uids. */
const maxInAll = 60

export type Denial = {
  readonly actor: CallerActor
  /** The action of the policy, or `connect` for who is not served at all. */
  readonly request: string
  readonly reason: string
  readonly session: AuditEvent['session']
}

export class Denials {
  readonly #where: AuditedHost
  readonly #log: Logger
  readonly #nowMs: () => number
  readonly #recorded = new Map<number, number>()
  #windowEndMs = 0
  #total = 0
  #leftOut = 0

  /** @param nowMs a clock that never goes back */
  constructor(where: AuditedHost, log: Logger, nowMs = () => performance.now()) {
    this.#where = where
    this.#log = log
    this.#nowMs = nowMs
  }

  /** Nobody waits for it: the refusal itself holds without. */
  note({ actor, request, reason, session }: Denial): void {
    if (this.#nowMs() >= this.#windowEndMs) {
      this.#windowEndMs = this.#nowMs() + windowMs
      this.#recorded.clear()
      this.#total = 0
    }
    const before = this.#recorded.get(actor.uid) ?? 0
    if (before >= maxPerUid || this.#total >= maxInAll) {
      this.#leftOut += 1
      return
    }
    this.#recorded.set(actor.uid, before + 1)
    this.#total += 1
    const leftOut = this.#leftOut
    this.#leftOut = 0
    const event: AuditEvent = { action: 'request.denied', actor, session, detail: { request, reason, leftOut } }
    record(this.#where, event).catch((error: unknown) => {
      this.#leftOut += leftOut + 1
      const level = error instanceof StoreError ? 'warn' : 'error'
      this.#log[level]({ err: error, uid: actor.uid, request, reason }, 'a denial could not be recorded')
    })
  }
}
