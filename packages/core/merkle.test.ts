import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  consistencyProof,
  decodeFrontier,
  emptyFrontier,
  emptyRoot,
  encodeFrontier,
  type Hash,
  inclusionProof,
  leafHash,
  nodeHash,
  type ReadSubtrees,
  type Subtree,
  TreeBuilder,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const unhex = (text: string) => Buffer.from(text, 'hex')

// Of Certificate Transparency's reference implementation, kept in transparency-dev/merkle, testonly/constants.go and
// proof/verify_test.go: eight inputs, the hashes of all perfect subtrees by level, the root for each size.
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  unhex,
)
const levels = [
  [
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
    '0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7',
    '07506a85fd9dd2f120eb694f86011e5bb4662e5c415a62917033d4a9624487e7',
    'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    '4271a26be0d8a84f0bd54c8c302e7cb3a3b5d1fa6780a40bcce2873477dab658',
    'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
    '46f6ffadd3d06a09ff3c5860d2755c8b9819db7df44251788c7d8e3180de8eb1',
  ],
  [
    'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
    '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
    '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
    'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
  ],
  [
    'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
  ],
  ['5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328'],
]
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
/** The published hash of level and index, by its place above. */
const at = (level: number, index: number) => levels[level]?.[index] ?? assert.fail()
const publishedInclusion: readonly [index: number, size: number, proof: readonly string[]][] = [
  [0, 1, []],
  [0, 8, [at(0, 1), at(1, 1), at(2, 1)]],
  [5, 8, [at(0, 4), at(1, 3), at(2, 0)]],
  [2, 3, [at(1, 0)]],
  [1, 5, [at(0, 0), at(1, 1), at(0, 4)]],
]
const publishedConsistency: readonly [from: number, to: number, proof: readonly string[]][] = [
  [1, 1, []],
  [1, 8, [at(0, 1), at(1, 1), at(2, 1)]],
  [6, 8, [at(1, 2), at(1, 3), at(2, 0)]],
  [2, 5, [at(1, 1), at(0, 4)]],
  [6, 7, [at(1, 2), at(0, 6), at(2, 0)]],
]

/** As RFC 6962 defines it, word by word. */
function definedRoot(leaves: readonly Hash[]): Hash {
  const [only] = leaves
  if (only === undefined) return createHash('sha256').digest()
  if (leaves.length === 1) return only
  let left = 1
  while (left * 2 < leaves.length) left *= 2
  const sides = [definedRoot(leaves.slice(0, left)), definedRoot(leaves.slice(left))]
  return createHash('sha256')
    .update(Buffer.from([1]))
    .update(Buffer.concat(sides))
    .digest()
}

function reader(leaves: readonly Hash[]): ReadSubtrees & { calls: (readonly Subtree[])[] } {
  const read = async (wanted: readonly Subtree[]) => {
    read.calls.push(wanted)
    return wanted.map(({ level, index }) => {
      const within = leaves.slice(index * 2 ** level, (index + 1) * 2 ** level)
      assert.equal(within.length, 2 ** level, `level ${level}, index ${index}: not complete`)
      return definedRoot(within)
    })
  }
  read.calls = [] as (readonly Subtree[])[]
  return read
}

function treeOf(leaves: readonly Hash[]): TreeBuilder {
  const tree = TreeBuilder.from(emptyFrontier)
  for (const leaf of leaves) tree.append(leaf)
  return tree
}

const leavesOf = (size: number) => Array.from({ length: size }, (_, n) => leafHash(Buffer.from(`entry ${n}`)))
const rootOf = (leaves: readonly Hash[]) => treeOf(leaves).root()

test('leaves, nodes and roots are those that Certificate Transparency published', () => {
  const leaves = inputs.map(leafHash)
  assert.deepEqual(leaves.map(hex), levels[0])
  assert.equal(hex(nodeHash(unhex(at(1, 0)), unhex(at(1, 1)))), at(2, 0))
  for (const [size, root] of roots.entries()) assert.equal(hex(rootOf(leaves.slice(0, size))), root)
  assert.equal(hex(emptyRoot), roots[0])
})

test('proofs are those that Certificate Transparency published', async () => {
  const leaves = inputs.map(leafHash)
  for (const [index, size, proof] of publishedInclusion) {
    assert.deepEqual((await inclusionProof(index, size, reader(leaves))).map(hex), proof, `${index} in ${size}`)
    const leaf = leaves[index] ?? assert.fail()
    assert.ok(verifyInclusion({ index, size, leaf, proof: proof.map(unhex), root: unhex(roots[size] ?? '') }))
  }
  for (const [from, to, proof] of publishedConsistency) {
    assert.deepEqual((await consistencyProof(from, to, reader(leaves))).map(hex), proof, `${from} to ${to}`)
    const [fromRoot, toRoot] = [unhex(roots[from] ?? ''), unhex(roots[to] ?? '')]
    assert.ok(verifyConsistency({ from, fromRoot, to, toRoot, proof: proof.map(unhex) }))
  }
})

