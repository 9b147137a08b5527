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
const person = ({ name = 'alice', ...change }: Partial<Person>): Person => ({
  name,
  role: 'member',
  osUsernames: [],
  osUids: [],
  rule: `people.${name}`,
  ...change,
})
const rules = (change: Partial<People> = {}): People => ({ people: [], groups: [], accounts: null, ...change })

const role = fc.constantFrom<GrantedRole>('newcomer', 'contributor', 'member', 'admin')
const small = fc.nat({ max: 5 })
const name = fc.constantFrom('root', 'alice', 'bob')
const anyPerson = fc
  .record({ name, role, osUsernames: fc.array(name, { maxLength: 2 }), osUids: fc.array(small, { maxLength: 2 }) })
  .map(person)
const anyRules: fc.Arbitrary<People> = fc.record({
  people: fc.array(anyPerson, { maxLength: 3 }),
  groups: fc.array(fc.record({ gid: small, role }), { maxLength: 3 }),
  accounts: fc.option(fc.record({ role, minUid: small, maxUid: small })),
})
const anyPeer = fc.record({ uid: small, gid: small, groups: fc.array(small), pid: fc.constant(1) })

test('nobody is somebody without a rule, and is told what to do', () => {
  for (const uid of [0, 1000]) {
    for (const account of ['x', null]) {
      const { refusal, because, ...found } = resolvePerson(rules(), peer({ uid }), account)
      assert.deepEqual(found, { person: null, role: 'public', rule: null })
      assert.match(refusal, /does not know you: an admin has to add you/)
      assert.match(because, account === null || uid === 0 ? /^no person has / : /^no rule .* names x \(uid 1000\)$/)
    }
  }
})

test('people come before groups, groups before accounts, and the rule is named', () => {
  const all = rules({
    people: [person({ name: 'Alice', role: 'admin', osUsernames: ['alice'] }), person({ name: 'Bob', osUids: [1002] })],
    groups: [
      { gid: 50, role: 'contributor' },
      { gid: 51, role: 'admin' },
    ],
    accounts: { role: 'newcomer', minUid: 1000, maxUid: 60_000 },
  })
  const resolve = (change: Partial<PeerCredentials>, account: string | null) => {
    const { refusal: _, ...found } = resolvePerson(all, peer(change), account)
    return found
  }
  assert.deepEqual(resolve({ groups: [51] }, 'alice'), {
    person: 'Alice',
    role: 'admin',
    because: 'people: Alice has os_username alice',
    rule: 'people.Alice',
  })
  assert.deepEqual(resolve({ uid: 1002 }, null), {
    person: 'Bob',
    role: 'member',
    because: 'people: Bob has os_uid 1002',
    rule: 'people.Bob',
  })
  assert.deepEqual(resolve({ uid: 1003, groups: [51, 50] }, 'carol'), {
    person: 'carol',
    role: 'contributor',
    because: 'groups: everybody in group 50',
    rule: 'groups.50',
  })
  assert.partialDeepStrictEqual(resolve({ uid: 1003, gid: 51 }, 'carol'), { role: 'admin', rule: 'groups.51' })
  assert.deepEqual(resolve({ uid: 1003 }, 'carol'), {
    person: 'carol',
    role: 'newcomer',
    because: 'accounts: every account with a uid from 1000 to 60000',
    rule: 'accounts',
  })
  assert.partialDeepStrictEqual(resolve({ uid: 999 }, 'daemon'), { person: null, role: 'public', rule: null })
})

test('one person has several accounts, by name and by uid, and is the same with each', () => {
  const all = rules({ people: [person({ osUsernames: ['alice', 'alice-work'], osUids: [7, 8] })] })
  const callers = [
    [1000, 'alice'],
    [1001, 'alice-work'],
    [7, null],
    [8, 'somebody'],
  ] as const
  for (const [uid, account] of callers) {
    const { person: name, rule } = resolvePerson(all, peer({ uid }), account)
    assert.deepEqual([name, rule], ['alice', 'people.alice'])
  }
})

test('a group counts where the kernel says so, as the primary one or as another, and the account has a name', () => {
  const all = rules({ groups: [{ gid: 50, role: 'member' }] })
  for (const change of [{ gid: 50 }, { groups: [7, 50] }])
    assert.partialDeepStrictEqual(resolvePerson(all, peer(change), 'carol'), { person: 'carol', rule: 'groups.50' })
  for (const change of [{ gid: 50 }, { groups: [50] }]) {
    assert.equal(resolvePerson(all, peer(change), null).role, 'public')
    assert.equal(resolvePerson(all, peer({ uid: 0, ...change }), 'root').role, 'public')
  }
})

test('an account that is called like a person is not that person', () => {
  const all = rules({
    people: [person({ name: 'alice', osUsernames: ['alice2'] })],
    groups: [{ gid: 50, role: 'admin' }],
    accounts: { role: 'member', minUid: 0, maxUid: 60_000 },
  })
  const { person: name, role, because, rule } = resolvePerson(all, peer({ groups: [50] }), 'alice')
  assert.deepEqual({ name, role, rule }, { name: null, role: 'public', rule: null })
  assert.match(because, /called like a person/)
})

test('the admin of the deployment is added, unless the configuration knows them', () => {
  const added = withAdmin(rules(), 1000, 'alice')
  assert.partialDeepStrictEqual(resolvePerson(added, peer(), 'alice'), {
    person: 'alice',
    role: 'admin',
    rule: 'admin_uid',
  })
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

test('whatever the rules, the one that is named is there and says that role', () => {
  fc.assert(
    fc.property(anyRules, anyPeer, fc.option(name), small, (written, caller, account, adminUid) => {
      const own = withAdmin(written, adminUid, account)
      const { person: found, role: granted, rule } = resolvePerson(own, caller, account)
      assert.equal(rule === null, found === null)
      if (rule === null) return
      const roleOf: Readonly<Record<string, GrantedRole | undefined>> = {
        ...(own.accounts === null ? {} : { accounts: own.accounts.role }),
        ...Object.fromEntries(own.groups.toReversed().map((group) => [`groups.${group.gid}`, group.role])),
        // Several entries of one name can't be told apart by it: the configuration has none.
        ...Object.fromEntries(
          own.people.filter((one) => one.name === found && one.role === granted).map((one) => [one.rule, one.role]),
        ),
      }
      assert.equal(roleOf[rule], granted, rule)
    }),
  )
})

test('whatever the rules, no uid without an account and a rule by number gets in, nor root but by name', () => {
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
