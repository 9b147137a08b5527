// Of several users of the machine: an admin who has opened a member's session, and what becomes of that when they are none any more.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { nowUs } from '@teleclaude/core/instant.ts'
import { closeCodes, runnerProtocol, viewerProtocol } from '@teleclaude/core/protocol.ts'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import { newSession } from '../../../packages/store/test-engines.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { Held } from '../streams/test-held.ts'
import { alice, ask, bob, stranger as carol, openDoorway, reconfigure, serveTo } from '../test-service.ts'
import { entries, until } from './test-access.ts'

const people = (carols: string) => `people:
  - { name: alice, role: admin, os_uid: ${alice} }
  - { name: bob, role: member, os_uid: ${bob} }
${carols}`
const asAdmin = people(`  - { name: carol, role: admin, os_uid: ${carol} }\n`)
const asMember = people(`  - { name: carol, role: member, os_uid: ${carol} }\n`)

if (process.getuid?.() === 0) {
  describe('of several people', { timeout: 60_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    for (const [what, changed] of [
      ['demoted', asMember],
      ['removed', people('')],
    ] as const) {
      test(`who is ${what} loses what they had open within two seconds, and their grants with it`, async (t) => {
        const { place, store } = await serveTo(t, postgres, asAdmin)
        const session = await store.sessions.create(
          newSession({ host: 'h', owner: { person: 'bob', uid: bob, osUser: 'bob' }, createdAtUs: nowUs() }),
        )
        const path = `/v1/sessions/${session.id}`
        const attach = { path: `${path}/attach`, protocol: viewerProtocol }
        await using runner = await Held.open('WebSocket', bob, place, {
          path: `${path}/runner`,
          protocol: runnerProtocol,
        })
        await using own = await Held.open('WebSocket', bob, place, attach)
        await using refused = await Held.open('WebSocket', carol, place, attach)
        assert.partialDeepStrictEqual(refused.seen, [{ what: 'refused', status: 403 }])

        const asked = { session: session.id, reason: 'an incident' }
        assert.equal((await ask(place.socket, bob, 'POST', '/v1/access-grants', asked)).status, 403)
        const grant = await ask(place.socket, carol, 'POST', '/v1/access-grants', asked)
        assert.equal(grant.status, 201)
        await own.hears(/"type":"access","state":"opened","grantee":"carol","reason":"an incident"/)
        await using viewer = await Held.open('WebSocket', carol, place, attach)
        await viewer.hears(/"type":"welcome"/)
        await runner.hears(/"type":"welcome"/)
        runner.send(encodeChunk({ seq: 1, kind: 'output', offsetUs: 1, bytes: Buffer.from('typed') }))
        await viewer.until('binary')

        await reconfigure(place, changed)
        const { code, reason } = await viewer.until('closed')
        assert.equal(code, closeCodes.notPermitted)
        assert.match(reason, /no admin any more/)
        await own.hears(/"type":"access","state":"ended","grantee":"carol"/)
        await until(async () => (await store.access.find(String(grant.body.id)))?.ended !== null)
        await until(async () => (await entries(store, /^content\.delivered/)).length === 1)
        assert.partialDeepStrictEqual(await entries(store, /^(access|content)\.\w+ed$/), [
          { action: 'access.opened', actor: { person: 'carol', uid: carol }, session: { owner: 'bob' } },
          { action: 'content.opened', actor: { person: 'carol' }, detail: { kind: 'attach' } },
          ...[{}, {}],
        ])
        assert.partialDeepStrictEqual(await entries(store, /^access\.ended/), [
          { actor: { kind: 'service' }, detail: { grant: grant.body.id, why: 'demoted' } },
        ])
        assert.partialDeepStrictEqual(await entries(store, /^content\.delivered/), [
          { detail: { firstSeq: 1, lastSeq: 1, bytes: 5, complete: true } },
        ])
        // For good: who is an admin again opens it anew.
        await reconfigure(place, asAdmin)
        assert.equal((await ask(place.socket, carol, 'GET', `${path}/transcript`)).status, 403)
      })
    }
  })
}
