// What contract.ts promises of accounts, on both real engines.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { BoundAccount } from './contract.ts'
import { openStore } from './open.ts'
import { ending, engineNames, queryRows, spawnScript, startEngine, type TestEngine } from './test-engines.ts'

const host = 'build-box'
const maxUid = 4_294_967_294

function account(uid: number, osUser: string | null, boundAtUs = 1): Omit<BoundAccount, 'retired'> {
  return { uid, osUser, boundAtUs }
}

/** Binds the uid to the name again and again, for as many times as it is told. */
const rebindingScript = `
  import { openStore } from './open.ts'
  const { target, host, account, count } = JSON.parse(process.argv[1])
  const store = await openStore(target)
  for (let done = 0; done < count; done++) await store.accounts.rebind(host, account)
  await store.close()`

for (const engineName of engineNames) {
  describe(`accounts on ${engineName}`, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(engineName)
    })
    after(() => engine.stop())

    test('a uid that is bound is listed by uid, with its name and time, also after the store was opened anew', async () => {
      const { store, target } = await engine.createStore()
      assert.deepEqual(await store.accounts.list(host), [])
      const time = 1_769_853_600_000_001
      for (const bound of [account(maxUid, 'Zoë 🌍', time), account(1000, 'alice', 0), account(0, null, time)])
        await store.accounts.bind(host, bound)
      const expected = [
        { ...account(0, null, time), retired: false },
        { ...account(1000, 'alice', 0), retired: false },
        { ...account(maxUid, 'Zoë 🌍', time), retired: false },
      ]
      assert.deepEqual(await store.accounts.list(host), expected)
      const again = await openStore(target)
      assert.deepEqual(await again.accounts.list(host), expected)
      await again.close()
    })

    test('a uid that is bound already stays as it is, whatever it is bound to', async () => {
      const { store } = await engine.createStore()
      await store.accounts.bind(host, account(1000, 'alice'))
      await store.accounts.bind(host, account(1001, null))
      for (const later of [
        account(1000, 'bob', 2),
        account(1000, null, 2),
        account(1000, 'alice', 2),
        account(1001, 'eve', 2),
      ])
        await store.accounts.bind(host, later)
      assert.deepEqual(await store.accounts.list(host), [
        { ...account(1000, 'alice'), retired: false },
        { ...account(1001, null), retired: false },
      ])
    })

    test('a retired uid is not bound anew by using it', async () => {
      const { store } = await engine.createStore()
      await store.accounts.bind(host, account(1000, 'alice'))
      await store.accounts.rebind(host, account(1002, 'alice', 2))
      for (const osUser of ['alice', 'bob', null]) await store.accounts.bind(host, account(1000, osUser, 3))
      assert.deepEqual((await store.accounts.list(host))[0], { ...account(1000, 'alice'), retired: true })
    })

    test('an admin binds a uid to another name, and the uids that had the name are retired', async () => {
      const { store } = await engine.createStore()
      await store.accounts.bind(host, account(1000, 'alice'))
      await store.accounts.bind(host, account(1001, 'bob'))
      await store.accounts.bind(host, account(1002, 'alice'))
      await store.accounts.rebind(host, account(1001, 'alice', 5))
      assert.deepEqual(await store.accounts.list(host), [
        { ...account(1000, 'alice'), retired: true },
        { ...account(1001, 'alice', 5), retired: false },
        { ...account(1002, 'alice'), retired: true },
      ])
      await store.accounts.rebind(host, account(1000, 'carol', 6))
      await store.accounts.rebind(host, account(1003, 'bob', 7))
      assert.deepEqual(await store.accounts.list(host), [
        { ...account(1000, 'carol', 6), retired: false },
        { ...account(1001, 'alice', 5), retired: false },
        { ...account(1002, 'alice'), retired: true },
        { ...account(1003, 'bob', 7), retired: false },
      ])
    })

    test('a retired uid that an admin binds to its name again has it, and the other one is retired', async () => {
      const { store } = await engine.createStore()
      await store.accounts.rebind(host, account(1000, 'alice', 1))
      await store.accounts.rebind(host, account(1001, 'alice', 2))
      await store.accounts.rebind(host, account(1000, 'alice', 3))
      await store.accounts.rebind(host, account(1000, 'alice', 4))
      assert.deepEqual(await store.accounts.list(host), [
        { ...account(1000, 'alice', 4), retired: false },
        { ...account(1001, 'alice', 2), retired: true },
      ])
    })

    test('no name is nobody else: uids without one retire nobody', async () => {
      const { store } = await engine.createStore()
      for (const uid of [1, 2]) await store.accounts.bind(host, account(uid, null))
      await store.accounts.rebind(host, account(3, null, 2))
      await store.accounts.rebind(host, account(1, null, 2))
      assert.deepEqual(
        (await store.accounts.list(host)).map(({ uid, retired }) => [uid, retired]),
        [1, 2, 3].map((uid) => [uid, false]),
      )
    })

    test('two hosts in one database keep their accounts apart', async () => {
      const { store } = await engine.createStore()
      await store.accounts.bind('one', account(1000, 'alice'))
      await store.accounts.bind('two', account(1000, 'bob'))
      await store.accounts.bind('two', account(1001, 'alice'))
      await store.accounts.rebind('one', account(1005, 'alice', 2))
      await store.accounts.rebind('one', account(1001, 'bob', 2))
      assert.deepEqual(await store.accounts.list('one'), [
        { ...account(1000, 'alice'), retired: true },
        { ...account(1001, 'bob', 2), retired: false },
        { ...account(1005, 'alice', 2), retired: false },
      ])
      assert.deepEqual(await store.accounts.list('two'), [
        { ...account(1000, 'bob'), retired: false },
        { ...account(1001, 'alice'), retired: false },
      ])
      for (const other of ['One', 'on', 'one ', '%', '']) assert.deepEqual(await store.accounts.list(other), [], other)
    })

    test('whatever is bound and bound again, the list is what the contract makes of it', async () => {
      const { store } = await engine.createStore()
      const change = fc.record({
        rebind: fc.boolean(),
        host: fc.constantFrom('one', 'two'),
        uid: fc.constantFrom(0, 1000, 1001, maxUid),
        osUser: fc.constantFrom('alice', 'Alice', 'ali%', 'al_ce', '', null),
        boundAtUs: fc.maxSafeNat(),
      })
      let runs = 0
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
          runs += 1
          const expected = new Map<string, Map<number, BoundAccount>>([
            ['one', new Map()],
            ['two', new Map()],
          ])
          for (const { rebind, host, ...bound } of changes) {
            const accounts = expected.get(host) ?? new Map<number, BoundAccount>()
            if (rebind) {
              for (const [uid, other] of accounts)
                if (bound.osUser !== null && other.osUser === bound.osUser)
                  accounts.set(uid, { ...other, retired: true })
              accounts.set(bound.uid, { ...bound, retired: false })
            } else if (!accounts.has(bound.uid)) accounts.set(bound.uid, { ...bound, retired: false })
            await store.accounts[rebind ? 'rebind' : 'bind'](`${host}-${runs}`, bound)
          }
          for (const [host, accounts] of expected) {
            assert.deepEqual(
              await store.accounts.list(`${host}-${runs}`),
              [...accounts.values()].sort((a, b) => a.uid - b.uid),
            )
          }
        }),
        { numRuns: 60 },
      )
    })

    test('of many who bind one uid at once, one is heard', async () => {
      const { store, target } = await engine.createStore()
      const other = await openStore(target)
      const names = Array.from({ length: 20 }, (_, index) => `name${index}`)
      await Promise.all(
        names.map((osUser, index) => (index % 2 === 0 ? store : other).accounts.bind(host, account(1000, osUser))),
      )
      const [bound, ...rest] = await store.accounts.list(host)
      assert.deepEqual(rest, [])
      assert.ok(names.includes(bound?.osUser ?? ''))
      await other.close()
    })

    test('of many uids that get one name at once, one keeps it', async () => {
      const { store, target } = await engine.createStore()
      const uids = [1, 2, 3, 4, 5, 6]
      // The first rows of a name are the hardest: there is nothing yet to wait for.
      for (let round = 0; round < 20; round += 1) {
        const osUser = `alice${round}`
        await Promise.all(uids.map((uid) => store.accounts.rebind(osUser, account(uid, osUser))))
        const live = (await store.accounts.list(osUser)).filter(({ retired }) => !retired)
        assert.equal(live.length, 1, JSON.stringify(live))
      }
      const children = uids.map((uid) =>
        spawnScript(rebindingScript, JSON.stringify({ target, host, account: account(uid, 'alice'), count: 20 })),
      )
      assert.deepEqual(
        await Promise.all(children.map(ending)),
        uids.map(() => 0),
      )
      const accounts = await store.accounts.list(host)
      assert.equal(accounts.length, uids.length)
      assert.equal(accounts.filter(({ retired }) => !retired).length, 1)
    })

    test('a rebind that fails retires nobody', async () => {
      const { store } = await engine.createStore()
      await store.accounts.bind(host, account(1000, 'alice'))
      for (const uid of [-1, maxUid + 1]) await assert.rejects(store.accounts.rebind(host, account(uid, 'alice', 2)))
      await assert.rejects(store.accounts.rebind(host, account(1001, 'alice', -1)))
      assert.deepEqual(await store.accounts.list(host), [{ ...account(1000, 'alice'), retired: false }])
    })

    for (const [what, of, osUser] of [
      ['a NUL in the name', host, 'ali\0ce'],
      ['a lone surrogate in the name', host, 'alice\ud800'],
      ['a name of 256 characters', host, 'a'.repeat(256)],
      ['a NUL in the host', 'build\0box', 'alice'],
      ['a lone surrogate in the host', '\udc00', 'alice'],
      ['a host of 256 characters', 'h'.repeat(256), 'alice'],
    ] as const) {
      test(`${what} is refused before the database`, async () => {
        const { store, target } = await engine.createStore()
        await assert.rejects(store.accounts.bind(of, account(1000, osUser)), RangeError)
        await assert.rejects(store.accounts.rebind(of, account(1000, osUser)), RangeError)
        assert.deepEqual(await queryRows(target, 'SELECT uid FROM accounts'), [])
      })
    }
  })
}
