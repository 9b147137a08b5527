// Binds a session's transcript to the audit log: entries hold the hash over all of its chunks, a range each, so that nobody can
// exchange or shorten a recording afterwards without that being found.

import { setImmediate } from 'node:timers/promises'
import type { AuditEvent } from '@teleclaude/core/audit.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { RangeHash, type SealedRange } from './range-hash.ts'
import { type AuditedHost, record, theApi } from './record.ts'

/** Of output. */
const sealAfterBytes = 4 * 1024 * 1024
export const sealAfterMs = 5 * 60_000
const pageBytes = 1024 * 1024
/** What has to be read again is sealed in ranges of this many bytes, or a session that writes faster than that would never be. */
const maxReadBytes = 64 * 1024 * 1024

type Sealing = AuditedHost & { readonly store: Pick<Store, 'audit' | 'transcripts'> }

/** Of a session, while its runner is here. */
export class TranscriptSeal {
  readonly #id: SessionId
  /** Over what is durable and not sealed; null where that has to be read first. */
  #range: RangeHash | null
  /** The newest durable chunk. */
  #newestSeq: number
  #unsealedBytes = 0
  /** Since when something waits to be sealed. */
  #sinceMs: number | null = null
  #turn: Promise<unknown> = Promise.resolve()
  #isSealing = false

  /** @param newestSeq what is durable when nothing of the session has come yet */
  constructor(id: SessionId, newestSeq: number) {
    this.#id = id
    this.#newestSeq = newestSeq
    this.#range = newestSeq === 0 ? new RangeHash(1) : null
  }

  /** The next chunk that is durable. */
  add(chunk: TranscriptChunk, nowMs: number): void {
    this.#newestSeq = chunk.seq
    this.#sinceMs ??= nowMs
    this.#unsealedBytes += chunk.bytes.length
    const range = this.#range
    // What was read back may have been further than what this process knew to be durable.
    if (range === null || chunk.seq <= range.toSeq) return
    if (chunk.seq === range.toSeq + 1) range.add(chunk)
    else this.#range = null
  }

  isDue(nowMs: number): boolean {
    if (this.#isSealing || this.#sinceMs === null) return false
    return this.#unsealedBytes >= sealAfterBytes || nowMs - this.#sinceMs >= sealAfterMs
  }

  /** Puts what is not sealed yet on the record. @throws StoreError: then it is for the next time */
  seal(sealing: Sealing, subject: AuditEvent['session']): Promise<void> {
    this.#isSealing = true
    return this.#inTurn(async () => {
      const rest = await this.#sealUpToRest(sealing, subject)
      if (rest !== null) await recordSealed(sealing, subject, this.#id, rest)
    }).finally(() => {
      this.#isSealing = false
    })
  }

  /** Has `recordEnd` put it on the record that the session is over, with what was not sealed before; null where nothing is left.
   *  @throws StoreError: then all of it is to be done again */
  sealEnd(
    sealing: Sealing,
    subject: AuditEvent['session'],
    recordEnd: (rest: SealedRange | null) => Promise<unknown>,
  ): Promise<void> {
    return this.#inTurn(async () => {
      const rest = await this.#sealUpToRest(sealing, subject)
      await recordEnd(rest)
      if (rest !== null) await sealing.store.transcripts.markSealed(this.#id, rest.toSeq)
    })
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work).catch((error: unknown) => {
      // Whether it is on the record is not known: from what is known to be, it is read again.
      this.#range = null
      this.#sinceMs ??= performance.now()
      throw error
    })
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** All that is durable but the last range, which is for the caller to record. */
  async #sealUpToRest(sealing: Sealing, subject: AuditEvent['session']): Promise<SealedRange | null> {
    for (;;) {
      const read = this.#range === null ? await this.#readUnsealed(sealing.store) : null
      if (read === null || this.#range !== null) return this.#take()
      await recordSealed(sealing, subject, this.#id, read.finish())
    }
  }

  #take(): SealedRange | null {
    const range = this.#range
    if (range === null || range.isEmpty) return null
    // In one turn with the taking, so that no chunk comes in between.
    this.#range = new RangeHash(range.toSeq + 1)
    this.#sinceMs = null
    this.#unsealedBytes = 0
    return range.finish()
  }

  /** Reads what is durable and not sealed. Either it is all, and what comes is added to it; or it is a part, and is returned. */
  async #readUnsealed(store: Sealing['store']): Promise<RangeHash | null> {
    const range = new RangeHash((await store.transcripts.sealedSeq(this.#id)) + 1)
    let bytes = 0
    while (range.toSeq < this.#newestSeq && bytes < maxReadBytes) {
      const page = await store.transcripts.read(this.#id, { afterSeq: range.toSeq, maxBytes: pageBytes })
      if (page.length === 0) break
      for (const chunk of page) {
        range.add(chunk)
        bytes += chunk.bytes.length
      }
      await setImmediate()
    }
    if (bytes >= maxReadBytes && range.toSeq < this.#newestSeq) return range
    this.#range = range
    return null
  }
}

async function recordSealed(
  sealing: Sealing,
  subject: AuditEvent['session'],
  id: SessionId,
  range: SealedRange,
): Promise<void> {
  await record(sealing, { action: 'transcript.sealed', actor: theApi, session: subject, detail: range })
  await sealing.store.transcripts.markSealed(id, range.toSeq)
}

/** Of an entry that a session is over: what was not sealed before. */
export function sealedDetail(rest: SealedRange | null): AuditEvent['detail'] {
  return {
    sealedFrom: rest?.fromSeq ?? null,
    sealedTo: rest?.toSeq ?? null,
    sealedBytes: rest?.bytes ?? null,
    sealedSha256: rest?.sha256 ?? null,
  }
}
