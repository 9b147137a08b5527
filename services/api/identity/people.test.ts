// Accounts, permissions and explanations of a real service, asked by real other users.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Permission, Whoami } from '@teleclaude/core/api.ts'
import type { AuditEntry } from '@teleclaude/core/audit.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { alice, ask, bob, makeServicePlace, openDoorway, type Place, Service, stranger } from '../test-service.ts'

const newSession = { project: '/tmp', agent: null, title: 't', argv: ['true'], terminal: { cols: 80, rows: 24 } }

if (process.getuid?.() === 0) {
  describe('people', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    async function serve(t: TestContext, bound: { uid: number; osUser: string } | null = null): Promise<Place> {
      const place = await makeServicePlace(t, postgres, { migrated: true })
      if (bound !== null) {
        const store = await openStore({ engine: 'postgres', url: place.url })
        await store.accounts.bind('h', { ...bound, boundAtUs: 1_000_000 })
        await store.close()
      }
      const serving = new Service(place, { wait: false })
      t.after(() => serving.stop())
      await serving.says(/^ready$/)
      return place
    }

    async function entries(place: Place): Promise<readonly AuditEntry[]> {
      const store = await openStore({ engine: 'postgres', url: place.url })
      const stored = await store.audit.read('h', { afterSeq: 0, limit: 1000 })
      await store.close()
      return stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
    }

    test('whoami explains itself: kernel, account, binding, and the line of the rule', async (t) => {
      const place = await serve(t)
      const explain = async (uid: number) => {
        const { body } = await ask(place.socket, uid, 'GET', '/v1/whoami?explain=1')
        return (body as Whoami).explanation ?? []
      }
      const steps = await explain(bob)
      assert.deepEqual(
        steps.map(({ step }) => step),
        ['kernel', 'account', 'binding', 'rule', 'role'],
      )
      assert.match(steps[0]?.says ?? '', new RegExp(`had uid ${bob}, gid ${bob}, groups none \\(process [1-9]`))
      const line =
        readFileSync(place.configFile, 'utf8')
          .split('\n')
          .findIndex((text) => text.includes('bob')) + 1
      const rule = { says: `people: bob has os_uid ${bob}`, place: `${place.configFile}:${line}` }
      assert.partialDeepStrictEqual(steps[3], { says: rule.says })
      assert.ok(steps[3]?.place?.startsWith(rule.place), steps[3]?.place ?? 'nowhere')
      assert.match(steps[4]?.says ?? '', /^bob is newcomer: /)
      assert.partialDeepStrictEqual((await explain(stranger))[3], { place: null })
      assert.equal((await ask(place.socket, bob, 'GET', '/v1/whoami')).body.explanation, null)
      assert.equal((await ask(place.socket, bob, 'GET', '/v1/whoami?explain=2')).status, 422)
    })

    test('what somebody may do is what they are really answered; one’s own always, another’s for admins', async (t) => {
      const place = await serve(t)
      const can = async (uid: number, person: string, query: string) => {
        const answer = await ask(place.socket, uid, 'GET', `/v1/people/${person}/permission?${query}`)
        return { ...answer, body: answer.body as Permission }
      }
      const { body } = await ask(place.socket, alice, 'POST', '/v1/sessions', newSession)
      const { session } = body as { session: { id: string } }

      const own = await can(bob, 'bob', 'action=session.create')
      assert.partialDeepStrictEqual(own.body, {
        allow: true,
        person: 'bob',
        role: 'newcomer',
        reason: null,
        code: null,
      })
      assert.match(own.body.place ?? '', /config\.yml:\d+/)
      assert.partialDeepStrictEqual((await can(bob, 'bob', 'action=config.reload')).body, {
        allow: false,
        reason: 'this is for admins',
        code: 'not-permitted',
      })
      // Of another's session they learn what they learn by trying: that they have none with this id.
      const hidden = await can(bob, 'bob', `action=session.read&session=${session.id}`)
      const unknown = await can(bob, 'bob', `action=session.read&session=${crypto.randomUUID()}`)
      assert.deepEqual({ ...hidden.body, session: null }, { ...unknown.body, session: null })
      assert.partialDeepStrictEqual(hidden.body, { allow: false, code: 'not-found' })

      assert.equal((await can(bob, 'alice', 'action=session.list')).status, 403)
      assert.equal((await can(bob, 'nobody-at-all', 'action=session.list')).status, 403)
      assert.equal((await can(stranger, 'bob', 'action=session.list')).status, 403)

      const asked = (person: string, action: string, id = session.id) =>
        can(alice, person, `action=${action}&session=${id}`)
      assert.partialDeepStrictEqual((await asked('bob', 'transcript.read')).body, {
        allow: false,
        reason: 'this session belongs to somebody else',
        code: 'not-found',
      })
      assert.partialDeepStrictEqual((await asked('alice', 'transcript.read')).body, { allow: true })
      assert.partialDeepStrictEqual((await can(alice, 'root', 'action=session.list')).body, {
        allow: false,
        person: null,
      })
      assert.equal((await can(alice, 'nobody-at-all', 'action=session.list')).status, 404)
      assert.equal((await can(alice, 'bob', 'action=session.love')).status, 422)
      // It was never done, and is nothing to record.
      assert.deepEqual(
        (await entries(place)).filter(
          ({ action, detail }) => action === 'request.denied' && detail.request !== 'policy.explain',
        ),
        [],
      )
    })

    test('an account that became another has nothing of it until an admin says so, on the record', async (t) => {
      const place = await serve(t, { uid: bob, osUser: 'robert' })
      const get = (uid: number, path: string) => ask(place.socket, uid, 'GET', path)
      const rebind = (uid: number, body: object) => ask(place.socket, uid, 'POST', '/v1/people/rebind', body)
      assert.partialDeepStrictEqual((await get(bob, '/v1/whoami')).body, { person: null, role: 'public' })
      const refused = await get(bob, '/v1/sessions')
      assert.equal(refused.status, 403)
      assert.match(
        String(refused.body.detail),
        /is not who was seen here before under that uid.*telec people rebind 54002\)$/,
      )

      for (const uid of [bob, stranger]) {
        assert.equal((await get(uid, '/v1/people')).status, 403)
        assert.equal((await rebind(uid, { account: String(bob) })).status, 403)
      }
      const quarantined = {
        uid: bob,
        osUser: null,
        quarantined: true,
        person: 'bob',
        bound: { uid: bob, osUser: 'robert' },
      }
      assert.partialDeepStrictEqual((await get(alice, '/v1/people')).body, { accounts: [{ uid: alice }, quarantined] })
      assert.partialDeepStrictEqual((await rebind(alice, { account: String(bob), dryRun: true })).body, quarantined)
      assert.equal((await get(bob, '/v1/sessions')).status, 403)
      assert.partialDeepStrictEqual((await rebind(alice, { account: String(bob) })).body, {
        quarantined: false,
        bound: { uid: bob, osUser: null },
      })
      assert.equal((await get(bob, '/v1/sessions')).status, 200)

      const again = await rebind(alice, { account: String(bob) })
      assert.equal(again.status, 409)
      assert.match(String(again.body.detail), /there is nothing to do/)
      for (const account of ['no-such-account', '4294967295', '99999999999999999999']) {
        assert.equal((await rebind(alice, { account })).status, 404, account)
      }
      assert.partialDeepStrictEqual(
        (await entries(place)).filter(({ action }) => action === 'account.rebound'),
        [{ actor: { person: 'alice' }, detail: { uid: bob, osUser: null, wasUid: bob, wasOsUser: 'robert' } }],
      )
    })
  })
}
