// What sinks may ship: entries that were checked. Those of a moment ago come from memory; older ones are read from the database
// again, which may have changed them meanwhile, and are shown to be in the tree that was checked before anybody gets them.

import { consistencyProof, equalHashes, leafHash, TreeBuilder, verifyConsistency } from '@teleclaude/core/merkle.ts'
import type { AuditStore, StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import { AuditAlarm, entries, missing } from './alarm.ts'

const maxRecentBytes = 8 * 1024 * 1024

export type BatchLimit = { readonly maxEntries: number; readonly maxBytes: number }

/** A tree that was checked. */
type Seen = { readonly size: number; readonly root: Uint8Array }

export class VerifiedLog {
  readonly host: string
  #seen: Seen
  /** Without a gap, up to the last one that was checked. Those before `#recentStart` are about to go. */
  #recent: StoredAuditEntry[] = []
  #recentStart = 0
  #recentBytes = 0

  constructor(host: string, seen: Seen) {
    this.host = host
    this.#seen = seen
  }

  get size(): number {
    return this.#seen.size
  }

  /** The next entries, which were checked, and the tree that they complete. */
  add(checked: readonly StoredAuditEntry[], root: Uint8Array): void {
    const last = checked.at(-1)
    if (last === undefined) return
    for (const entry of checked) {
      this.#recent.push(entry)
      this.#recentBytes += entry.bytes.length
    }
    while (this.#recentBytes > maxRecentBytes && this.#recentStart < this.#recent.length - 1) {
      this.#recentBytes -= this.#recent[this.#recentStart]?.bytes.length ?? 0
      this.#recentStart += 1
    }
    if (this.#recentStart > this.#recent.length / 2) {
      this.#recent = this.#recent.slice(this.#recentStart)
      this.#recentStart = 0
    }
    this.#seen = { size: last.seq, root }
  }

  /** From the one after `afterSeq`; at least one where there is any.
   *  @throws AuditAlarm where the database does not have them as they were */
  async read(audit: AuditStore, afterSeq: number, limit: BatchLimit): Promise<readonly StoredAuditEntry[]> {
    const seen = this.#seen
    if (afterSeq >= seen.size) return []
    const first = this.#recent[this.#recentStart]?.seq ?? Number.POSITIVE_INFINITY
    if (first <= afterSeq + 1) {
      const at = this.#recentStart + afterSeq + 1 - first
      return cut(this.#recent.slice(at, at + limit.maxEntries), limit)
    }
    const wanted = Math.min(limit.maxEntries, seen.size - afterSeq)
    const found = cut(await audit.read(this.host, { afterSeq, limit: wanted }), limit)
    await this.#requireSeen(audit, afterSeq, found, seen)
    return found
  }

  async #requireSeen(
    audit: AuditStore,
    afterSeq: number,
    found: readonly StoredAuditEntry[],
    seen: Seen,
  ): Promise<void> {
    if (found.length === 0) throw missing(afterSeq + 1, seen.size)
    for (const [index, { seq }] of found.entries()) {
      const expected = afterSeq + 1 + index
      if (seq !== expected) throw missing(expected, seq - 1)
    }
    const to = afterSeq + found.length
    const range = { from: afterSeq + 1, to }
    const message =
      `the database can't show any more that ${entries(range.from, to)} are those that were seen here: ` +
      'some of them, or of those after them, were changed (auditor verify)'
    if (!(await isPartOf(audit, this.host, afterSeq, found, seen))) throw new AuditAlarm('fork', range, message)
  }
}

/** Whether the entries follow the first `afterSeq` ones in the tree that was seen. What the database says of that tree is believed
 *  as far as it proves it. */
async function isPartOf(
  audit: AuditStore,
  host: string,
  afterSeq: number,
  found: readonly StoredAuditEntry[],
  seen: Seen,
): Promise<boolean> {
  const read = (wanted: Parameters<AuditStore['readSubtrees']>[1]) => audit.readSubtrees(host, wanted)
  try {
    const hashes = afterSeq === 0 ? [] : await read(perfectSubtrees(afterSeq))
    const tree = TreeBuilder.from({ size: afterSeq, hashes })
    for (const { bytes } of found) tree.append(leafHash(bytes))
    if (tree.size === seen.size) return equalHashes(tree.root(), seen.root)
    const proof = await consistencyProof(tree.size, seen.size, read)
    return verifyConsistency({ from: tree.size, fromRoot: tree.root(), to: seen.size, toRoot: seen.root, proof })
  } catch (error) {
    if (error instanceof StoreError && error.code === 'audit-broken') return false
    throw error
  }
}

/** Those that a tree of that size is made of, largest first: one for each 1 bit. */
function perfectSubtrees(size: number): readonly { readonly level: number; readonly index: number }[] {
  const found: { level: number; index: number }[] = []
  let begin = 0
  for (let level = Math.floor(Math.log2(size)); level >= 0; level--) {
    const leaves = 2 ** level
    if (begin + leaves > size) continue
    found.push({ level, index: begin / leaves })
    begin += leaves
  }
  return found
}

function cut<Entry extends StoredAuditEntry>(found: readonly Entry[], { maxBytes }: BatchLimit): readonly Entry[] {
  let bytes = 0
  const end = found.findIndex((entry) => {
    bytes += entry.bytes.length
    return bytes > maxBytes
  })
  return end === -1 ? found : found.slice(0, Math.max(1, end))
}
