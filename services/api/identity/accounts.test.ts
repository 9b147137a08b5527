import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nobody } from '@teleclaude/core/people.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { theApi } from '../audit/record.ts'
import { Accounts } from './accounts.ts'

function caller(uid: number, osUser: string | null, person: string | null = osUser): Caller {
  const credentials = { uid, gid: uid, groups: [], pid: 0 }
  if (person === null) return { credentials, osUser, ...nobody('a test says so') }
  return { credentials, osUser, person, role: 'member', because: 'a test says so', rule: null, refusal: '' }
}

for (const engineName of engineNames) {
  describe(`accounts on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    async function make() {
      const { store } = await engine.createStore()
      const where = { store, host: 'h' }
      const entries = async () =>
        (await store.audit.read('h', { afterSeq: 0, limit: 100 })).map(({ bytes }) =>
          JSON.parse(Buffer.from(bytes).toString('utf8')),
        )
      return { store, where, entries, accounts: await Accounts.load(where) }
    }

    test('the first use binds uid and name together, once, on the record', async () => {
      const { where, accounts, entries } = await make()
      assert.deepEqual(accounts.standingOf(1001, 'alice'), { kind: 'new' })
      assert.equal(accounts.isBound(1001), false)
      await Promise.all([accounts.bind(caller(1001, 'alice')), accounts.bind(caller(1001, 'alice'))])
      await accounts.bind(caller(1001, 'alice'))
      assert.equal(accounts.standingOf(1001, 'alice').kind, 'bound')
      assert.equal(accounts.isBound(1001), true)
      const recorded = await entries()
      assert.equal(recorded.length, 1)
      assert.partialDeepStrictEqual(recorded[0], {
        action: 'account.bound',
        actor: { kind: 'caller', uid: 1001 },
        detail: { uid: 1001, osUser: 'alice', person: 'alice' },
      })
      const later = await Accounts.load(where)
      assert.deepEqual(later.uids(), accounts.uids())
      assert.equal(later.standingOf(1001, 'alice').kind, 'bound')
    })

    test('of two uids that come with one name at the same time one gets it', async () => {
      const { accounts, entries } = await make()
      const outcomes = await Promise.allSettled([
        accounts.bind(caller(1001, 'alice')),
        accounts.bind(caller(1009, 'alice')),
      ])
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected'],
      )
      assert.equal(accounts.standingOf(1001, 'alice').kind, 'bound')
      assert.equal(accounts.standingOf(1009, 'alice').kind, 'stranger')
      assert.equal((await entries()).length, 1)
    })

    test('who is nobody binds nothing', async () => {
      const { accounts, entries } = await make()
      await accounts.bind(caller(1001, 'alice', null))
      assert.deepEqual([accounts.uids(), await entries()], [[], []])
    })

    test('a uid under another name or without one, and a name under another uid, are strangers', async () => {
      const { accounts } = await make()
      await accounts.bind(caller(1001, 'alice'))
      await accounts.bind(caller(1002, null, 'carol'))
      assert.partialDeepStrictEqual(accounts.standingOf(1001, 'bob'), { kind: 'stranger', was: { osUser: 'alice' } })
      assert.partialDeepStrictEqual(accounts.standingOf(1001, null), { kind: 'stranger', was: { osUser: 'alice' } })
      assert.partialDeepStrictEqual(accounts.standingOf(1009, 'alice'), { kind: 'stranger', was: { uid: 1001 } })
      assert.partialDeepStrictEqual(accounts.standingOf(1002, 'dora'), { kind: 'stranger', was: { osUser: null } })
      assert.equal(accounts.standingOf(1002, null).kind, 'bound')
      assert.deepEqual(accounts.standingOf(1009, null), { kind: 'new' })
    })

    test('an admin binds it anew, on the record; the name’s former uid is a stranger then, whoever has it', async () => {
      const { where, accounts, entries } = await make()
      await accounts.bind(caller(1001, 'alice'))
      let told = 0
      accounts.onRebound(() => {
        told += 1
      })
      await accounts.rebind(theApi, { uid: 1009, osUser: 'alice' })
      assert.equal(told, 1)
      for (const state of [accounts, await Accounts.load(where)]) {
        assert.equal(state.standingOf(1009, 'alice').kind, 'bound')
        assert.equal(state.standingOf(1001, 'alice').kind, 'stranger')
        assert.equal(state.standingOf(1001, 'bob').kind, 'stranger')
      }
      await accounts.rebind(theApi, { uid: 1001, osUser: 'bob' })
      for (const state of [accounts, await Accounts.load(where)]) {
        assert.equal(state.standingOf(1001, 'bob').kind, 'bound')
        assert.equal(state.standingOf(1009, 'alice').kind, 'bound')
        // Neither is the name that it had, nor the uid that had it, a way back to what was theirs.
        assert.equal(state.standingOf(1010, 'bob').kind, 'stranger')
        assert.equal(state.standingOf(1001, 'alice').kind, 'stranger')
      }
      assert.deepEqual(
        (await entries()).map(({ action, detail }) => [
          action,
          detail.uid,
          detail.wasUid ?? null,
          detail.wasOsUser ?? null,
        ]),
        [
          ['account.bound', 1001, null, null],
          ['account.rebound', 1009, 1001, 'alice'],
          ['account.rebound', 1001, 1001, 'alice'],
        ],
      )
    })

    test('a name whose uid was given to another stays taken: a new account of that name is a stranger', async () => {
      const { where, accounts } = await make()
      await accounts.bind(caller(1001, 'dave'))
      await accounts.rebind(theApi, { uid: 1001, osUser: 'mallory' })
      for (const state of [accounts, await Accounts.load(where)]) {
        assert.equal(state.standingOf(1001, 'mallory').kind, 'bound')
        assert.equal(state.standingOf(1005, 'dave').kind, 'stranger')
        assert.equal(state.standingOf(1001, 'dave').kind, 'stranger')
        await assert.rejects(state.bind(caller(1005, 'dave')), { code: 'not-permitted' })
      }
    })

    test('hosts of one database keep their own accounts', async () => {
      const { where, accounts } = await make()
      await accounts.bind(caller(1001, 'alice'))
      const other = await Accounts.load({ ...where, host: 'other' })
      assert.deepEqual(other.standingOf(1001, 'bob'), { kind: 'new' })
    })

    test('where it can not be stored nobody is bound, and the next use tries again', async () => {
      const { store, where } = await make()
      let isAway = true
      const flaky: Pick<Store, 'accounts' | 'audit'> = {
        audit: store.audit,
        accounts: {
          ...store.accounts,
          bind: async (host, account) => {
            if (isAway) throw new Error('away')
            await store.accounts.bind(host, account)
          },
        },
      }
      const accounts = await Accounts.load({ ...where, store: flaky })
      await assert.rejects(accounts.bind(caller(1001, 'alice')), /away/)
      assert.equal(accounts.isBound(1001), false)
      isAway = false
      await accounts.bind(caller(1001, 'alice'))
      assert.equal(accounts.isBound(1001), true)
    })
  })
}
