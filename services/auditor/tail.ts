// Follows the log: takes what is new, checks it against what was seen before, and cosigns checkpoints. What is written down on the
// own volume comes first, the cosignature after it: what this auditor has signed for, it knows after any crash.

import { randomUUID } from 'node:crypto'
import { auditorNameOf, cosign, parseCheckpoint, verifyCosignature } from '@teleclaude/core/checkpoint.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { consistencyProof, type Hash, verifyConsistency } from '@teleclaude/core/merkle.ts'
import { parseNote, parseSignatureLine } from '@teleclaude/core/signed-note.ts'
import type { IndexedAuditEntry, StoredCheckpoint } from '@teleclaude/store/audit-contract.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { AuditAlarm, type EntryRange, entries, missing } from './alarm.ts'
import type { AuditorKey } from './auditor-key.ts'
import { LogCheck } from './log-check.ts'
import { type AuditorState, type KnownAlarm, writeState } from './state.ts'
import type { VerifiedLog } from './verified-log.ts'

const batchEntries = 2000
const batchCheckpoints = 500
/** The oldest of those that nobody has looked at say the most. */
const maxAlarms = 100

export type TailOptions = {
  readonly directory: string
  readonly key: AuditorKey
  readonly store: Store
  readonly logger: Logger
  /** What sinks may have: the tail adds to it. */
  readonly log: VerifiedLog
}

export class Tail {
  readonly #options: TailOptions
  readonly #check: LogCheck
  #state: AuditorState
  #writing: Promise<void> = Promise.resolve()
  #savedSize: number
  /** Entries that there have been for sure: the database has no right to have fewer. */
  #floor: number
  #begun = false
  /** Somebody else has cosigned in this auditor's name: it signs nothing beside that. */
  #foreign: AuditAlarm | null = null
  /** The next batch, asked for while the one before it is being checked. */
  #ahead: { readonly afterSeq: number; readonly found: Promise<readonly IndexedAuditEntry[]> } | null = null

  /** @param floor entries that a sink has */
  constructor(state: AuditorState, floor: number, options: TailOptions) {
    this.#options = options
    this.#state = state
    this.#check = new LogCheck(state.host, state.verified)
    this.#savedSize = state.verified.frontier.size
    this.#floor = Math.max(floor, this.#savedSize)
  }

  get size(): number {
    return this.#check.size
  }

  get cosignedSize(): number {
    return this.#state.cosigned?.size ?? 0
  }

  /** Those that no admin has accepted yet. */
  get alarms(): readonly KnownAlarm[] {
    return this.#state.alarms
  }

