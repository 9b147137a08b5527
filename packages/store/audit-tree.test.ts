// The store's tree is the one of RFC 6962, however it grew.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decodeFrontier,
  emptyFrontier,
  encodeFrontier,
  type Hash,
  leafHash,
  nodeHash,
  TreeBuilder,
} from '@teleclaude/core/merkle.ts'
import fc from 'fast-check'
import { AuditTree, levelStep, partsOf, rootOfParts, type StoredSubtree } from './audit-tree.ts'
import { isStoreError } from './test-engines.ts'

const leafOf = (index: number): Hash => leafHash(Buffer.from(String(index)))

function rootOver(first: number, count: number): Hash {
  const tree = TreeBuilder.from(emptyFrontier)
  for (let index = first; index < first + count; index++) tree.append(leafOf(index))
  return tree.root()
}

test('however many are appended at once, the tree is the one of all leaves, and each eighth level is said once', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 6 }), (groups) => {
      const whole = TreeBuilder.from(emptyFrontier)
      const completed: StoredSubtree[] = []
      let frontier = emptyFrontier
      for (const count of groups) {
        // As the next append finds it: size and bytes.
        const tree = AuditTree.from(decodeFrontier(frontier.size, encodeFrontier(frontier)))
        for (let added = 0; added < count; added++) {
          whole.append(leafOf(tree.size))
          tree.append(leafOf(tree.size))
        }
        completed.push(...tree.takeCompleted())
        assert.deepEqual(tree.takeCompleted(), [])
        frontier = tree.frontier()
      }
      assert.equal(frontier.size, whole.size)
      assert.deepEqual(encodeFrontier(frontier), encodeFrontier(whole.frontier()))
      assert.deepEqual(
        completed.map(({ level, index }) => [level, index]),
        Array.from({ length: Math.floor(frontier.size / 256) }, (_, index) => [8, index]),
      )
      for (const { index, hash } of completed) assert.deepEqual(hash, rootOver(index * 256, 256))
    }),
    { numRuns: 20 },
  )
})

test('levels above the first are completed together with what they are made of', () => {
  const tree = AuditTree.from(emptyFrontier)
  const leaf = leafOf(0)
  for (let size = 0; size < 65_535; size++) tree.append(leaf)
  tree.takeCompleted()
  tree.append(leaf)
  const completed = tree.takeCompleted()
  assert.deepEqual(
    completed.map(({ level, index }) => [level, index]),
    [
      [8, 255],
      [16, 0],
    ],
  )
  let root = leaf
  for (let level = 0; level < 16; level++) root = nodeHash(root, root)
  assert.deepEqual(completed.at(-1)?.hash, root)
  assert.deepEqual(tree.frontier(), { size: 65_536, hashes: [root] })
})

test('a tree of any size goes on from its frontier', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.nat({ max: 300 }), (size, more) => {
      const count = size.toString(2).replaceAll('0', '').length
      const frontier = { size, hashes: Array.from({ length: count }, (_, at) => leafOf(at)) }
      const tree = AuditTree.from(frontier)
      assert.deepEqual(tree.frontier(), frontier)
      const whole = TreeBuilder.from(frontier)
      for (let added = 0; added < more && whole.size < Number.MAX_SAFE_INTEGER; added++) {
        whole.append(leafOf(added))
        tree.append(leafOf(added))
      }
      assert.deepEqual(tree.frontier(), whole.frontier())
    }),
    { numRuns: 200 },
  )
  assert.throws(() => AuditTree.from({ size: 3, hashes: [leafOf(0)] }), RangeError)
})

test('any subtree is made of at most 128 neighbours on a stored level, and of nothing where one is missing', () => {
  for (let level = 0; level <= 20; level++) {
    const parts = partsOf({ level, index: 3 })
    assert.equal(parts.level % levelStep, 0)
    assert.ok(parts.count <= 128)
    assert.equal(parts.count * 2 ** parts.level, 2 ** level)
    assert.equal(parts.first * 2 ** parts.level, 3 * 2 ** level)
  }
  const leaves = Array.from({ length: 8 }, (_, index) => leafOf(index + 16))
  assert.deepEqual(rootOfParts('h', { level: 3, index: 2 }, leaves), rootOver(16, 8))
  const isBroken = isStoreError('audit-broken', /subtree 2 of level 3 is not complete/)
  assert.throws(() => rootOfParts('h', { level: 3, index: 2 }, leaves.slice(1)), isBroken)
  for (const none of [
    { level: -1, index: 0 },
    { level: 0.5, index: 0 },
    { level: 0, index: -1 },
    { level: 53, index: 1 },
  ])
    assert.throws(() => partsOf(none), RangeError)
})
