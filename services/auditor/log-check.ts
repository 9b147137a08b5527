// The log as the auditor has seen it: a tree of its own over all entries, and the keys that it believes. Whatever the database
// says is checked against it, one entry and one checkpoint after the other. No I/O: who reads is elsewhere.

import { auditIndexOf, type ParsedAuditEntry, parseAuditEntry } from '@teleclaude/core/audit.ts'
import { openCheckpoint, originOf } from '@teleclaude/core/checkpoint.ts'
import { emptyFrontier, equalHashes, type Frontier, type Hash, leafHash, TreeBuilder } from '@teleclaude/core/merkle.ts'
import { ed25519, type NoteKey, parseVerifierKey } from '@teleclaude/core/signed-note.ts'
import type { IndexedAuditEntry, StoredCheckpoint } from '@teleclaude/store/audit-contract.ts'
import { AuditAlarm, entries, missing } from './alarm.ts'

export type LogKey = {
  readonly epoch: number
  readonly vkey: string
  /** Number of the entry that names it. */
  readonly fromSeq: number
}

/** Named by an entry, and not yet by a signature of the key before it. */
export type AnnouncedKey = LogKey & {
  /** The key before it is gone, and will never sign. */
  readonly isLost: boolean
}

/** All that has to be remembered of a log to go on with it. */
export type Anchor = {
  readonly frontier: Frontier
  /** Of the last entry. */
  readonly lastLeaf: Hash | null
  readonly epoch: number
  /** Those that are believed, in the order of their epochs: the last one signs. */
  readonly keys: readonly LogKey[]
  /** Whether the last one has: the one before it may sign until then. */
  readonly hasSigned: boolean
  readonly announced: readonly AnnouncedKey[]
  /** Size of the newest checkpoint that was checked. */
  readonly checkedSize: number
}

export const emptyAnchor: Anchor = {
  frontier: emptyFrontier,
  lastLeaf: null,
  epoch: 0,
  keys: [],
  hasSigned: false,
  announced: [],
  checkedSize: 0,
}

/** For the roots of trees that are a moment old: what a checkpoint is of is that by the time it comes. */
const maxRecentLeaves = 1 << 17
const segmentLeaves = 4096

type Segment = { readonly start: Frontier; readonly leaves: Hash[] }

export type CheckOptions = {
  /** Keys that are believed as soon as an entry names them: those that were checked or accepted before. Who says so checks each
   *  checkpoint when the log is at its size. */
  readonly trusts?: (vkey: string) => boolean
}

export class LogCheck {
  readonly host: string
  readonly #trusts: (vkey: string) => boolean
  readonly #tree: TreeBuilder
  readonly #recent: Segment[]
  #lastLeaf: Hash | null
  #epoch: number
  #keys: readonly LogKey[]
  #hasSigned: boolean
  #announced: readonly AnnouncedKey[]
  #checkedSize: number

  constructor(host: string, anchor: Anchor = emptyAnchor, { trusts = () => false }: CheckOptions = {}) {
    this.host = host
    this.#trusts = trusts
    this.#tree = TreeBuilder.from(anchor.frontier)
    this.#recent = [{ start: anchor.frontier, leaves: [] }]
    this.#lastLeaf = anchor.lastLeaf
    this.#epoch = anchor.epoch
    this.#keys = anchor.keys
    this.#hasSigned = anchor.hasSigned
    this.#announced = anchor.announced
    this.#checkedSize = anchor.checkedSize
  }

  /** How many entries it has checked: the number of the last one. */
  get size(): number {
    return this.#tree.size
  }

  get root(): Hash {
    return this.#tree.root()
  }

  get checkedSize(): number {
    return this.#checkedSize
  }

  anchor(): Anchor {
    return {
      frontier: this.#tree.frontier(),
      lastLeaf: this.#lastLeaf,
      epoch: this.#epoch,
      keys: this.#keys,
      hasSigned: this.#hasSigned,
      announced: this.#announced,
      checkedSize: this.#checkedSize,
    }
  }

  /** Whether the last entry is still the one that it was. */
  isLast(bytes: Uint8Array): boolean {
    return this.#lastLeaf !== null && equalHashes(leafHash(bytes), this.#lastLeaf)
  }

  /** Takes the next entry. What is wrong with it, or null: then it has become part of the tree. */
  add({ seq, bytes, index }: IndexedAuditEntry): AuditAlarm | null {
    const expected = this.size + 1
    if (seq !== expected) return missing(expected, seq - 1)
    const wrong = (what: string) =>
      new AuditAlarm('broken-entry', { from: seq, to: seq }, `${what}: it was changed, or is no entry of ours`)
    const entry = parseAuditEntry(bytes)
    if (entry === null) return wrong(`entry ${seq} of the database is not what an entry looks like`)
    if (entry.host !== this.host || entry.seq !== seq) {
      return wrong(`entry ${seq} of the database says that it is entry ${entry.seq} of ${entry.host}`)
    }
    const said = auditIndexOf(entry)
    const isFoundRightly =
      said.action === index.action &&
      said.actor === index.actor &&
      said.owner === index.owner &&
      said.sessionId === index.sessionId
    if (!isFoundRightly) return wrong(`entry ${seq} of the database is filed under what it does not say`)
    const isChange = entry.action === 'key.changed'
    const key = isChange ? this.#readKey(entry) : null
    if (isChange && key === null)
      return wrong(`entry ${seq} of the database names no key for the epoch after ${this.#epoch}`)
    if (!isChange && entry.epoch !== this.#epoch) {
      return wrong(
        `entry ${seq} of the database says that it is of epoch ${entry.epoch}, and the epoch is ${this.#epoch}`,
      )
    }
    if (key !== null) this.#announce(key)
    this.#append(leafHash(bytes))
    return null
  }

