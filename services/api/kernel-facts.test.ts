import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type KernelFacts, readKernelFacts, refuseUnsafe, UnsafeError } from './kernel-facts.ts'

const identity = '         0          0 4294967295\n'
const safe: KernelFacts = { idMaps: [identity, identity], release: '6.12.0-amd64', uid: 60_701, account: null }

test('the machine’s own uids, a uid of nobody else, an ordinary kernel: safe', () => {
  refuseUnsafe(safe)
  for (const account of ['teleclaude', '_teleclaude', 'teleclaude-api']) refuseUnsafe({ ...safe, account })
  refuseUnsafe({ ...safe, idMaps: null })
})

test('where uids are not the machine’s, it says what to do instead', () => {
  for (const map of ['0 1000 1\n1 100000 65536\n', '0 100000 65536\n', '0 0 65536\n', '', '0 0 4294967295\n0 1 2\n']) {
    for (const idMaps of [
      [map, identity],
      [identity, map],
    ]) {
      assert.throws(() => refuseUnsafe({ ...safe, idMaps }), /user namespace.*not rootless.*userns-remap/)
    }
  }
  assert.throws(() => refuseUnsafe({ ...safe, release: '6.10.14-linuxkit' }), /Docker Desktop.*Docker Engine/)
})

test('root, and the uid of somebody’s account, are refused', () => {
  assert.throws(() => refuseUnsafe({ ...safe, uid: 0, account: 'root' }), /as root/)
  for (const account of ['alice', 'not-teleclaude']) {
    assert.throws(
      () => refuseUnsafe({ ...safe, account }),
      (error: unknown) => error instanceof UnsafeError && error.exitCode === 78 && error.message.includes(account),
    )
  }
})

test('the facts of this process are read', () => {
  const { idMaps, uid } = readKernelFacts()
  assert.equal(uid, process.getuid?.())
  assert.equal(idMaps === null, process.platform !== 'linux')
})
