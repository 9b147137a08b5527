// Looks over the whole log again, from its first entry on: the database against itself, against what this auditor remembers, and
// against its files, byte for byte. Changes nothing, and needs the memory of one batch, however long the log is.

import { auditorNameOf, parseCheckpoint, verifyCosignature } from '@teleclaude/core/checkpoint.ts'
import { equalHashes, type Hash, TreeBuilder } from '@teleclaude/core/merkle.ts'
import { parseNote, parseSignatureLine } from '@teleclaude/core/signed-note.ts'
import type { IndexedAuditEntry, StoredAuditEntry, StoredCheckpoint } from '@teleclaude/store/audit-contract.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { type AuditAlarm, entries, missing } from './alarm.ts'
import type { AuditorKey } from './auditor-key.ts'
import { readFileEntries } from './file-entries.ts'
import { Findings } from './findings.ts'
import { type Anchor, emptyAnchor, LogCheck } from './log-check.ts'
import { type AuditorState, startOf } from './state.ts'

const batchEntries = 2000
const batchCheckpoints = 200

export type Verification = {
  readonly host: string
  readonly holds: boolean
  /** Entries of the database that follow one another without a fault. */
  readonly entries: number
  /** Among the first so many of them there is something wrong, which an admin has accepted; 0 for none. */
  readonly acceptedAsTheyAre: number
  /** Checkpoints that are signed by a key of the log, and say what the log is. */
  readonly checkpoints: number
  /** Size of the newest of them that this auditor has cosigned; 0 for none. */
  readonly cosigned: number
  /** Entries that are in the database and in the files, byte for byte the same; null without files. */
  readonly same: number | null
  /** Entries of the database that are not in the files yet; null without files. */
  readonly notShipped: number | null
  /** What does not hold, in order, for a person. */
  readonly faults: readonly string[]
  /** More than are listed. */
  readonly furtherFaults: number
}

export type VerifyOptions = {
  readonly store: Store
  readonly host: string
  readonly directory: string
  /** What the auditor remembers, read before this begins; null where it remembers nothing. */
  readonly state: AuditorState | null
  readonly key: AuditorKey | null
  /** The sink whose files are in the directory; null where there is none. */
  readonly files: { readonly name: string; readonly keepsAll: boolean } | null
}

/** Both sides are read up to where they were at the start: a running auditor goes on meanwhile. */
export async function verifyLog(options: VerifyOptions): Promise<Verification & { readonly alarm: AuditAlarm | null }> {
  const { store, host, directory, state, files } = options
  const findings = new Findings()
  for (const { message, atUs } of state?.alarms ?? [])
    findings.say('sink', null, `an alarm of ${new Date(atUs / 1000).toISOString()} was not accepted: ${message}`)
  // In this order: what the files have by then is in the database, and what the cursor says is in the files.
  const cursor = files === null ? 0 : await store.audit.readCursor(host, files.name)
  const comparison =
    files === null
      ? null
      : await Comparison.begin(
          readFileEntries(directory, host, cursor, files.keepsAll ? startOf(state) : null, findings),
          cursor,
          findings,
        )
  const head = await store.audit.headSeq(host)
  const chain = new Chain(options, findings)
  let lastSeq = 0
  while (lastSeq < head) {
    const batch = await store.audit.read(host, { afterSeq: lastSeq, limit: Math.min(batchEntries, head - lastSeq) })
    if (batch.length === 0) {
      findings.alarm(missing(lastSeq + 1, head))
      break
    }
    for (const entry of batch) {
      await comparison?.take(entry)
      await chain.take(entry)
    }
    lastSeq = batch.at(-1)?.seq ?? head
  }
  await comparison?.finish()
  chain.finish(head)
  return {
    host,
    ...findings.result(),
    entries: chain.entries,
    acceptedAsTheyAre: chain.passedOver,
    checkpoints: chain.checkpoints,
    cosigned: chain.cosigned,
    same: comparison?.same ?? null,
    notShipped: comparison?.notShipped ?? null,
  }
}

