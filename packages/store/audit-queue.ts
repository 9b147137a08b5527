// Group commit of the audit log, the same for both engines: whoever asks while a transaction is under way shares the next one.

import { type AuditEvent, encodeAuditEntry } from '@teleclaude/core/audit.ts'
import { requireHost } from './values.ts'

const maxGroupBytes = 4 * 1024 * 1024

/** An event that has no number yet. */
export type PendingEvent = { readonly event: AuditEvent; readonly atUs: number }

/** Appends in order, all or none, and resolves to the sequence number of the last once they are durable. */
export type CommitEvents = (host: string, pending: readonly PendingEvent[]) => Promise<number>

type Waiting = {
  readonly pending: readonly PendingEvent[]
  readonly bytes: number
  readonly resolve: (seq: number) => void
  readonly reject: (error: unknown) => void
}

/** @returns `append` of the contract */
export function createAuditQueue(commit: CommitEvents) {
  const queues = new Map<string, Waiting[]>()

  async function drain(host: string, queue: Waiting[]): Promise<void> {
    while (queue.length > 0) {
      const group = takeGroup(queue)
      const pending = group.flatMap((waiting) => waiting.pending)
      try {
        let seq = (await commit(host, pending)) - pending.length
        for (const waiting of group) {
          seq += waiting.pending.length
          waiting.resolve(seq)
        }
      } catch (error) {
        for (const waiting of group) waiting.reject(error)
      }
    }
    queues.delete(host)
  }

  return async (host: string, events: readonly [AuditEvent, ...AuditEvent[]], atUs: number): Promise<number> => {
    requireHost(host)
    // What can't be recorded under any number is refused here, where it fails nobody else.
    const bytes = events.reduce(
      (sum, event) => sum + encodeAuditEntry({ ...event, host, seq: Number.MAX_SAFE_INTEGER, atUs }).length,
      0,
    )
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const waiting = { pending: events.map((event) => ({ event, atUs })), bytes, resolve, reject }
    const queue = queues.get(host)
    if (queue === undefined) {
      const started = [waiting]
      queues.set(host, started)
      // Not at once: whoever else asks in the same turn of the event loop is in the same group.
      setImmediate(() => drain(host, started))
    } else queue.push(waiting)
    return promise
  }
}

/** At least one. */
function takeGroup(queue: Waiting[]): readonly Waiting[] {
  let bytes = 0
  const end = queue.findIndex((waiting, index) => {
    bytes += waiting.bytes
    return index > 0 && bytes > maxGroupBytes
  })
  return queue.splice(0, end === -1 ? queue.length : end)
}

/** The entries' bytes, numbered from the one after `headSeq`. */
export function encodeEntries(
  host: string,
  pending: readonly PendingEvent[],
  headSeq: number,
): readonly { readonly seq: number; readonly atUs: number; readonly bytes: Uint8Array }[] {
  return pending.map(({ event, atUs }, index) => {
    const seq = headSeq + 1 + index
    return { seq, atUs, bytes: encodeAuditEntry({ ...event, host, seq, atUs }) }
  })
}

/** What tryTampering adds, to have something to change; nobody ever reads it. */
export const probe: PendingEvent = {
  event: { action: 'service.started', actor: { kind: 'service', name: 'api' }, session: null, detail: { probe: true } },
  atUs: 0,
}

/** Bytes of the entries that one read returns, before the last of them. */
export const maxReadBytes = 4 * 1024 * 1024
