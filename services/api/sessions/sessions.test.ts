// What people see of each other's sessions by listing them, and what a runner can do to those of others: in system mode, as real
// other users.

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { SessionPage, SessionView } from '@teleclaude/core/api.ts'
import { runnerProtocol } from '@teleclaude/core/protocol.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import { newSession } from '../../../packages/store/test-engines.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { Held } from '../streams/test-held.ts'
import { alice, ask, bob, openDoorway, serveTo, stranger } from '../test-service.ts'

const carol = stranger
const people = `people:
  - { name: alice, role: admin, os_uid: ${alice} }
  - { name: bob, role: member, os_uid: ${bob} }
  - { name: carol, role: member, os_uid: ${carol} }
`
const unknownId = '00000000-0000-4000-8000-000000000000'

if (process.getuid?.() === 0) {
  describe('sessions of several people', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    async function make(t: TestContext) {
      const { place, store } = await serveTo(t, postgres, people)
      const create = async (person: string, uid: number) => {
        const owner = { person, uid, osUser: String(uid) }
        return (await store.sessions.create(newSession({ host: 'h', owner }))).id
      }
      const list = async (uid: number, query: Readonly<Record<string, string>> = {}) => {
        const { status, body } = await ask(place.socket, uid, 'GET', `/v1/sessions?${new URLSearchParams(query)}`)
        return { status, body: body as unknown as SessionPage & { readonly detail?: string } }
      }
      return { place, store, create, list }
    }

    const ids = ({ body }: { readonly body: SessionPage }) => body.sessions.map(({ id }) => id)

    test('pages go on from the last session of the one before, over sessions of others that are not seen', async (t) => {
      const { create, list } = await make(t)
      const bobs: SessionId[] = []
      const all: SessionId[] = []
      for (let count = 0; count < 4; count++) {
        bobs.unshift(await create('bob', bob))
        all.unshift(...bobs.slice(0, 1))
        all.unshift(await create('carol', carol))
      }
      for (const [uid, wanted] of [
        [bob, bobs],
        [alice, all],
      ] as const) {
        const seen: string[] = []
        let cursor: string | null = null
        do {
          const page = await list(uid, { limit: '3', ...(cursor === null ? {} : { cursor }) })
          seen.push(...ids(page))
          cursor = page.body.nextCursor
          assert.ok(cursor === null || cursor === seen.at(-1))
        } while (cursor !== null)
        assert.deepEqual(seen, wanted)
      }
    })

    test('a cursor that is another’s session is word for word one that does not exist', async (t) => {
      const { place, create, list } = await make(t)
      const carols = await create('carol', carol)
      await create('bob', bob)
      const [hidden, unknown] = await Promise.all([list(bob, { cursor: carols }), list(bob, { cursor: unknownId })])
      assert.equal(hidden.status, 422)
      assert.deepEqual(hidden, unknown)
      assert.equal((await list(alice, { cursor: carols })).status, 200)
      assert.equal((await list(carol, { cursor: carols })).status, 200)
      const malformed = await ask(place.socket, bob, 'GET', '/v1/sessions?cursor=czEyMw')
      assert.deepEqual([malformed.status, malformed.body.code], [422, 'invalid'])
    })

    test('an admin lists those of one person; for others nobody else is anybody', async (t) => {
      const { create, list } = await make(t)
      const [bobs, carols] = [await create('bob', bob), await create('carol', carol)]
      assert.deepEqual(ids(await list(alice)), [carols, bobs])
      assert.deepEqual(ids(await list(alice, { person: 'bob' })), [bobs])
      assert.deepEqual(ids(await list(alice, { person: 'nobody' })), [])
      assert.deepEqual(ids(await list(bob, { person: 'bob' })), [bobs])
      const [others, nobodys] = await Promise.all([list(bob, { person: 'carol' }), list(bob, { person: 'nobody' })])
      assert.deepEqual(others, nobodys)
      assert.deepEqual(others, { status: 200, body: { sessions: [], nextCursor: null, unseenNotices: 0 } })
      const own = async (uid: number) => (await list(uid)).body.sessions.map((session: SessionView) => session.own)
      assert.deepEqual([await own(alice), await own(bob)], [[false, false], [true]])
    })

    test('a runner finishes commands of its own session alone, whatever number it names', async (t) => {
      const { place, store, create } = await make(t)
      const [first, second, others] = [await create('bob', bob), await create('bob', bob), await create('carol', carol)]
      const command = {
        request: { kind: 'stop', force: false },
        requestedBy: 'bob',
        createdAtUs: 1,
        expiresAtUs: Number.MAX_SAFE_INTEGER,
      } as const
      for (const sessionId of [second, others]) {
        assert.equal((await store.commands.enqueue({ ...command, sessionId })).number, 1)
        assert.equal((await store.commands.take(sessionId, 2))?.state, 'delivered')
      }
      const connect = async (id: SessionId) => {
        const runner = await Held.open('WebSocket', bob, place, {
          path: `/v1/sessions/${id}/runner`,
          protocol: runnerProtocol,
        })
        t.after(() => runner[Symbol.asyncDispose]())
        await runner.hears(/"welcome"/)
        return runner
      }
      const runner = await connect(first)
      for (const number of [1, 2, 0, -1, Number.MAX_SAFE_INTEGER]) {
        runner.send({ type: 'command-finished', number, reason: 'mischief' })
      }
      // Acknowledged after what was said before it.
      runner.send(encodeChunk({ seq: 1, kind: 'output', offsetUs: 1, bytes: Buffer.from('x') }))
      await runner.hears(/"ack"/)
      await store.commands.enqueue({ ...command, sessionId: first })
      await ask(place.socket, bob, 'POST', `/v1/sessions/${first}/commands`, { kind: 'stop' })
      await runner.hears(/"number":2/)
      runner.send({ type: 'command-finished', number: 2, reason: null })
      const states = async (id: SessionId) => (await store.commands.list(id, 10)).map(({ state }) => state)
      while ((await states(first))[0] !== 'done') await new Promise(setImmediate)
      assert.deepEqual(await states(second), ['delivered'])
      assert.deepEqual(await states(others), ['delivered'])
      assert.deepEqual(await states(first), ['done', 'delivered'])
    })
  })
}
