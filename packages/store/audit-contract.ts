// The audit log and what its auditor keeps, as both engines have them: a part of the store's contract (contract.ts).

import type { AuditEvent, AuditIndex } from '@teleclaude/core/audit.ts'
import type { Frontier, Hash } from '@teleclaude/core/merkle.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { SessionScope } from './contract.ts'

/** An entry as it is stored: `bytes` are exactly those of `finishAuditEntry`. */
export type StoredAuditEntry = { readonly seq: number; readonly bytes: Uint8Array }

/** With what it is found by, which the bytes have to say as well: what they say counts. */
export type IndexedAuditEntry = StoredAuditEntry & { readonly index: AuditIndex }

/** What an entry holds a commitment to (commitment.ts), under the name that it has in the detail. */
export type AuditText = {
  readonly seq: number
  readonly name: string
  /** 32 random bytes. */
  readonly salt: Uint8Array
  readonly text: string
}

/** Whose entries a query may touch: of everybody, or those that a person did or whose sessions they are about. */
export type AuditQuery = {
  readonly scope: SessionScope
  readonly sessionId?: SessionId
  /** Who did it. */
  readonly actor?: string
  /** Whose session it is about. */
  readonly owner?: string
  readonly action?: string
  readonly sinceUs?: number
  readonly untilUs?: number
  /** Only those before this one: the last of the page before. */
  readonly beforeSeq?: number
  readonly limit: number
}

/** The log's head: how many entries there are, their Merkle tree (RFC 6962), and the epoch that they are in. */
export type AuditHead = { readonly epoch: number; readonly frontier: Frontier }

/** A signed statement of the log's size and root (C2SP tlog-checkpoint), and what auditors say of it (tlog-cosignature). */
export type StoredCheckpoint = {
  readonly size: number
  readonly note: string
  readonly cosignatures: readonly { readonly line: string; readonly atUs: number }[]
  readonly madeAtUs: number
}

/** The audit log, one per host. Entries are added and never changed or taken away: the database refuses both. */
export interface AuditStore {
  /** Appends in order, all or none, and returns the sequence number of the last once they are durable. Calls at the same
   *  time share one commit. The texts of the events are kept beside them.
   *  @throws RangeError for an event that can't be recorded: too long, or not Unicode
   *  @throws StoreError 'unavailable' when the commit's outcome is unknown: treat it as not appended. */
  append(host: string, events: readonly [AuditEvent, ...AuditEvent[]], atUs: number): Promise<number>
  /** Appends that entry, a `key.changed`, as the first of the next epoch. Returns its number, or null where the epoch is not
   *  `fromEpoch` any more.
   *  @throws as append */
  beginEpoch(host: string, fromEpoch: number, event: AuditEvent, atUs: number): Promise<number | null>
  /** The sequence number of the newest entry, 0 where there is none. */
  headSeq(host: string): Promise<number>
  /** Of a log that is there since before it was a tree, the tree is made at the next append; until then this makes it each time.
   *  @throws StoreError 'audit-broken' */
  readHead(host: string): Promise<AuditHead>
  /** In order, from the one after `afterSeq`; at least one where there is any, at most `limit`, up to some 4 MiB. */
  read(
    host: string,
    options: { readonly afterSeq: number; readonly limit: number },
  ): Promise<readonly IndexedAuditEntry[]>
  /** Newest first. */
  find(host: string, query: AuditQuery): Promise<readonly StoredAuditEntry[]>
  /** Of those entries, what has not been erased. At most 1000 of them. */
  readTexts(host: string, seqs: readonly number[]): Promise<readonly AuditText[]>
  /** Roots of complete subtrees, as in merkle.ts (`ReadSubtrees`), of the tree of all entries. Its cost does not grow with the log.
   *  @throws StoreError 'audit-broken' for one that is not there */
  readSubtrees(
    host: string,
    wanted: readonly { readonly level: number; readonly index: number }[],
  ): Promise<readonly Hash[]>
  /** Durable when it resolves; nothing changes where there is one of that size. */
  addCheckpoint(host: string, checkpoint: Pick<StoredCheckpoint, 'size' | 'note' | 'madeAtUs'>): Promise<void>
  /** The newest, the newest that is cosigned, or the oldest of at least that size; null where there is none. */
  findCheckpoint(
    host: string,
    which: 'newest' | 'cosigned' | { readonly atLeast: number },
  ): Promise<StoredCheckpoint | null>
  /** In the order of their sizes, from the one after `afterSize`. */
  listCheckpoints(
    host: string,
    options: { readonly afterSize: number; readonly limit: number },
  ): Promise<readonly StoredCheckpoint[]>
  /** Up to which entry the sink has everything, 0 for none. */
  readCursor(host: string, sink: string): Promise<number>
  /** Never moves it back. */
  moveCursor(host: string, sink: string, seq: number): Promise<void>
  /** Really tries to change and to delete an entry, as the role that the store runs as, and takes everything back.
   *  Returns what the database let through: nothing, where all is well. */
  tryTampering(host: string): Promise<readonly Tampering[]>
}

