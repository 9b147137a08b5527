// The Merkle tree of the audit log: RFC 6962, section 2.1, which RFC 9162 keeps. One hash stands for all entries up to a size,
// short proofs show that an entry is among them, and that a later tree holds all of an earlier one, in its place. Trees may have
// up to 2^53 - 1 leaves: no 32-bit operators on sizes here.

import { hash } from 'node:crypto'

/** 32 bytes. */
export type Hash = Uint8Array

export const hashBytes = 32

/** Of the tree without leaves. */
export const emptyRoot: Hash = hash('sha256', '', 'buffer')

// The first byte keeps an entry that looks like two hashes from passing for a node (RFC 6962, section 2.1).
const leafPrefix = 0
const nodePrefix = 1

export function leafHash(bytes: Uint8Array): Hash {
  const input = Buffer.allocUnsafe(1 + bytes.length)
  input[0] = leafPrefix
  input.set(bytes, 1)
  return hash('sha256', input, 'buffer')
}

// One for all calls: a call fills it and is done with it before any other can run.
const pair = Buffer.alloc(1 + 2 * hashBytes, nodePrefix)

export function nodeHash(left: Hash, right: Hash): Hash {
  requireHash(left)
  requireHash(right)
  pair.set(left, 1)
  pair.set(right, 1 + hashBytes)
  return hash('sha256', pair, 'buffer')
}

export function equalHashes(one: Hash, other: Hash): boolean {
  return Buffer.compare(one, other) === 0
}

/** The roots of the perfect subtrees that a tree of `size` leaves is made of, largest first: one for each 1 bit of size. */
export type Frontier = { readonly size: number; readonly hashes: readonly Hash[] }

export const emptyFrontier: Frontier = { size: 0, hashes: [] }

/** A growing tree, of which only its frontier is kept. */
export class TreeBuilder {
  #size: number
  readonly #hashes: Hash[]

  private constructor(frontier: Frontier) {
    this.#size = frontier.size
    this.#hashes = [...frontier.hashes]
  }

  /** @throws RangeError for a frontier that is none */
  static from(frontier: Frontier): TreeBuilder {
    if (frontier.hashes.length !== frontierLength(frontier.size)) {
      throw new RangeError(`a tree of ${frontier.size} leaves is not made of ${frontier.hashes.length} perfect ones`)
    }
    for (const root of frontier.hashes) requireHash(root)
    return new TreeBuilder(frontier)
  }

  get size(): number {
    return this.#size
  }

  append(leaf: Hash): void {
    requireHash(leaf)
    if (this.#size === Number.MAX_SAFE_INTEGER) throw new RangeError('a tree has at most 2^53 - 1 leaves')
    let root = leaf
    // As a 1 is added in binary: each 1 at the end is a perfect tree that, with this one, makes one of twice the size.
    for (let rest = this.#size; rest % 2 === 1; rest = half(rest)) root = nodeHash(this.#hashes.pop() ?? root, root)
    this.#hashes.push(root)
    this.#size += 1
  }

  frontier(): Frontier {
    return { size: this.#size, hashes: [...this.#hashes] }
  }

  root(): Hash {
    return rootOf(this.#hashes)
  }
}

/** The hashes one after the other. Nothing says the size: it is to be stored beside them. */
export function encodeFrontier(frontier: Frontier): Uint8Array {
  return Buffer.concat(frontier.hashes)
}

/** @throws RangeError where the length does not fit the size */
export function decodeFrontier(size: number, bytes: Uint8Array): Frontier {
  const count = frontierLength(size)
  if (bytes.length !== count * hashBytes) {
    throw new RangeError(`the frontier of a tree of ${size} leaves has ${count * hashBytes} bytes, not ${bytes.length}`)
  }
  return {
    size,
    hashes: Array.from({ length: count }, (_, n) =>
      // A copy also of a Buffer, whose own `slice` makes none.
      Uint8Array.from(bytes.subarray(n * hashBytes, (n + 1) * hashBytes)),
    ),
  }
}

/** The perfect subtree over the leaves from index * 2^level up to, without, (index + 1) * 2^level. */
export type Subtree = { readonly level: number; readonly index: number }

/** Reads the roots of perfect subtrees, all of whose leaves are there, in the order in which they are asked for. */
export type ReadSubtrees = (wanted: readonly Subtree[]) => Promise<readonly Hash[]>

/** That the leaf at `index`, counted from 0, is in the tree of the first `size` leaves. Reads once, all that is wanted.
 *  @throws RangeError for an index that is not in the tree */
export async function inclusionProof(index: number, size: number, read: ReadSubtrees): Promise<readonly Hash[]> {
  requireSize(size)
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`a tree of ${size} leaves has none at ${index}`)
  }
  const siblings: LeafRange[] = []
  let range: LeafRange = { begin: 0, end: size }
  while (range.end - range.begin > 1) {
    const [left, right] = splitRange(range)
    const inLeft = index < left.end
    siblings.unshift(inLeft ? right : left)
    range = inLeft ? left : right
  }
  return readRoots(siblings, read)
}

/** That the tree of the first `to` leaves begins with that of the first `from`. Reads once, all that is wanted.
 *  @throws RangeError where `from` is more than `to` */
export async function consistencyProof(from: number, to: number, read: ReadSubtrees): Promise<readonly Hash[]> {
  requireSize(from)
  requireSize(to)
  if (from > to) throw new RangeError(`a tree of ${to} leaves can't begin with one of ${from}`)
  if (from === 0 || from === to) return []
  const parts: LeafRange[] = []
  let range: LeafRange = { begin: 0, end: to }
  while (range.end !== from) {
    const [left, right] = splitRange(range)
    const inLeft = from <= left.end
    parts.unshift(inLeft ? right : left)
    range = inLeft ? left : right
  }
  // Where the earlier tree is itself a subtree of the later one, the verifier knows its root already.
  if (range.begin > 0) parts.unshift(range)
  return readRoots(parts, read)
}

/** RFC 9162, section 2.1.3.2. The proof does not bind the size, of which several can have the same path: a signed checkpoint
 *  does. */
export function verifyInclusion(o: {
  readonly index: number
  readonly size: number
  readonly leaf: Hash
  readonly proof: readonly Hash[]
  readonly root: Hash
}): boolean {
  if (!isSize(o.index) || !isSize(o.size) || o.index >= o.size) return false
  if (![o.leaf, o.root, ...o.proof].every(isHash)) return false
  let node = o.index
  let last = o.size - 1
  let root = o.leaf
  for (const sibling of o.proof) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      root = nodeHash(sibling, root)
      // A node that has no sibling on its level is lifted to where it has one.
      while (node % 2 === 0 && node !== 0) {
        node = half(node)
        last = half(last)
      }
    } else {
      root = nodeHash(root, sibling)
    }
    node = half(node)
    last = half(last)
  }
  return last === 0 && equalHashes(root, o.root)
}

