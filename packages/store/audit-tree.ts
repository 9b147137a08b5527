// The Merkle tree of a host's log as the store keeps it, the same for both engines: its frontier beside the head, and the roots of
// complete subtrees of each eighth level, from which any other one is made of at most 256 hashes.

import {
  emptyFrontier,
  type Frontier,
  type Hash,
  nodeHash,
  type Subtree,
  TreeBuilder,
} from '@teleclaude/core/merkle.ts'
import { StoreError } from './contract.ts'

/** Levels between those that are stored. */
export const levelStep = 8
const width = 2 ** levelStep
/** Enough for 2^53 entries. */
const tierCount = 7

export type StoredSubtree = Subtree & { readonly hash: Hash }

/** A tree that grows and says which stored subtrees became complete. Each tier counts to 256: the first one leaves, the next one
 *  what the first has completed, and so on. */
export class AuditTree {
  readonly #tiers: TreeBuilder[]
  #size: number
  #completed: StoredSubtree[] = []

  private constructor(tiers: TreeBuilder[], size: number) {
    this.#tiers = tiers
    this.#size = size
  }

  /** @throws RangeError for a frontier that is none */
  static from(frontier: Frontier): AuditTree {
    const hashes = [...TreeBuilder.from(frontier).frontier().hashes]
    const tiers: TreeBuilder[] = []
    let rest = frontier.size
    for (let tier = 0; tier < tierCount; tier++) {
      const size = rest % width
      rest = (rest - size) / width
      // The smallest are last, one for each 1 bit of the size.
      const count = size.toString(2).replaceAll('0', '').length
      tiers.push(TreeBuilder.from({ size, hashes: hashes.splice(hashes.length - count) }))
    }
    return new AuditTree(tiers, frontier.size)
  }

  get size(): number {
    return this.#size
  }

  append(leaf: Hash): void {
    this.#size += 1
    let root = leaf
    for (const [tier, builder] of this.#tiers.entries()) {
      builder.append(root)
      if (builder.size < width) return
      root = builder.root()
      this.#tiers[tier] = TreeBuilder.from(emptyFrontier)
      const level = (tier + 1) * levelStep
      this.#completed.push({ level, index: this.#size / 2 ** level - 1, hash: root })
    }
  }

  /** What was completed since it was asked last. */
  takeCompleted(): readonly StoredSubtree[] {
    const completed = this.#completed
    this.#completed = []
    return completed
  }

  frontier(): Frontier {
    return { size: this.#size, hashes: this.#tiers.toReversed().flatMap((builder) => builder.frontier().hashes) }
  }
}

/** What a subtree is made of: neighbours on a level that is stored, or leaves (level 0). */
export type SubtreeParts = { readonly level: number; readonly first: number; readonly count: number }

/** @throws RangeError for one that no tree has */
export function partsOf({ level, index }: Subtree): SubtreeParts {
  const last = (index + 1) * 2 ** level
  if (!Number.isInteger(level) || level < 0 || !Number.isInteger(index) || index < 0 || !Number.isSafeInteger(last))
    throw new RangeError(`cannot read the subtree ${index} of level ${level}: there is no such one`)
  const stored = level - (level % levelStep)
  const count = 2 ** (level - stored)
  return { level: stored, first: index * count, count }
}

/** @param found the hashes of the parts there are, in order
 *  @throws StoreError 'audit-broken' where some are missing */
export function rootOfParts(host: string, { level, index }: Subtree, found: readonly Hash[]): Hash {
  const { count } = partsOf({ level, index })
  if (found.length !== count) {
    const why = `of its ${count} parts ${found.length} are there`
    throw new StoreError(
      'audit-broken',
      `cannot read the audit log of ${host}: the subtree ${index} of level ${level} is not complete (${why})`,
    )
  }
  let hashes = found
  while (hashes.length > 1) {
    const pairs: Hash[] = []
    for (let at = 0; at < hashes.length; at += 2)
      pairs.push(nodeHash(requirePart(hashes[at]), requirePart(hashes[at + 1])))
    hashes = pairs
  }
  return requirePart(hashes[0])
}

function requirePart(hash: Hash | undefined): Hash {
  if (hash === undefined) throw new RangeError('a subtree is made of a power of two of hashes')
  return hash
}