test('a proof from a log of 58 million entries holds', () => {
  // Of Go's checksum database; transparency-dev/incubator, cmd/tlog-verify.
  const leaf = leafHash(
    Buffer.from(
      'github.com/transparency-dev/tessera v1.0.0 h1:4OT1V9xJLa5NnYlFWWlCdZkCm18/o12rdd+bCTje7XE=\n' +
        'github.com/transparency-dev/tessera v1.0.0/go.mod h1:TLvfjlkbmsmKVEJUtzO2eb9Q2IBnK3EJ0dI4G0oxEOU=\n',
    ),
  )
  assert.equal(hex(leaf), '0fa57c511c3b2ffcc0a05ad63172568d265aaf9844e9b636a0978795396f2ab1')
  const proof = `Q2cuq1e21q4UC1RQ6wtmXmCxk2q3Wqz/yFvD12P2KSM= VdgHwjNYSv9fZVxvYzn8kySGvrjqeCnzdJqJILieWf4=
    ARfBpZjsj3LSP42V4xBVdCKbHVa4WXSbuFAa0rUSCVQ= 0VYgz0Vmgz6jOM8H6edZBWHtO6+R7tPvN4EOwwRRSws=
    vq+ifloynXE+ORFC1wymQT0cpNIJA1tqg2mQpA55+kc= SCRewH6vHE1/Vwkt5yEW8xT7il0WbWltXjFIVqlGtQQ=
    p//fIG8jgZie4MMwjHF7quCIJ4hErr7U4at0HV34MZQ= D3K5YdBlxQcklrgF8vSbDyT05J5/mA9lzuhhp72uSOk=
    jeYlYyH9FhYGwu+ZJmfPr8GvSNdgrydwqmJgHsygoR0= p6RFgfGhu8Uuy0LyyZdI4MrSPOZkMe+ycwWJFfr8zTI=
    AMZsxrVKBPSe8nSNVVCTyTxWns0CiNbChG/FoiSJWuM= e+rtSmK5Pd1K5LgFwj7VSo5XJXOcq7OOcqPVZn1hqeM=
    expmv1e6XiGr5NMUjMRkSZijlcBx+fZcpqQmUnawhOY= +Wuic0YARH84k80/Q+KJIbhRCldxG8npjLFiHMLtEpo=
    NOMeJqlyUxFXUKYRI/1YqAF4WJBfXJr8UM/SlWGqxgY= Lm6+TAlLb2lvUs/3unZ2t6RSmJw8RO+WuEuUbAw3QEc=
    Jhh2EDG15gDBoLmLiF88lVTgd+uvx3L0xczb8Y3kSq8= taenaiKqtYMXS3gDzIF3q8VZzqAXqftHqL9BC39njaw=
    kZNKypGwEANnt1+msLINnqrIrwX+0MGZUTTKXTfbloI= A4NJSymjVJ5dvGPaGC3Gj04x8qVRKYfh0pP24mwd6Yk=
    KQq808D9W4NUgr4ip+rF/RCyAUERYKKCwKiiAJfaFOc= I3EVN3zM2rDjs5Q06Zr5gxhg+ksnX2h77E75uL+h3aI=
    7iNSYSDhMeRkeV7r9krKbKelNPiqDCJU1i6xAn/Fbuw= MYqdo6zSjxaAn+29EEjNRbPYm0myB3bheu+HTZIAbVY=
    S7olT9TPLXk+bbawbV3sAzWMmhcpWrtjbw++9ZTiyn8= xJ20xXM4QItt5vxFOtolZ5l18p7ej1+RimNkgWmoRFM=`
    .split(/\s+/)
    .map((hash) => Buffer.from(hash, 'base64'))
  const root = Buffer.from('lIyLAEe4zJUQAda6pFFg3yPOf7j1SgfMEDrpgoX39JU=', 'base64')
  assert.ok(verifyInclusion({ index: 43_930_254, size: 58_253_265, leaf, proof, root }))
  assert.ok(!verifyInclusion({ index: 43_930_255, size: 58_253_265, leaf, proof, root }))
})

const sizes = fc.integer({ min: 0, max: 70 })

