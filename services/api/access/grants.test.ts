import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { AccessGrant } from '@teleclaude/core/access.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { Access } from '@teleclaude/core/policy.ts'
import type { Role } from '@teleclaude/core/role.ts'
import type { Session } from '@teleclaude/core/session.ts'
import { type InstanceLock, type Store, StoreError } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { pino } from 'pino'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { theApi } from '../audit/record.ts'
import { AccessGrants } from './grants.ts'
import { alicesSession, entries, host, putGrant, type Roles, testIdentity, until } from './test-access.ts'

const log = pino({ level: 'silent' })
/** What of the session it is that somebody may do now. */
function accessOf(
  access: AccessGrants,
  who: { readonly person: string | null; readonly role: Role },
  session: Session,
): Access | null {
  const grant = access.grantFor(who, session, 'session.drive')
  return grant === null ? null : access.accessUnder(grant, who)
}

const ada = { person: 'ada', role: 'admin' } as const

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    /** Grants as one host's service has them, with clocks that the test sets. */
    function grantsOf(store: Store, where = host) {
      const clock = { us: nowUs(), ms: 1_000 }
      const roles: Roles = { ada: 'admin', alice: 'member' }
      const heard: string[] = []
      const access = new AccessGrants({
        ...{ store, host: where, log },
        identity: testIdentity({ person: 'ada', role: 'admin' }, roles),
        clock: { nowUs: () => clock.us, nowMs: () => clock.ms },
      })
      access.onChange({
        opened: ({ id }) => heard.push(`opened ${id}`),
        ended: ({ id }, { why }) => heard.push(`ended ${id} ${why}`),
      })
      const pass = (ms: number) => {
        clock.us += ms * 1_000
        clock.ms += ms
      }
      return { access, clock, roles, heard, pass }
    }

    async function make() {
      const { store, target } = await engine.createStore()
      return { store, target, session: await alicesSession(store, ['one']) }
    }

    const openNow = (store: Store, session: Session, change: Partial<AccessGrant> & { minutes?: number } = {}) =>
      putGrant(store, session, change)

    test('a grant holds for its holder, on its session, as long as that is an admin and its time is not over', async () => {
      const { store, session } = await make()
      const { access, pass } = grantsOf(store)
      assert.equal(accessOf(access, ada, session), null)
      const grant = await openNow(store, session)
      await access.look()
      assert.equal(accessOf(access, ada, session), 'view')
      assert.equal(access.accessUnder(grant, ada), 'view')
      for (const role of ['public', 'newcomer', 'contributor', 'member'] satisfies Role[])
        assert.equal(accessOf(access, { person: 'ada', role }, session), null)
      for (const person of ['ben', 'alice', '', null])
        assert.equal(accessOf(access, { person, role: 'admin' }, session), null)
      assert.equal(accessOf(access, ada, await alicesSession(store, [])), null)
      await openNow(store, session, { drive: true, minutes: 5 })
      await access.look()
      assert.equal(accessOf(access, ada, session), 'drive')
      assert.equal(access.grantFor(ada, session, 'transcript.read')?.id, grant.id)
      pass(5 * 60_000)
      assert.equal(accessOf(access, ada, session), 'view')
      assert.equal(access.grantFor(ada, session, 'session.drive')?.id, grant.id)
      pass(5 * 60_000)
      assert.equal(accessOf(access, ada, session), null)
      assert.match(access.whyOver(grant) ?? '', /its time is over/)
    })

    test('a clock that jumps back prolongs nothing, also over a look into the database', async () => {
      const { store, session } = await make()
      const { access, clock } = grantsOf(store)
      const grant = await openNow(store, session)
      await access.look()
      clock.us -= 3_600_000_000
      clock.ms += 10 * 60_000 - 1
      await access.look()
      assert.equal(accessOf(access, ada, session), 'view')
      clock.ms += 2
      assert.equal(accessOf(access, ada, session), null)
      access.tick()
      await access.look()
      assert.equal(accessOf(access, ada, session), null)
      await access.owed.settle(5_000)
      assert.equal((await store.access.find(grant.id))?.ended?.why, 'expired')
      // Nor does one that is behind already when the service starts.
      const later = grantsOf(store)
      later.clock.us -= 3_600_000_000
      await openNow(store, session)
      await later.access.look()
      later.clock.ms += 10 * 60_000 + 1_000
      assert.equal(accessOf(later.access, ada, session), null)
    })

    test('a clock that jumps forward ends what is over by then', async () => {
      const { store, session } = await make()
      const { access, clock, heard } = grantsOf(store)
      const { id } = await openNow(store, session)
      await access.look()
      clock.us += 3_600_000_000
      assert.equal(accessOf(access, ada, session), null)
      access.tick()
      assert.deepEqual(heard, [`opened ${id}`, `ended ${id} expired`])
    })

    test('what is opened or ended through another host is heard of here, and put down there', async () => {
      const { store, session } = await make()
      const here = grantsOf(store)
      const there = grantsOf(store, 'there')
      const listening = store.listen('there', (what) => {
        if (what === 'access') there.access.hint()
      })
      await openNow(store, session)
      await here.access.look()
      await until(async () => accessOf(there.access, ada, session) === 'view')
      const [grant] = here.access.on(session)
      assert.ok(grant)
      await there.access.end(grant, theApi, { atUs: nowUs(), by: 'ben', why: 'ended' })
      assert.equal(accessOf(there.access, ada, session), null)
      await here.access.look()
      assert.equal(accessOf(here.access, ada, session), null)
      assert.deepEqual(here.heard.at(-1), `ended ${grant.id} ended`)
      assert.equal((await entries(store, /^access\.ended/)).length, 0)
      assert.equal((await entries(store, /^access\.ended/, 'there')).length, 1)
      await listening.close()
    })

    test('another host’s grant that expires is over here, and that host puts it down', async () => {
      const { store, session } = await make()
      const { access, pass } = grantsOf(store, 'there')
      const grant = await openNow(store, session)
      await access.look()
      pass(10 * 60_000)
      access.tick()
      assert.equal(accessOf(access, ada, session), null)
      await access.owed.settle(1_000)
      assert.equal((await store.access.find(grant.id))?.ended, null)
      assert.equal((await entries(store, /^access/, 'there')).length, 0)
    })

    test('who is no admin any more has none: that is for good, and on the record', async () => {
      const { store, session } = await make()
      const { access, roles, heard } = grantsOf(store)
      const grant = await openNow(store, session)
      const elsewhere = await openNow(store, session, { host: 'there' })
      await access.look()
      access.reviewHolders()
      assert.equal(heard.length, 2)
      roles.ada = 'member'
      access.reviewHolders()
      assert.deepEqual(heard.slice(2), [`ended ${grant.id} demoted`])
      assert.match(access.whyOver(grant) ?? '', /no admin any more/)
      roles.ada = 'admin'
      assert.equal(access.accessUnder(grant, ada), null)
      await access.owed.settle(5_000)
      assert.partialDeepStrictEqual((await store.access.find(grant.id))?.ended, { by: null, why: 'demoted' })
      assert.partialDeepStrictEqual(await entries(store, /^access/), [{ detail: { grant: grant.id, why: 'demoted' } }])
      // Whether its holder is one there is for that host to say.
      assert.equal((await store.access.find(elsewhere.id))?.ended, null)
    })

    test('who opened one here is the admin that the kernel’s facts of them make, found out in time', async () => {
      const { store, session } = await make()
      const { access, roles, pass } = grantsOf(store)
      const grant = await openNow(store, session, { minutes: 60 })
      access.add(grant, { uid: 1, gid: 1, groups: [], pid: 7 })
      access.tick()
      roles.ada = 'member'
      pass(30_000)
      access.tick()
      roles.ada = 'admin'
      assert.equal(access.accessUnder(grant, ada), null)
      await access.owed.settle(5_000)
      assert.equal((await store.access.find(grant.id))?.ended?.why, 'demoted')
    })

    test('what ends while the database is away is over at once, and put down when it is back', async () => {
      const { store: witness, target, session } = await make()
      let isAway = false
      const lock: InstanceLock = {
        requireHeld() {
          if (isAway) throw new StoreError('unavailable', 'cannot reach it: a test')
        },
        onAway: () => undefined,
        lost: new Promise(() => undefined),
        release: async () => undefined,
      }
      const store = await openStore(target, { lock })
      const { access, heard } = grantsOf(store)
      const grant = await openNow(witness, session)
      await access.look()
      isAway = true
      const end = { atUs: nowUs(), by: 'ada', why: 'ended' } as const
      await assert.rejects(access.end(grant, theApi, end), /cannot reach it/)
      assert.equal(accessOf(access, ada, session), null)
      assert.deepEqual(heard.at(-1), `ended ${grant.id} ended`)
      isAway = false
      // It is still listed, and does not hold again for that.
      await access.look()
      assert.equal(accessOf(access, ada, session), null)
      await until(async () => (await witness.access.find(grant.id))?.ended !== null)
      assert.equal((await entries(witness, /^access\.ended/)).length, 1)
      await access.stop(1_000)
      await store.close()
    })

    test('who drives is told which grant it is, and who may not which would do', async () => {
      const { store, session } = await make()
      const { access } = grantsOf(store)
      const looking = await openNow(store, session, { minutes: 60 })
      await access.look()
      assert.equal(access.grantFor(ada, session, 'session.send')?.id, looking.id)
      const driving = await openNow(store, session, { drive: true })
      await access.look()
      assert.equal(access.grantFor(ada, session, 'session.send')?.id, driving.id)
      assert.equal(access.grantFor(ada, session, 'session.attach')?.id, looking.id)
      assert.equal(access.grantFor({ person: 'ada', role: 'member' }, session, 'session.attach'), null)
    })
  })
}