  /** Takes a batch of what is new.
   *  @returns whether there may be more at once
   *  @throws AuditAlarm where something is wrong: everything before that was taken; StoreError */
  async step(): Promise<boolean> {
    const { store } = this.#options
    const { host } = this.#check
    await this.#begin()
    const [checkpoints, seenHead] = await Promise.all([
      store.audit.listCheckpoints(host, { afterSize: this.#check.checkedSize, limit: batchCheckpoints }),
      store.audit.headSeq(host),
    ])
    // A checkpoint's entries are committed before it is.
    const largest = checkpoints.at(-1)?.size ?? 0
    const head = largest > seenHead ? await store.audit.headSeq(host) : seenHead
    if (head < this.#floor) throw this.#rollback(head)
    const fault = await this.#takeEntries(head)
    const due = checkpoints.filter(({ size }) => size <= this.size)
    await this.#takeCheckpoints(due)
    if (fault !== null) throw fault
    if (largest > head) throw beyond(largest, head)
    const isThrough = this.size >= head && due.length < batchCheckpoints
    if (isThrough && this.#foreign !== null) throw this.#foreign
    return !isThrough
  }

  /** Once, when the database can first be asked. */
  async #begin(): Promise<void> {
    if (this.#begun) return
    const newest = await this.#options.store.audit.findCheckpoint(this.#check.host, 'cosigned')
    if (newest !== null) this.#recall(newest)
    await this.#cosignAgain()
    this.#begun = true
  }

  /** What this auditor has signed for is known to it, or it has lost its memory. */
  #recall({ size, note, cosignatures }: StoredCheckpoint): void {
    const { key } = this.#options
    const lines = cosignatures.filter(({ line }) => parseSignatureLine(line)?.name === this.#signer)
    if (lines.some(({ line }) => verifyCosignature(note, line, key.note) !== null)) {
      this.#floor = Math.max(this.#floor, size)
    } else if (lines.length > 0 && size > (this.#state.accepted?.size ?? 0)) {
      this.#foreign ??= new AuditAlarm(
        'bad-signature',
        { from: 1, to: size },
        `the database has a cosignature of ${size} entries in the name of this auditor, by another key than the one in its ` +
          `directory (${key.vkey}): that directory was lost or exchanged, or somebody else signs in its name; restore it from ` +
          'a backup, or have the log as it is now accepted: auditor accept --reason TEXT',
      )
    }
  }

  /** It was written down, and the database may not have got it. */
  async #cosignAgain(): Promise<void> {
    const { cosigned } = this.#state
    if (cosigned === null) return
    const { size, line, atUs } = cosigned
    const found = await this.#options.store.audit.findCheckpoint(this.#check.host, { atLeast: size })
    const isThere = found?.size === size && found.note === cosigned.note
    if (isThere)
      await this.#options.store.auditor.cosign(this.#check.host, { size, signer: this.#options.key.vkey, line, atUs })
  }

  get #signer(): string {
    return auditorNameOf(this.#check.host)
  }

  /** @returns what is wrong with the first entry that was not taken */
  async #takeEntries(head: number): Promise<AuditAlarm | null> {
    const before = this.size
    if (head === 0) return null
    const found = await this.#read(head)
    const following = before === 0 ? found : found.slice(1)
    if (before > 0) this.#requireLast(found[0])
    if (following.length === 0 && head > before) throw missing(before + 1, head)
    const good: IndexedAuditEntry[] = []
    let fault: AuditAlarm | null = null
    for (const entry of following) {
      fault = this.#check.add(entry)
      if (fault !== null) break
      good.push(entry)
    }
    this.#options.log.add(good, this.#check.root)
    this.#floor = Math.max(this.#floor, this.size)
    return fault
  }

  /** From the last entry that was checked on, which has to be there still. */
  async #read(head: number): Promise<readonly IndexedAuditEntry[]> {
    const { audit } = this.#options.store
    const { host, size } = this.#check
    const afterSeq = Math.max(0, size - 1)
    const ahead = this.#ahead?.afterSeq === afterSeq ? this.#ahead.found : null
    this.#ahead = null
    const found = await (ahead ?? audit.read(host, { afterSeq, limit: batchEntries }))
    const last = found.at(-1)
    if (last !== undefined && last.seq < head && found.length > 1) {
      const next = last.seq - 1
      const nextFound = audit.read(host, { afterSeq: next, limit: batchEntries })
      // Whoever takes it gets what went wrong; nobody may.
      nextFound.catch(() => null)
      this.#ahead = { afterSeq: next, found: nextFound }
    }
    return found
  }

  #requireLast(entry: IndexedAuditEntry | undefined): void {
    const { size } = this
    if (entry?.seq !== size) throw missing(size, size)
    if (this.#check.isLast(entry.bytes)) return
    throw new AuditAlarm(
      'fork',
      { from: size, to: size },
      `entry ${size} of the database is not the one that was seen here: it was changed, or the log was set back and written anew`,
    )
  }

  #rollback(head: number): AuditAlarm {
    const gone = entries(head + 1, this.#floor)
    return new AuditAlarm(
      'rollback',
      { from: head + 1, to: this.#floor },
      `the database has no ${gone} any more, which were seen here: it was set back; keep what there is, and find out who did that`,
    )
  }

  async #takeCheckpoints(due: readonly StoredCheckpoint[]): Promise<void> {
    let newest: StoredCheckpoint | null = null
    let fault: AuditAlarm | null = null
    for (const checkpoint of due) {
      const root = this.#check.rootAt(checkpoint.size) ?? (await this.#rootSeenAt(checkpoint))
      fault = root === null ? otherRoot(checkpoint) : this.#check.check(checkpoint, root)
      if (fault !== null) break
      this.#recall(checkpoint)
      newest = checkpoint
    }
    if (newest !== null && this.#foreign === null && newest.size > this.cosignedSize) await this.#cosign(newest)
    if (fault !== null) throw fault
  }

  /** That the checkpoint says, where the database can prove that the tree that was checked begins with it. */
  async #rootSeenAt({ size, note }: StoredCheckpoint): Promise<Hash | null> {
    const { host, size: seen, root: seenRoot } = this.#check
    const root = rootSaidBy(note)
    if (root === null) return null
    try {
      const proof = await consistencyProof(size, seen, (wanted) => this.#options.store.audit.readSubtrees(host, wanted))
      return verifyConsistency({ from: size, fromRoot: root, to: seen, toRoot: seenRoot, proof }) ? root : null
    } catch (error) {
      if (error instanceof StoreError && error.code === 'audit-broken') return null
      throw error
    }
  }

  async #cosign({ size, note }: StoredCheckpoint): Promise<void> {
    const { key, store } = this.#options
    const atUs = nowUs()
    const line = cosign(note, key.signer, Math.floor(atUs / 1_000_000))
    await this.#save({ cosigned: { size, note, line, atUs } })
    await store.auditor.cosign(this.#check.host, { size, signer: this.#options.key.vkey, line, atUs })
  }

  /** Writes down how far it is, where that has changed. */
  async save(): Promise<void> {
    if (this.size !== this.#savedSize) await this.#save({})
  }

  #save(change: Partial<AuditorState>): Promise<void> {
    const write = async () => {
      const state = { ...this.#state, ...change, verified: this.#check.anchor() }
      await writeState(this.#options.directory, state)
      this.#state = state
      this.#savedSize = state.verified.frontier.size
    }
    this.#writing = this.#writing.catch(() => null).then(write)
    return this.#writing
  }

  /** Writes it down here, and then tells the database, whose readers are told.
   *  @param isOfSink it stumbles over what the tail has found already: that is one alarm and not two */
  async raise({ kind, range, message }: AuditAlarm, isOfSink = false): Promise<void> {
    const [fromSeq, toSeq] = range === null ? [null, null] : [range.from, range.to]
    const isKnown = this.#state.alarms.some((alarm) => (isOfSink || alarm.kind === kind) && overlaps(alarm, range))
    if (!isKnown && this.#state.alarms.length < maxAlarms) {
      const alarm: KnownAlarm = { id: randomUUID(), kind, atUs: nowUs(), fromSeq, toSeq, message, told: false }
      this.#options.logger.error({ kind, range, err: message }, `ALARM: ${message}`)
      await this.#save({ alarms: [...this.#state.alarms, alarm] })
    }
    await this.#tell()
  }

  async #tell(): Promise<void> {
    for (const { told, ...alarm } of this.#state.alarms) {
      if (told) continue
      await this.#options.store.auditor.raiseAlarm(this.#check.host, alarm)
      await this.#save({
        alarms: this.#state.alarms.map((known) => (known.id === alarm.id ? { ...known, told: true } : known)),
      })
    }
  }
}

/** One that goes on is one, also where its range changes with what comes to the log. */
function overlaps({ fromSeq, toSeq }: KnownAlarm, range: EntryRange | null): boolean {
  if (fromSeq === null || toSeq === null || range === null) return (fromSeq === null) === (range === null)
  return fromSeq <= range.to && range.from <= toSeq
}

function beyond(size: number, head: number): AuditAlarm {
  const message = `the database has a checkpoint of ${size} entries, and ${head} entries: it was set back`
  return new AuditAlarm('rollback', { from: head + 1, to: size }, message)
}

function otherRoot({ size }: StoredCheckpoint): AuditAlarm {
  const message = `the checkpoint of ${size} entries is not of those that were seen here: there are two logs`
  return new AuditAlarm('fork', { from: 1, to: size }, message)
}

function rootSaidBy(note: string): Hash | null {
  const text = parseNote(note)?.text
  return text === undefined ? null : (parseCheckpoint(text)?.root ?? null)
}
