// Group commit of the audit log, the same for both engines: whoever asks while a transaction is under way shares the next one.

import { randomBytes } from 'node:crypto'
import {
  type AuditEvent,
  type AuditIndex,
  auditIndexOf,
  finishAuditEntry,
  maxAuditEntryBytes,
  type PreparedEntry,
  prepareAuditEntry,
} from '@teleclaude/core/audit.ts'
import { commitmentSaltBytes, commitText } from '@teleclaude/core/commitment.ts'
import { leafHash } from '@teleclaude/core/merkle.ts'
import type { AuditHead, AuditText } from './audit-contract.ts'
import { AuditTree, type StoredSubtree } from './audit-tree.ts'
import { maxEpoch, maxNameLength, requireHost, requireText } from './values.ts'

const maxGroupBytes = 4 * 1024 * 1024
/** Where hundreds wait, as many again get ready while these are committed. */
const maxGroupEntries = 128

/** An entry that has no number yet. */
export type PendingEntry = {
  readonly prepared: PreparedEntry
  readonly index: AuditIndex
  readonly atUs: number
  readonly texts: readonly Omit<AuditText, 'seq'>[]
}

/** Appends in order, all or none, and resolves to the sequence number of the last once they are durable. */
export type CommitEntries = (host: string, pending: readonly PendingEntry[]) => Promise<number>

type Waiting = {
  readonly pending: readonly PendingEntry[]
  readonly length: number
  readonly resolve: (seq: number) => void
  readonly reject: (error: unknown) => void
}

/** @returns `append` of the contract */
export function createAuditQueue(commit: CommitEntries) {
  const queues = new Map<string, Waiting[]>()

  async function drain(host: string, queue: Waiting[]): Promise<void> {
    let answer = () => {
      // Nobody waits yet.
    }
    while (queue.length > 0) {
      const group = takeGroup(queue)
      const pending = group.flatMap((waiting) => waiting.pending)
      const committing = commit(host, pending)
      // Only when these are on their way: the database then works while those before are answered and ask for more.
      setImmediate(answer)
      answer = await settle(group, committing)
    }
    answer()
    queues.delete(host)
  }

  return async (host: string, events: readonly [AuditEvent, ...AuditEvent[]], atUs: number): Promise<number> => {
    // What can't be recorded under any number is refused here, where it fails nobody else.
    const pending = events.map((event) => preparePending(host, event, atUs))
    const length = pending.reduce((sum, { prepared }) => sum + lengthOf(prepared), 0)
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    const waiting = { pending, length, resolve, reject }
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

/** Resolves to what tells those who wait how it ended. */
async function settle(group: readonly Waiting[], committing: Promise<number>): Promise<() => void> {
  try {
    const last = await committing
    return () => {
      let seq = last - group.reduce((sum, { pending }) => sum + pending.length, 0)
      for (const waiting of group) {
        seq += waiting.pending.length
        waiting.resolve(seq)
      }
    }
  } catch (error) {
    return () => {
      for (const waiting of group) waiting.reject(error)
    }
  }
}

/** At least one. */
function takeGroup(queue: Waiting[]): readonly Waiting[] {
  let length = 0
  let entries = 0
  const end = queue.findIndex((waiting, index) => {
    length += waiting.length
    entries += waiting.pending.length
    return index > 0 && (length > maxGroupBytes || entries > maxGroupEntries)
  })
  return queue.splice(0, end === -1 ? queue.length : end)
}

/** In UTF-16 code units: of bytes there are at most three times as many. */
function lengthOf({ parts }: PreparedEntry): number {
  return parts[0].length + parts[1].length + parts[2].length
}

const digits = String(maxEpoch).length + String(Number.MAX_SAFE_INTEGER).length

/** @throws RangeError for an event that can't be recorded under every number that it may get */
export function preparePending(host: string, event: AuditEvent, atUs: number): PendingEntry {
  requireHost(host)
  const { action, actor, session } = event
  const index = auditIndexOf(event)
  for (const name of [index.actor, index.owner, index.sessionId])
    if (name !== null) requireText(name, `a name in the entry ${action}`, maxNameLength)
  const texts = Object.entries(event.texts ?? {}).map(([name, text]) => {
    if (Object.hasOwn(event.detail, name))
      throw new RangeError(`cannot record ${action}: ${name} is both a text and a detail of it`)
    requireText(name, `the name of a text of the entry ${action}`, maxNameLength)
    requireText(text, `the text ${name} of the entry ${action}`, maxAuditEntryBytes)
    return { name, text, salt: randomBytes(commitmentSaltBytes) }
  })
  const commitments = texts.map(({ name, salt, text }) => [name, commitText(salt, text)])
  const detail = texts.length === 0 ? event.detail : { ...event.detail, ...Object.fromEntries(commitments) }
  const prepared = prepareAuditEntry({ host, atUs, action, actor, session, detail })
  if (lengthOf(prepared) * 3 + digits > maxAuditEntryBytes)
    finishAuditEntry(prepared, maxEpoch, Number.MAX_SAFE_INTEGER)
  return { prepared, index, atUs, texts }
}

/** @throws RangeError as preparePending, and for another action: nothing else begins an epoch */
export function prepareEpoch(host: string, event: AuditEvent, atUs: number): PendingEntry {
  if (event.action !== 'key.changed') throw new RangeError(`cannot begin an epoch with ${event.action}`)
  return preparePending(host, event, atUs)
}

export type NewEntry = PendingEntry & { readonly seq: number; readonly bytes: Uint8Array }

/** What a log becomes by some more entries. */
export type Extension = {
  readonly head: AuditHead
  readonly entries: readonly NewEntry[]
  /** Those that are stored, and became complete. */
  readonly subtrees: readonly StoredSubtree[]
}

/** @param epoch that of the head, or the one after it */
export function extendLog(head: AuditHead, pending: readonly PendingEntry[], epoch = head.epoch): Extension {
  const tree = AuditTree.from(head.frontier)
  const entries = pending.map((entry) => {
    const seq = tree.size + 1
    const bytes = finishAuditEntry(entry.prepared, epoch, seq)
    tree.append(leafHash(bytes))
    return { ...entry, seq, bytes }
  })
  return { head: { epoch, frontier: tree.frontier() }, entries, subtrees: tree.takeCompleted() }
}

/** What tryTampering adds, to have something to change; nobody ever reads it. */
export const probe: AuditEvent = {
  action: 'service.started',
  actor: { kind: 'service', name: 'api' },
  session: null,
  detail: { probe: true },
}

/** Bytes of the entries that one read returns, before the last of them. */
export const maxReadBytes = 4 * 1024 * 1024

/** Leaves that are read at once where a tree is made of a log that has none. */
export const leavesPerRead = 10_000