test('a tree that grew has the root that is defined for it, and goes on from its frontier', () => {
  fc.assert(
    fc.property(sizes, sizes, (size, more) => {
      const leaves = leavesOf(size + more)
      const { hashes } = treeOf(leaves.slice(0, size)).frontier()
      const stored = encodeFrontier({ size, hashes })
      assert.equal(hashes.length, size.toString(2).replaceAll('0', '').length)
      const tree = TreeBuilder.from(decodeFrontier(size, stored))
      assert.equal(hex(tree.root()), hex(definedRoot(leaves.slice(0, size))))
      for (const leaf of leaves.slice(size)) tree.append(leaf)
      assert.equal(tree.size, size + more)
      assert.equal(hex(tree.root()), hex(definedRoot(leaves)))
    }),
  )
})

test('a frontier is not changed by what is appended, nor by what happens to the bytes it was read from', () => {
  const stored = Buffer.from(encodeFrontier(treeOf(leavesOf(7)).frontier()))
  const frontier = decodeFrontier(7, stored)
  const before = hex(encodeFrontier(frontier))
  stored.fill(0)
  const tree = TreeBuilder.from(frontier)
  tree.append(leafHash(Buffer.from('one more')))
  assert.equal(hex(encodeFrontier(frontier)), before)
  assert.equal(tree.frontier().hashes.length, 1)
})

test('a frontier whose length does not fit its size is refused', () => {
  const stored = encodeFrontier(treeOf(leavesOf(7)).frontier())
  for (const size of [0, 6, 8, 15, -7, 7.5, Number.NaN, 2 ** 53])
    assert.throws(() => decodeFrontier(size, stored), RangeError, `${size}`)
  assert.throws(() => decodeFrontier(7, stored.subarray(1)), RangeError)
  assert.throws(() => TreeBuilder.from({ size: 1, hashes: [] }), RangeError)
  assert.throws(() => TreeBuilder.from({ size: 1, hashes: [new Uint8Array(31)] }), RangeError)
  assert.throws(() => treeOf([new Uint8Array(33)]), RangeError)
})

test('a tree may be larger than what 32-bit operators hold, up to 2^53 - 1', async () => {
  const size = 2 ** 53 - 2
  // All leaves are equal in it, so that every perfect subtree has a root which is known.
  const perfect = [leafHash(Buffer.from('same'))]
  for (let level = 1; level < 53; level += 1)
    perfect.push(nodeHash(perfect.at(-1) ?? emptyRoot, perfect.at(-1) ?? emptyRoot))
  const root = (level: number) => perfect[level] ?? assert.fail()
  const read: ReadSubtrees = async (wanted) => wanted.map(({ level }) => root(level))
  const tree = TreeBuilder.from({ size, hashes: perfect.slice(1).reverse() })
  const before = tree.root()
  tree.append(root(0))
  assert.equal(tree.size, 2 ** 53 - 1)
  assert.throws(() => tree.append(root(0)), RangeError)
  const index = 2 ** 40 + 1
  const included = await inclusionProof(index, tree.size, read)
  assert.ok(verifyInclusion({ index, size: tree.size, leaf: root(0), proof: included, root: tree.root() }))
  const proof = await consistencyProof(size, tree.size, read)
  assert.ok(verifyConsistency({ from: size, fromRoot: before, to: tree.size, toRoot: tree.root(), proof }))
})

/** The way from the leaf up to the root: on which side the other one is at each step. */
function wayUp(index: number, size: number): string {
  if (size === 1) return ''
  let left = 1
  while (left * 2 < size) left *= 2
  return index < left ? `${wayUp(index, left)}r` : `${wayUp(index - left, size - left)}l`
}

const flipped = (hash: Hash, byte: number) => Buffer.from(hash).map((value, n) => (n === byte ? value ^ 1 : value))

/** What an attacker might make of a proof that holds: each is another one. */
function* spoiled(proof: readonly Hash[], byte: number): Generator<readonly Hash[]> {
  for (const [n, hash] of proof.entries()) {
    yield proof.with(n, flipped(hash, byte))
    yield proof.with(n, hash.subarray(0, 31))
    yield proof.toSpliced(n, 1)
    yield proof.toSpliced(n, 0, hash)
    if (n > 0) yield [...proof].reverse()
  }
  yield [...proof, emptyRoot]
  yield [emptyRoot, ...proof]
}

const places = fc
  .integer({ min: 1, max: 70 })
  .chain((size) => fc.tuple(fc.integer({ min: 0, max: size - 1 }), fc.constant(size)))
const bytes = fc.integer({ min: 0, max: 31 })