export const alarmKinds = [
  /** The log is shorter than it was. */
  'rollback',
  /** It is not a continuation of what it was. */
  'fork',
  /** Entries are missing. */
  'gap',
  /** An entry is not what entries look like, or says that it is another. */
  'broken-entry',
  /** A checkpoint's signature does not hold, or is that of a key which nobody announced. */
  'bad-signature',
  /** A sink holds something else than the log. */
  'sink',
] as const
export type AlarmKind = (typeof alarmKinds)[number]

export type Alarm = {
  /** A random UUID. */
  readonly id: string
  readonly kind: AlarmKind
  readonly atUs: number
  /** The entries that it is about; both null where that can't be told. */
  readonly fromSeq: number | null
  readonly toSeq: number | null
  /** For people to read. */
  readonly message: string
  /** An admin has looked. */
  readonly acknowledged: { readonly by: string; readonly atUs: number } | null
}

export const auditorStates = ['shipping', 'waiting', 'alarm', 'stopped'] as const

/** How an auditor says that it is. */
export type AuditorWord = {
  /** The key that it cosigns with, in the form of C2SP signed-note. */
  readonly vkey: string
  readonly startedAtUs: number
  /** When it said this. */
  readonly atUs: number
  readonly state: (typeof auditorStates)[number]
  readonly message: string | null
  /** Entries that it has checked. */
  readonly verifiedSeq: number
}

export type SinkProgress = {
  readonly sink: string
  /** The sink has confirmed everything up to this entry, but for what is parked. */
  readonly seq: number
  readonly movedAtUs: number
  /** Entries that it would not take. */
  readonly parked: number
  /** The first of them. */
  readonly firstParkedSeq: number | null
}

/** An entry that a sink would not take, kept until it does. */
export type ParkedEntry = {
  readonly sink: string
  readonly seq: number
  readonly reason: string
  readonly attempts: number
  readonly parkedAtUs: number
  readonly triedAtUs: number
}

/** What a host's auditor keeps in the database: nothing that it has to trust. */
export interface AuditorStore {
  /** Nothing changes where that signer has cosigned that size. Hints `auditor`. */
  cosign(
    host: string,
    cosignature: { readonly size: number; readonly signer: string; readonly line: string; readonly atUs: number },
  ): Promise<void>
  /** The auditor's word about itself. Hints `auditor` where anything but its time is another. */
  say(host: string, word: AuditorWord): Promise<void>
  /** Null where none has ever run. */
  lastWord(host: string): Promise<AuditorWord | null>
  /** Hints `auditor`. Of the same kind and the same entries there is one that nobody has acknowledged: the first. */
  raiseAlarm(host: string, alarm: Omit<Alarm, 'acknowledged'>): Promise<void>
  /** Newest first, at most 1000. */
  listAlarms(host: string, options: { readonly unacknowledged: boolean }): Promise<readonly Alarm[]>
  /** False where it is unknown or was acknowledged before. */
  acknowledgeAlarm(host: string, id: string, by: string, atUs: number): Promise<boolean>
  /** By name. */
  listSinks(host: string): Promise<readonly SinkProgress[]>
  /** Parks entries and moves the sink's cursor to `seq`, in one transaction. */
  park(
    host: string,
    sink: string,
    entries: readonly { readonly seq: number; readonly reason: string }[],
    seq: number,
    atUs: number,
  ): Promise<void>
  /** In order, from the one after `afterSeq`, of one sink or of all. */
  listParked(
    host: string,
    query: { readonly sink: string | null; readonly afterSeq: number; readonly limit: number },
  ): Promise<readonly ParkedEntry[]>
  /** The sink has taken it. */
  unpark(host: string, sink: string, seq: number): Promise<void>
  /** It would not take it again. */
  noteAttempt(host: string, sink: string, seq: number, reason: string, atUs: number): Promise<void>
}

export type Tampering = 'update' | 'delete' | 'truncate'