  #append(leaf: Hash): void {
    let segment = this.#recent.at(-1)
    if (segment === undefined || segment.leaves.length >= segmentLeaves) {
      segment = { start: this.#tree.frontier(), leaves: [] }
      this.#recent.push(segment)
      if (this.#recent.length > maxRecentLeaves / segmentLeaves) this.#recent.shift()
    }
    segment.leaves.push(leaf)
    this.#tree.append(leaf)
    this.#lastLeaf = leaf
  }

  #readKey(entry: ParsedAuditEntry): AnnouncedKey | null {
    const { epoch, publicKey, previous, lost } = entry.detail
    if (typeof publicKey !== 'string' || epoch !== entry.epoch || entry.epoch !== this.#epoch + 1) return null
    if (parseLogKey(publicKey, this.host) === null) return null
    const before = this.#announced.at(-1)?.vkey ?? this.#keys.at(-1)?.vkey ?? null
    if (previous !== before && !this.#trusts(publicKey)) return null
    return { epoch: entry.epoch, vkey: publicKey, fromSeq: entry.seq, isLost: lost === true }
  }

  #announce(key: AnnouncedKey): void {
    this.#epoch = key.epoch
    // The log's first key has nobody to vouch for it: it is believed at first sight.
    const isFirst = this.#keys.length === 0 && this.#announced.length === 0
    if (isFirst || (this.#announced.length === 0 && this.#trusts(key.vkey))) this.#pin(key)
    else this.#announced = [...this.#announced, key]
  }

  #pin({ epoch, vkey, fromSeq }: LogKey): void {
    this.#keys = [...this.#keys, { epoch, vkey, fromSeq }]
    this.#hasSigned = false
  }

  /** The root of the tree of the first `size` entries, or null where that is too long ago to be known by itself. */
  rootAt(size: number): Hash | null {
    if (size === this.size) return this.root
    const segment = this.#recent.findLast(({ start }) => start.size <= size)
    if (segment === undefined || size > segment.start.size + segment.leaves.length) return null
    const tree = TreeBuilder.from(segment.start)
    for (const leaf of segment.leaves.slice(0, size - segment.start.size)) tree.append(leaf)
    return tree.root()
  }

  /** Takes the next checkpoint, of a size that was checked before.
   *  @param root of the tree of that size
   *  @returns what is wrong with it, or null */
  check({ size, note }: Pick<StoredCheckpoint, 'size' | 'note'>, root: Hash): AuditAlarm | null {
    const range = { from: Math.min(this.#checkedSize + 1, size), to: size }
    const bad = (why: string) => new AuditAlarm('bad-signature', range, `the checkpoint of ${size} entries ${why}`)
    const believed = this.#signers(size)
    const announced = this.#announced[0]
    const keys = [...believed, ...(announced === undefined ? [] : [announced])]
    const known = new Map(keys.map(({ vkey }) => [vkey, parseLogKey(vkey, this.host)]))
    const all = [...known.values()].filter((key): key is NoteKey => key !== null)
    const opened = openCheckpoint(note, all, originOf(this.host))
    if (opened.fault !== null) return bad(checkpointFaults[opened.fault])
    if (opened.checkpoint.size !== size) return bad(`says that it is of ${opened.checkpoint.size}`)
    const signers = believed.filter(({ vkey }) => opened.signedBy.some((key) => key === known.get(vkey)))
    if (signers.length === 0) return bad(unannounced(announced))
    if (!equalHashes(opened.checkpoint.root, root)) {
      return new AuditAlarm(
        'fork',
        range,
        `the checkpoint of ${size} entries is not of the ${entries(1, size)} that were seen here: there are two logs`,
      )
    }
    this.#checkedSize = size
    if (signers.some(({ vkey }) => vkey === this.#keys.at(-1)?.vkey)) this.#hasSigned = true
    // The old key has signed for the entry that names the new one.
    if (announced !== undefined && size >= announced.fromSeq && !announced.isLost) {
      this.#announced = this.#announced.slice(1)
      this.#pin(announced)
    }
    return null
  }

  /** Who may sign a checkpoint of that size now. */
  #signers(size: number): readonly LogKey[] {
    const keys = this.#keys.slice(this.#hasSigned ? -1 : -2)
    return keys.filter(({ fromSeq }) => fromSeq <= size)
  }
}

const checkpointFaults = {
  malformed: 'is none',
  'other-log': 'is of another log',
  'bad-signature': "has a signature that is not the log's key's, and says that it is",
  unsigned: 'is not signed by a key of the log that is known here',
} as const

function unannounced(announced: AnnouncedKey | undefined): string {
  const from = announced === undefined ? '' : ` (${announced.vkey}, named by entry ${announced.fromSeq})`
  const why = announced?.isLost
    ? 'which the log says takes the place of one that was lost'
    : 'which the key before it has not signed for'
  return `is signed by a new key${from}, ${why}; if that is right: auditor accept --reason TEXT`
}

/** Null for what is no key of this host's log. */
function parseLogKey(vkey: string, host: string): NoteKey | null {
  const key = parseVerifierKey(vkey)
  return key !== null && key.algorithm === ed25519 && key.name === originOf(host) ? key : null
}
