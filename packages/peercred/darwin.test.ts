import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseXucred } from './darwin.ts'

/** `struct xucred` of sys/ucred.h as it lies in memory on x86-64 and arm64, from a dump in hexadecimal. */
const dump = (hex: string) => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')

const firstUser = dump(`
  00000000 f5010000 0d00 0000
  14000000 0c000000 3d000000 4f000000 50000000 51000000 62000000 bd020000
  21000000 64000000 cc000000 fa000000 8b010000 00000000 00000000 00000000`)

test('uid, gid and groups are where sys/ucred.h puts them; the first group is the gid', () => {
  assert.deepEqual(parseXucred(firstUser), {
    uid: 501,
    gid: 20,
    groups: [12, 61, 79, 80, 81, 98, 701, 33, 100, 204, 250, 395],
  })
})

test('root with wheel alone has a gid and no supplementary groups', () => {
  const bytes = dump(`00000000 00000000 0100 0000 00000000 ${'ffffffff'.repeat(15)}`)
  assert.deepEqual(parseXucred(bytes), { uid: 0, gid: 0, groups: [] })
})

test('nothing beyond cr_ngroups becomes a group', () => {
  const bytes = dump(`00000000 f6010000 0200 0000 14000000 0c000000 ${'50000000'.repeat(14)}`)
  assert.deepEqual(parseXucred(bytes).groups, [12])
})

test('padding after cr_ngroups says nothing', () => {
  const bytes = dump(`00000000 f6010000 0100 ffff 14000000 ${'00000000'.repeat(15)}`)
  assert.deepEqual(parseXucred(bytes), { uid: 502, gid: 20, groups: [] })
})

test('all sixteen groups are read', () => {
  const bytes = dump(`00000000 f6010000 1000 0000 ${'14000000'.repeat(15)} 15000000`)
  assert.equal(parseXucred(bytes).groups.length, 15)
  assert.equal(parseXucred(bytes).groups.at(-1), 21)
})

test('another version, an impossible count, a short or long answer are refused', () => {
  const changed = (offset: number, value: number) => {
    const bytes = Buffer.from(firstUser)
    bytes.writeUInt8(value, offset)
    return bytes
  }
  assert.throws(() => parseXucred(changed(0, 1)), { code: 'malformed' })
  assert.throws(() => parseXucred(changed(8, 0)), { code: 'malformed' })
  assert.throws(() => parseXucred(changed(8, 17)), { code: 'malformed' })
  assert.throws(() => parseXucred(changed(9, 0x80)), { code: 'malformed' })
  for (const length of [0, 4, 44, 75])
    assert.throws(() => parseXucred(firstUser.subarray(0, length)), { code: 'malformed' })
  assert.throws(() => parseXucred(Buffer.concat([firstUser, Buffer.alloc(4)])), { code: 'malformed' })
})

test('uid -1 is nobody', () => {
  const bytes = Buffer.from(firstUser)
  bytes.writeUInt32LE(0xffff_ffff, 4)
  assert.throws(() => parseXucred(bytes), { code: 'unmapped-uid' })
})