/** RFC 9162, section 2.1.4.2. Every tree begins with the empty one, without a proof. */
export function verifyConsistency(o: {
  readonly from: number
  readonly fromRoot: Hash
  readonly to: number
  readonly toRoot: Hash
  readonly proof: readonly Hash[]
}): boolean {
  if (!isSize(o.from) || !isSize(o.to) || o.from > o.to) return false
  if (![o.fromRoot, o.toRoot, ...o.proof].every(isHash)) return false
  if (o.from === o.to) return o.proof.length === 0 && equalHashes(o.fromRoot, o.toRoot)
  if (o.from === 0) return o.proof.length === 0 && equalHashes(o.fromRoot, emptyRoot)
  let node = o.from - 1
  let last = o.to - 1
  while (node % 2 === 1) {
    node = half(node)
    last = half(last)
  }
  // Zero by now where the earlier tree is itself a subtree of the later one: then the proof goes on from its root.
  const [first, ...rest] = node === 0 ? [o.fromRoot, ...o.proof] : o.proof
  if (first === undefined || o.proof.length === 0) return false
  let fromRoot = first
  let toRoot = first
  for (const sibling of rest) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      fromRoot = nodeHash(sibling, fromRoot)
      toRoot = nodeHash(sibling, toRoot)
      while (node % 2 === 0 && node !== 0) {
        node = half(node)
        last = half(last)
      }
    } else {
      toRoot = nodeHash(toRoot, sibling)
    }
    node = half(node)
    last = half(last)
  }
  return last === 0 && equalHashes(fromRoot, o.fromRoot) && equalHashes(toRoot, o.toRoot)
}

/** Leaves from `begin` up to, without, `end`. */
type LeafRange = { readonly begin: number; readonly end: number }

/** As RFC 6962 splits a tree: on the left the most leaves that are a power of two and not all of them. */
function splitRange({ begin, end }: LeafRange): readonly [LeafRange, LeafRange] {
  let width = 1
  while (width * 2 < end - begin) width *= 2
  return [
    { begin, end: begin + width },
    { begin: begin + width, end },
  ]
}

/** The perfect subtrees that a range is made of, largest first. Ranges come from `splitRange`, so that they begin where such a
 *  one can. */
function subtreesOf({ begin, end }: LeafRange): readonly Subtree[] {
  const subtrees: Subtree[] = []
  for (let from = begin; from < end; ) {
    let level = 0
    while (2 ** (level + 1) <= end - from) level += 1
    subtrees.push({ level, index: from / 2 ** level })
    from += 2 ** level
  }
  return subtrees
}

async function readRoots(ranges: readonly LeafRange[], read: ReadSubtrees): Promise<readonly Hash[]> {
  const made = ranges.map(subtreesOf)
  const wanted = made.flat()
  if (wanted.length === 0) return []
  const roots = await read(wanted)
  if (roots.length !== wanted.length) {
    throw new RangeError(`asked for the roots of ${wanted.length} subtrees, and got ${roots.length}`)
  }
  let used = 0
  return made.map((subtrees) => {
    const from = used
    used += subtrees.length
    return rootOf(roots.slice(from, used))
  })
}

/** Of the tree that is made of these perfect ones, largest first. */
function rootOf(perfect: readonly Hash[]): Hash {
  const smallest = perfect.at(-1)
  if (smallest === undefined) return emptyRoot
  return perfect.slice(0, -1).reduceRight((right, left) => nodeHash(left, right), smallest)
}

function frontierLength(size: number): number {
  requireSize(size)
  let ones = 0
  for (let rest = size; rest > 0; rest = half(rest)) ones += rest % 2
  return ones
}

function half(size: number): number {
  return Math.floor(size / 2)
}

function isSize(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0
}

function requireSize(size: number): void {
  if (!isSize(size)) throw new RangeError(`${size} is no size of a tree`)
}

function isHash(bytes: Uint8Array): boolean {
  return bytes.length === hashBytes
}

function requireHash(bytes: Uint8Array): void {
  if (!isHash(bytes)) throw new RangeError(`a hash has ${hashBytes} bytes, not ${bytes.length}`)
}