/** The entries and checkpoints of the database, and what the auditor remembers of them. */
class Chain {
  readonly #options: VerifyOptions
  readonly #findings: Findings
  #check: LogCheck
  /** Where the log goes on after a part that does not hold, and was accepted. */
  readonly #accepted: Anchor | null
  #skipTo: number | null = null
  /** Nothing after a fault can be placed. */
  #isBroken = false
  #waiting: StoredCheckpoint[] = []
  #readThrough: number | null = 0
  checkpoints = 0
  cosigned = 0
  /** Entries that were accepted as they are, for something is wrong among them. */
  passedOver = 0

  constructor(options: VerifyOptions, findings: Findings) {
    const believed = new Set(options.state?.verified.keys.map(({ vkey }) => vkey))
    this.#accepted = options.state?.accepted?.anchor ?? null
    this.#options = options
    this.#findings = findings
    this.#check = new LogCheck(options.host, emptyAnchor, { trusts: (vkey) => believed.has(vkey) })
  }

  get entries(): number {
    return this.#check.size
  }

  async take(entry: IndexedAuditEntry): Promise<void> {
    if (this.#isBroken) return
    if (this.#skipTo !== null) {
      if (entry.seq <= this.#skipTo || this.#accepted === null) return
      this.#check = new LogCheck(this.#options.host, this.#accepted)
      this.#skipTo = null
    }
    const fault = this.#check.add(entry)
    if (fault !== null) {
      this.#break(fault, entry.seq)
      return
    }
    this.#compareMemory()
    for (
      let next = await this.#nextCheckpoint();
      next !== null && next.size <= this.entries;
      next = await this.#nextCheckpoint()
    ) {
      this.#waiting.shift()
      this.#takeCheckpoint(next)
    }
  }

  #break(fault: AuditAlarm, seq: number): void {
    const accepted = this.#accepted?.frontier.size ?? 0
    if (seq <= accepted) {
      this.#skipTo = accepted
      this.passedOver = accepted
      return
    }
    this.#findings.alarm(fault)
    this.#isBroken = true
  }

  async #nextCheckpoint(): Promise<StoredCheckpoint | null> {
    if (this.#waiting.length === 0 && this.#readThrough !== null) {
      const { store, host } = this.#options
      const found = await store.audit.listCheckpoints(host, { afterSize: this.#readThrough, limit: batchCheckpoints })
      this.#waiting = [...found]
      this.#readThrough = found.at(-1)?.size ?? null
    }
    return this.#waiting[0] ?? null
  }

  #takeCheckpoint(checkpoint: StoredCheckpoint): void {
    if (checkpoint.size <= this.passedOver) return
    const fault = this.#check.check(checkpoint, this.#check.root)
    if (fault !== null) {
      if (checkpoint.size > (this.#accepted?.frontier.size ?? 0)) this.#findings.alarm(fault)
      return
    }
    this.checkpoints += 1
    const { host, key, state } = this.#options
    const lines = checkpoint.cosignatures.filter(({ line }) => parseSignatureLine(line)?.name === auditorNameOf(host))
    const isOurs = key !== null && lines.some(({ line }) => verifyCosignature(checkpoint.note, line, key.note) !== null)
    if (isOurs) this.cosigned = checkpoint.size
    else if (lines.length > 0 && checkpoint.size > (state?.accepted?.size ?? 0)) {
      const text = `the checkpoint of ${checkpoint.size} entries is cosigned in the name of this auditor, and not by its key`
      this.#findings.say('bad-signature', { from: 1, to: checkpoint.size }, text)
    }
  }

  #compareMemory(): void {
    const { state } = this.#options
    const size = this.entries
    const seen = state?.verified.frontier
    if (seen?.size === size) this.#requireRoot(TreeBuilder.from(seen).root(), 'it saw')
    if (state?.cosigned?.size === size) this.#requireRoot(rootSaidBy(state.cosigned.note), 'it has cosigned')
  }

  #requireRoot(root: Hash | null, which: string): void {
    if (root !== null && equalHashes(root, this.#check.root)) return
    const range = { from: 1, to: this.entries }
    this.#findings.say('fork', range, `${entries(range.from, range.to)} of the database are not those that ${which}`)
  }

  finish(head: number): void {
    const seen = this.#options.state?.verified.frontier.size ?? 0
    if (head >= seen) return
    this.#findings.say(
      'rollback',
      { from: head + 1, to: seen },
      `not in the database any more: ${entries(head + 1, seen)}`,
    )
  }
}

function rootSaidBy(note: string): Hash | null {
  const text = parseNote(note)?.text
  return text === undefined ? null : (parseCheckpoint(text)?.root ?? null)
}

/** The files beside the database: both in order. */
class Comparison {
  readonly #lines: AsyncGenerator<StoredAuditEntry>
  readonly #cursor: number
  readonly #findings: Findings
  #line: StoredAuditEntry | null = null
  same = 0
  notShipped = 0

  private constructor(lines: AsyncGenerator<StoredAuditEntry>, cursor: number, findings: Findings) {
    this.#lines = lines
    this.#cursor = cursor
    this.#findings = findings
  }

  static async begin(lines: AsyncGenerator<StoredAuditEntry>, cursor: number, findings: Findings): Promise<Comparison> {
    const comparison = new Comparison(lines, cursor, findings)
    await comparison.#advance()
    comparison.#firstSeq = comparison.#line?.seq ?? null
    return comparison
  }

  /** Of the files: what was before was taken away as the configuration says. */
  #firstSeq: number | null = null

  async #advance(): Promise<void> {
    this.#line = (await this.#lines.next()).value ?? null
  }

  async take({ seq, bytes }: StoredAuditEntry): Promise<void> {
    // Before the files' first: said by who reads them, where it should not be so.
    if (this.#firstSeq !== null && seq < this.#firstSeq) return
    while (this.#line !== null && this.#line.seq < seq) {
      this.#findings.add('rollback', 'in the files and not in the database', this.#line.seq)
      await this.#advance()
    }
    if (this.#line?.seq === seq) {
      if (Buffer.compare(this.#line.bytes, bytes) === 0) this.same += 1
      else this.#findings.add('sink', 'not the same in the files and in the database', seq)
      await this.#advance()
    } else if (this.#line !== null || seq <= this.#cursor) {
      this.#findings.add('sink', 'in the database and not in the files', seq)
    } else this.notShipped += 1
  }

  async finish(): Promise<void> {
    for (; this.#line !== null; await this.#advance())
      this.#findings.add('rollback', 'in the files and not in the database', this.#line.seq)
  }
}

export function renderVerification(found: Verification): string {
  const lines = [
    `${found.entries} entries of ${found.host} follow one another, and ${found.checkpoints} signed checkpoints are of them`,
    found.cosigned === 0
      ? 'this auditor has cosigned none of them'
      : `this auditor has cosigned the first ${found.cosigned}`,
  ]
  if (found.acceptedAsTheyAre > 0)
    lines.push(`something is wrong among the first ${found.acceptedAsTheyAre}, which an admin has accepted`)
  if (found.same !== null)
    lines.push(`${found.same} entries are the same in the files and in the database, byte for byte`)
  if (found.notShipped !== null && found.notShipped > 0)
    lines.push(`${found.notShipped} entries are in the database alone: not shipped yet`)
  lines.push(...found.faults.map((fault) => `DOES NOT HOLD: ${fault}`))
  if (found.furtherFaults > 0) lines.push(`and ${found.furtherFaults} more`)
  return [...lines, found.holds ? 'everything holds' : 'the audit log does not hold'].join('\n')
}