test('every entry is proved to be in every tree that has it, by one reading, and by no other proof', async () => {
  await fc.assert(
    fc.asyncProperty(places, bytes, async ([index, size], byte) => {
      const leaves = leavesOf(size)
      const read = reader(leaves)
      const proof = await inclusionProof(index, size, read)
      assert.ok(read.calls.length <= 1)
      const holds = { index, size, leaf: leaves[index] ?? assert.fail(), proof, root: rootOf(leaves) }
      assert.ok(verifyInclusion(holds))
      for (const wrong of spoiled(proof, byte)) assert.ok(!verifyInclusion({ ...holds, proof: wrong }))
      assert.ok(!verifyInclusion({ ...holds, leaf: flipped(holds.leaf, byte) }))
      assert.ok(!verifyInclusion({ ...holds, root: flipped(holds.root, byte) }))
      for (let other = -1; other <= size; other += 1)
        if (other !== index) assert.ok(!verifyInclusion({ ...holds, index: other }), `index ${other}`)
      for (const other of [0, 1, size - 1, size + 1, size * 2, Math.floor(size / 2)])
        if (other <= index) assert.ok(!verifyInclusion({ ...holds, size: other }))
        else assert.equal(verifyInclusion({ ...holds, size: other }), wayUp(index, other) === wayUp(index, size))
    }),
  )
})

test('every tree is proved to begin with every smaller one, by one reading', async () => {
  const leaves = leavesOf(40)
  for (let to = 0; to <= leaves.length; to += 1)
    for (let from = 0; from <= to; from += 1) {
      const read = reader(leaves.slice(0, to))
      const proof = await consistencyProof(from, to, read)
      assert.ok(read.calls.length <= 1)
      const [fromRoot, toRoot] = [rootOf(leaves.slice(0, from)), rootOf(leaves.slice(0, to))]
      assert.ok(verifyConsistency({ from, fromRoot, to, toRoot, proof }), `${from} to ${to}`)
    }
})

test('no other proof shows a tree to begin with another', async () => {
  const trees = fc.tuple(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 70 }))
  await fc.assert(
    fc.asyncProperty(trees, bytes, async ([from, more], byte) => {
      const to = from + more
      const leaves = leavesOf(to)
      const proof = await consistencyProof(from, to, reader(leaves))
      const holds = { from, fromRoot: rootOf(leaves.slice(0, from)), to, toRoot: rootOf(leaves), proof }
      for (const wrong of spoiled(proof, byte)) assert.ok(!verifyConsistency({ ...holds, proof: wrong }))
      assert.ok(!verifyConsistency({ ...holds, fromRoot: flipped(holds.fromRoot, byte) }))
      assert.ok(!verifyConsistency({ ...holds, toRoot: flipped(holds.toRoot, byte) }))
      assert.ok(!verifyConsistency({ ...holds, fromRoot: holds.toRoot, toRoot: holds.fromRoot }))
      assert.ok(!verifyConsistency({ ...holds, from: to, to: from }))
      assert.ok(!verifyConsistency({ ...holds, proof: [] }))
      for (const other of [from - 1, from + 1, to])
        if (other !== from) assert.ok(!verifyConsistency({ ...holds, from: other }), `from ${other}`)
      // A rewritten past: the first leaf is another one.
      const rewritten = [leafHash(Buffer.from('other')), ...leaves.slice(1)]
      const other = await consistencyProof(from, to, reader(rewritten))
      assert.ok(!verifyConsistency({ ...holds, toRoot: rootOf(rewritten), proof: other }))
    }),
  )
})

test('nothing is proved of the empty tree but that all begin with it', () => {
  const [leaf] = leavesOf(1)
  assert.ok(leaf)
  assert.ok(verifyConsistency({ from: 0, fromRoot: emptyRoot, to: 1, toRoot: leaf, proof: [] }))
  assert.ok(!verifyConsistency({ from: 0, fromRoot: leaf, to: 1, toRoot: leaf, proof: [] }))
  assert.ok(!verifyConsistency({ from: 0, fromRoot: emptyRoot, to: 1, toRoot: leaf, proof: [leaf] }))
  assert.ok(!verifyInclusion({ index: 0, size: 0, leaf, proof: [], root: emptyRoot }))
})

test('sizes and places that are none are refused, and a reader that gives another number of roots', async () => {
  const read = reader(leavesOf(4))
  for (const [index, size] of [
    [4, 4],
    [-1, 4],
    [0.5, 4],
    [0, -1],
    [0, Number.NaN],
    [0, 2 ** 53],
  ] as const) {
    await assert.rejects(inclusionProof(index, size, read), RangeError)
    assert.ok(!verifyInclusion({ index, size, leaf: emptyRoot, proof: [], root: emptyRoot }))
  }
  await assert.rejects(consistencyProof(4, 3, read), RangeError)
  await assert.rejects(consistencyProof(-1, 3, read), RangeError)
  await assert.rejects(
    inclusionProof(0, 4, async () => []),
    RangeError,
  )
})
