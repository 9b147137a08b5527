// With accounts that every machine has: uid 0 is root, uid 1 is another one.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { People } from '@teleclaude/core/people.ts'
import { loginGroupsOf, osUserOf } from '@teleclaude/peercred/os-user.ts'
import { startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { theApi } from '../audit/record.ts'
import { Accounts } from './accounts.ts'
import { systemIdentity } from './system.ts'

const nobodyKnown: People = { people: [], groups: [], accounts: null }
const everybody: People = { ...nobodyKnown, accounts: { role: 'member', minUid: 1, maxUid: 60_000 } }
const daemonUid = 1
const name = osUserOf(daemonUid) ?? ''
const peer = { uid: daemonUid, gid: 4711, groups: [4712], pid: 9 }

describe('system identity', () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('sqlite')
  })
  after(() => engine.stop())

  async function make(rules: People, bound: { uid: number; osUser: string | null } | null = null) {
    const { store } = await engine.createStore()
    if (bound !== null) await store.accounts.bind('h', { ...bound, boundAtUs: 1_000_000 })
    const accounts = await Accounts.load({ store, host: 'h' })
    return { accounts, identity: systemIdentity(() => rules, accounts) }
  }

  test('an account is the person that the rules make of it, as long as it is the one that it was', async () => {
    for (const bound of [null, { uid: daemonUid, osUser: name }]) {
      const { identity } = await make(everybody, bound)
      assert.partialDeepStrictEqual(identity.resolve(peer), {
        person: name,
        role: 'member',
        rule: 'accounts',
        osUser: name,
      })
    }
  })

  test('a uid that was another account, and a name that was another uid, are quarantined until they are rebound', async () => {
    const named: People = {
      ...nobodyKnown,
      people: [{ name: 'Ann', role: 'admin', osUsernames: [], osUids: [daemonUid], rule: 'people.Ann' }],
    }
    const cases = [
      { rules: named, bound: { uid: daemonUid, osUser: 'ann' }, was: 'under that uid' },
      { rules: everybody, bound: { uid: daemonUid, osUser: null }, was: 'under that uid' },
      { rules: everybody, bound: { uid: 4713, osUser: name }, was: 'under that name' },
    ]
    for (const { rules, bound, was } of cases) {
      const { identity, accounts } = await make(rules, bound)
      const caller = identity.resolve(peer)
      assert.partialDeepStrictEqual(caller, { person: null, role: 'public', rule: null })
      assert.ok(caller.because.includes(was), caller.because)
      assert.match(caller.refusal, /: an admin has to say whose it is \(telec people rebind 1\)$/)
      assert.ok(
        !caller.refusal.includes('ann') && !caller.because.includes('ann'),
        'whose it was is not theirs to know',
      )
      assert.equal(identity.imagineUid(daemonUid).isStranger, true)
      assert.notEqual(identity.imagineUid(daemonUid).caller.person, null)
      await accounts.rebind(theApi, { uid: daemonUid, osUser: name })
      assert.notEqual(identity.resolve(peer).person, null)
      assert.equal(identity.imagineUid(daemonUid).isStranger, false)
    }
  })

  test('who is nobody by the rules is told that, whatever account it was', async () => {
    const { identity } = await make(nobodyKnown, { uid: daemonUid, osUser: 'ann' })
    assert.match(identity.resolve(peer).because, /^no rule of people, groups or accounts names/)
  })

  test('a group that the login is too old for grants nothing, and the person is told to log in again', async () => {
    const [gid = -1] = loginGroupsOf(daemonUid)
    const groups = [
      { gid, role: 'contributor' },
      { gid: 4712, role: 'newcomer' },
    ] as const
    const { identity } = await make({ ...nobodyKnown, groups: groups.slice(0, 1) })
    const late = identity.resolve(peer)
    assert.equal(late.role, 'public')
    const hint = `group ${gid} makes you contributor, but this login is older than your membership of it: log in again`
    assert.equal(late.refusal, hint)
    assert.equal(identity.resolve({ ...peer, groups: [gid] }).role, 'contributor')
    assert.equal(identity.resolve({ ...peer, gid }).role, 'contributor')
    // With a grant that comes later in the file: what the other would make of them is said, too.
    const some = (await make({ ...nobodyKnown, groups })).identity.resolve(peer)
    assert.equal(some.role, 'newcomer')
    assert.ok(some.because.endsWith(hint), some.because)
    const full = (await make({ ...everybody, groups: groups.slice(0, 1) })).identity.resolve(peer)
    assert.equal(full.role, 'member')
    assert.ok(full.because.endsWith(hint), full.because)
    // And nothing of it where a better grant counts already.
    const first = (await make({ ...nobodyKnown, groups: groups.toReversed() })).identity.resolve(peer)
    assert.equal(first.because, 'groups: everybody in group 4712')
  })

  test('somebody can be imagined by person or by account, as they would be at their next login', async () => {
    const [gid = -1] = loginGroupsOf(daemonUid)
    const rules: People = {
      people: [
        { name: 'Ann', role: 'admin', osUsernames: ['no-such-account', name], osUids: [], rule: 'people.Ann' },
        { name: 'Bea', role: 'newcomer', osUsernames: ['no-such-account-2'], osUids: [], rule: 'people.Bea' },
        { name: 'Cleo', role: 'member', osUsernames: [], osUids: [3_999_999_999], rule: 'people.Cleo' },
      ],
      groups: [],
      accounts: null,
    }
    const { identity } = await make(rules)
    assert.partialDeepStrictEqual(identity.imagine('Ann'), { person: 'Ann', role: 'admin', osUser: name })
    assert.partialDeepStrictEqual(identity.imagine(name), { person: 'Ann', rule: 'people.Ann' })
    assert.partialDeepStrictEqual(identity.imagine('Bea'), { person: 'Bea', role: 'newcomer' })
    assert.partialDeepStrictEqual(identity.imagine('Cleo'), { person: 'Cleo', credentials: { uid: 3_999_999_999 } })
    assert.partialDeepStrictEqual(identity.imagine('root'), { person: null, role: 'public' })
    for (const unknown of ['nobody-of-that-name', '', 'a\0b', '1'])
      assert.equal(identity.imagine(unknown), null, unknown)
    const byGroup = (await make({ ...nobodyKnown, groups: [{ gid, role: 'member' }] })).identity
    assert.partialDeepStrictEqual(byGroup.imagine(name), { person: name, role: 'member' })
  })

  test('whom the configuration names is known before they come, as it is now', async () => {
    const person = {
      name: 'Ann',
      role: 'member',
      osUsernames: ['no-such-account', name],
      osUids: [4711],
      rule: '',
    } as const
    let rules: People = { ...everybody, people: [person] }
    const { store } = await engine.createStore()
    const identity = systemIdentity(() => rules, await Accounts.load({ store, host: 'h' }))
    for (const [uid, isNamed] of [
      [daemonUid, true],
      [4711, true],
      [4712, false],
    ] as const)
      assert.equal(identity.isNamed(uid), isNamed, String(uid))
    rules = everybody
    assert.equal(identity.isNamed(daemonUid), false)
  })

  test('the account and its binding are explained', async () => {
    const explain = async (bound: { uid: number; osUser: string } | null): Promise<readonly string[]> => {
      const { identity } = await make(everybody, bound)
      return identity.explainAccount(identity.resolve(peer)).map(({ says }) => says)
    }
    const [account = '', unbound = ''] = await explain(null)
    assert.ok(account?.endsWith(`uid 1 is the account ${name}`), account)
    assert.match(unbound, /has been used here before/)
    assert.match(
      (await explain({ uid: 1, osUser: name }))[1] ?? '',
      /^it is the account that it was .* on 1970-01-01T00:00:01/,
    )
    assert.match(
      (await explain({ uid: 1, osUser: 'ann' }))[1] ?? '',
      /^it is another account than the one that was bound/,
    )
  })
})
