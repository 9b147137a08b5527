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

    test('what is known of a uid, or of a name, stays as it is, whatever comes later', async () => {
      const { store } = await engine.createStore()
      await store.accounts.bind(host, account(1000, 'alice'))
      await store.accounts.bind(host, account(1001, null))
      for (const later of [
        account(1000, 'bob', 2),
        account(1000, null, 2),
        account(1000, 'alice', 2),
        account(1001, 'eve', 2),
        account(1002, 'alice', 2),
      ])
        await store.accounts.bind(host, later)
      assert.deepEqual(await store.accounts.list(host), [
        { ...account(1000, 'alice'), retired: false },
        { ...account(1001, null), retired: false },
      ])
    })

    test('an admin binds a uid to another name: what either of them was is retired, and kept', async () => {
      const { store } = await engine.createStore()
      await store.accounts.bind(host, account(1000, 'alice'))
      await store.accounts.bind(host, account(1001, 'bob'))
      await store.accounts.rebind(host, account(1001, 'alice', 5))
      const retired = [
        { ...account(1000, 'alice'), retired: true },
        { ...account(1001, 'bob'), retired: true },
      ]
      assert.deepEqual(await store.accounts.list(host), [
        retired[0],
        { ...account(1001, 'alice', 5), retired: false },
        retired[1],
      ])
      // Using it binds nothing of that anew.
      for (const used of [account(1000, 'alice', 6), account(1000, 'carol', 6), account(1002, 'bob', 6)])
        await store.accounts.bind(host, used)
      assert.equal((await store.accounts.list(host)).length, 3)
      await store.accounts.rebind(host, account(1000, null, 7))
      assert.deepEqual(await store.accounts.list(host), [
        { ...account(1000, null, 7), retired: false },
        retired[0],
        { ...account(1001, 'alice', 5), retired: false },
        retired[1],
      ])
    })

    test('what was retired can be bound again, and the other is retired', async () => {
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
      assert.deepEqual(await store.accounts.list('one'), [
        { ...account(1000, 'alice'), retired: true },
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
        osUser: fc.constantFrom('alice', 'Alice', 'ali%', 'al_ce', null),
        boundAtUs: fc.maxSafeNat(),
      })
      let runs = 0
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
          runs += 1
          const expected = new Map<string, readonly BoundAccount[]>()
          for (const { rebind, host, ...bound } of changes) {
            const accounts = expected.get(host) ?? []
            const isSame = (other: BoundAccount) => other.uid === bound.uid && other.osUser === bound.osUser
            const isKnown = (other: BoundAccount) =>
              other.uid === bound.uid || (bound.osUser !== null && other.osUser === bound.osUser)
            if (rebind) {
              const others = accounts.filter((other) => !isSame(other))
              const kept = others.map((other) => (isKnown(other) ? { ...other, retired: true } : other))
              expected.set(host, [...kept, { ...bound, retired: false }])
            } else if (!accounts.some(isKnown)) expected.set(host, [...accounts, { ...bound, retired: false }])
            await store.accounts[rebind ? 'rebind' : 'bind'](`${host}-${runs}`, bound)
          }
          for (const [host, accounts] of expected) {
            const inOrder = accounts.toSorted((a, b) => a.uid - b.uid || ((a.osUser ?? '') < (b.osUser ?? '') ? -1 : 1))
            assert.deepEqual(await store.accounts.list(`${host}-${runs}`), inOrder)
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
      ['an empty name', host, ''],
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
