import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { PeerCredentials } from './caller.ts'
import { type GrantedRole, type People, type Person, resolvePerson, withAdmin } from './people.ts'

const peer = (change: Partial<PeerCredentials> = {}): PeerCredentials => ({
  uid: 1000,
  gid: 1000,
  groups: [],
  pid: 1,
  ...change,
})
const person = (change: Partial<Person>): Person => ({
  name: 'alice',
  role: 'member',
  osUsernames: [],
  osUids: [],
  ...change,
})
const rules = (change: Partial<People> = {}): People => ({ people: [], groups: [], accounts: null, ...change })

test('nobody is somebody without a rule', () => {
  for (const uid of [0, 1000])
    assert.partialDeepStrictEqual(resolvePerson(rules(), peer({ uid }), 'x'), { person: null, role: 'public' })
})

test('people come before groups, groups before accounts, and the rule is named', () => {
  const all = rules({
    people: [person({ name: 'Alice', role: 'admin', osUsernames: ['alice'] }), person({ name: 'Bob', osUids: [1002] })],
    groups: [
      { gid: 50, role: 'contributor' },
      { gid: 51, role: 'admin' },
    ],
    accounts: { role: 'newcomer', minUid: 1000 },
  })
  assert.deepEqual(resolvePerson(all, peer({ groups: [51] }), 'alice'), {
    person: 'Alice',
    role: 'admin',
    because: 'people: Alice has os_username alice',
  })
  assert.partialDeepStrictEqual(resolvePerson(all, peer({ uid: 1002 }), null), { person: 'Bob', role: 'member' })
  assert.partialDeepStrictEqual(resolvePerson(all, peer({ uid: 1003, groups: [51, 50] }), 'carol'), {
    person: 'carol',
    role: 'contributor',
    because: 'groups: gid 50',
  })
  assert.partialDeepStrictEqual(resolvePerson(all, peer({ uid: 1003, gid: 51 }), 'carol'), { role: 'admin' })
  assert.partialDeepStrictEqual(resolvePerson(all, peer({ uid: 1003 }), 'carol'), { person: 'carol', role: 'newcomer' })
  assert.partialDeepStrictEqual(resolvePerson(all, peer({ uid: 999 }), 'daemon'), { person: null, role: 'public' })
})

test('an account that is called like a person is not that person', () => {
  const all = rules({
    people: [person({ name: 'alice', osUsernames: ['alice2'] })],
    groups: [{ gid: 50, role: 'admin' }],
    accounts: { role: 'member', minUid: 0 },
  })
  const { person: name, role, because } = resolvePerson(all, peer({ groups: [50] }), 'alice')
  assert.deepEqual({ name, role }, { name: null, role: 'public' })
  assert.match(because, /called like a person/)
})

test('the admin of the deployment is added, unless the configuration knows them', () => {
  const added = withAdmin(rules(), 1000, 'alice')
  assert.partialDeepStrictEqual(resolvePerson(added, peer(), 'alice'), { person: 'alice', role: 'admin' })
  assert.partialDeepStrictEqual(resolvePerson(withAdmin(rules(), 1000, null), peer(), null), { person: 'uid-1000' })
  assert.partialDeepStrictEqual(resolvePerson(withAdmin(rules(), 0, 'root'), peer({ uid: 0 }), 'root'), {
    role: 'admin',
  })
  for (const known of [person({ osUids: [1000] }), person({ osUsernames: ['alice'] })]) {
    const own = rules({ people: [known] })
    assert.equal(withAdmin(own, 1000, 'alice'), own)
  }
})

test('an admin whose account is called like another person does not become that person', () => {
  const own = rules({ people: [person({ name: 'alice', osUids: [7] })] })
  const resolved = resolvePerson(withAdmin(own, 1000, 'alice'), peer(), 'alice')
  assert.partialDeepStrictEqual(resolved, { person: 'uid-1000', role: 'admin' })
})

test('whatever the rules, no uid without an account and a rule by number gets in, nor root but by name', () => {
  const role = fc.constantFrom<GrantedRole>('newcomer', 'contributor', 'member', 'admin')
  const small = fc.nat({ max: 5 })
  const name = fc.constantFrom('root', 'alice', 'bob')
  const anyRules = fc.record({
    people: fc.array(
      fc.record({
        name,
        role,
        osUsernames: fc.array(name, { maxLength: 2 }),
        osUids: fc.array(small, { maxLength: 2 }),
      }),
      { maxLength: 3 },
    ),
    groups: fc.array(fc.record({ gid: small, role }), { maxLength: 3 }),
    accounts: fc.option(fc.record({ role, minUid: small })),
  })
  const anyPeer = fc.record({ uid: small, gid: small, groups: fc.array(small), pid: fc.constant(1) })
  fc.assert(
    fc.property(anyRules, anyPeer, fc.option(name), (own, caller, osUser) => {
      const { person: found, role: granted } = resolvePerson(own, caller, osUser)
      assert.equal(found === null, granted === 'public')
      if (found === null) return
      const named = own.people.filter(
        ({ osUids, osUsernames }) => osUids.includes(caller.uid) || (osUser !== null && osUsernames.includes(osUser)),
      )
      if (osUser === null || caller.uid === 0) assert.ok(named.some((one) => one.name === found))
      // Two humans are never one person: who is not named goes by their own account's name, and nobody else has that.
      if (named.length === 0) assert.ok(found === osUser && own.people.every((one) => one.name !== found))
    }),
  )
})
