import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseGroups, parseUcred, readOverflowUid, refuseUnmapped } from './linux.ts'
import { PeerError } from './peer-error.ts'

const native = (...words: number[]) => new Uint8Array(new Uint32Array(words).buffer)
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })

test('a ucred is read in the machine’s byte order, wherever it lies in memory', () => {
  assert.deepEqual(parseUcred(native(4711, 1000, 100)), { pid: 4711, uid: 1000, gid: 100 })
  const shifted = Buffer.concat([Buffer.from([9]), native(4711, 3_000_000_000, 100)]).subarray(1)
  assert.deepEqual(parseUcred(shifted), { pid: 4711, uid: 3_000_000_000, gid: 100 })
})

test('a pid of 0, for a process of another PID namespace, is no reason to refuse; one below is no pid', () => {
  assert.deepEqual(parseUcred(native(0, 1000, 100)), { pid: 0, uid: 1000, gid: 100 })
  assert.throws(() => parseUcred(native(0xffff_ffff, 1000, 100)), { code: 'malformed' })
})

test('a ucred of nobody, as a socket without a peer has it, is refused', () => {
  const { uid } = parseUcred(native(0, 0xffff_ffff, 0xffff_ffff))
  assert.throws(() => refuseUnmapped(uid, 65_534), { code: 'unmapped-uid' })
})

test('a ucred of any other length is refused', () => {
  for (const length of [0, 4, 8, 11, 13, 16]) {
    assert.throws(() => parseUcred(new Uint8Array(length)), { name: 'PeerError', code: 'malformed' })
  }
})

test('groups come back as they were', () => {
  fc.assert(fc.property(fc.array(u32), (gids) => assert.deepEqual(parseGroups(native(...gids)), gids)))
})

test('a broken group is refused', () => {
  assert.throws(() => parseGroups(new Uint8Array(6)), { code: 'malformed' })
})

test('uid -1 and the overflow uid are nobody, every other uid is somebody', () => {
  assert.throws(() => refuseUnmapped(0xffff_ffff, 65_534), { code: 'unmapped-uid' })
  fc.assert(
    fc.property(u32, (overflow) => assert.throws(() => refuseUnmapped(overflow, overflow), { code: 'unmapped-uid' })),
  )
  fc.assert(
    fc.property(u32, u32, (uid, overflow) => {
      fc.pre(uid !== overflow && uid !== 0xffff_ffff)
      refuseUnmapped(uid, overflow)
    }),
  )
})

test('without a readable overflow uid nobody is identified', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'overflowuid')
  writeFileSync(file, '65534\n')
  assert.equal(readOverflowUid(file), 65_534)
  for (const text of ['', '-1', '65534 1', 'nobody']) {
    writeFileSync(file, text)
    assert.throws(() => readOverflowUid(file), { code: 'reader-unavailable' })
  }
  assert.throws(
    () => readOverflowUid(join(directory, 'missing')),
    (error) => error instanceof PeerError && error.cause !== undefined,
  )
})
