// Real streams of real other users, and what a reload of the configuration leaves of them.

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { AuditEntry } from '@teleclaude/core/audit.ts'
import { runnerProtocol, viewerProtocol } from '@teleclaude/core/protocol.ts'
import { encodeChunk, maxChunkBytes } from '@teleclaude/core/transcript.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { newSession } from '../../../packages/store/test-engines.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { alice, ask, bob, openDoorway, type Place, reconfigure, serveTo } from '../test-service.ts'
import { Held } from './test-held.ts'

const admin = `people:\n  - { name: alice, role: admin, os_uid: ${alice} }\n`
const as = (name: string, role: string) => `${admin}  - { name: ${name}, role: ${role}, os_uid: ${bob} }\n`

if (process.getuid?.() === 0) {
  describe('open streams', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    const make = (t: TestContext) => serveTo(t, postgres, as('bob', 'member'))

    /** With more in its transcript than any buffer on the way to a reader holds. */
    async function makeSession(store: Store, person: string, uid: number) {
      const owner = { person, uid, osUser: String(uid) }
      const { id } = await store.sessions.create(newSession({ host: 'h', owner }))
      const bytes = Buffer.alloc(maxChunkBytes, 'x')
      for (let first = 1; first <= 256; first += 64) {
        const chunks = Array.from({ length: 64 }, (_, index) => ({
          seq: first + index,
          kind: 'output' as const,
          offsetUs: 1,
          bytes,
        }))
        await store.transcripts.append([{ sessionId: id, chunks, atUs: 1 }])
      }
      return { id, lastSeq: 256, bytes: 256 * maxChunkBytes }
    }

    type Session = Awaited<ReturnType<typeof makeSession>>

    /** One of each kind, all of bob's. */
    async function holdAll(t: TestContext, place: Place, { id, lastSeq }: Session) {
      const attach = { path: `/v1/sessions/${id}/attach?drive=true&afterSeq=${lastSeq}`, protocol: viewerProtocol }
      const all = {
        runner: await Held.open('WebSocket', bob, place, {
          path: `/v1/sessions/${id}/runner`,
          protocol: runnerProtocol,
        }),
        viewer: await Held.open('WebSocket', bob, place, attach),
        mute: await Held.open('mute', bob, place, attach),
        // Does not read, and everything from the beginning is on its way.
        deaf: await Held.open('deaf', bob, place, { path: `/v1/sessions/${id}/attach`, protocol: viewerProtocol }),
        answer: await Held.open('answer', bob, place, { path: `/v1/sessions/${id}/transcript?format=raw` }),
      }
      for (const held of Object.values(all)) {
        assert.equal(held.seen[0]?.what, 'open')
        t.after(() => held[Symbol.asyncDispose]())
      }
      await all.runner.until('text')
      await all.viewer.until('text')
      return all
    }

    async function closings(store: Store): Promise<readonly AuditEntry[]> {
      for (;;) {
        const stored = await store.audit.read('h', { afterSeq: 0, limit: 1000 })
        const found = stored
          .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')) as AuditEntry)
          .filter(({ action }) => action === 'stream.closed')
        if (found.length > 0) return found
        await delay(20)
      }
    }

    const output = (seq: number, text: string) =>
      encodeChunk({ seq, kind: 'output', offsetUs: 1, bytes: Buffer.from(text) })

    for (const { what, people, reason, status } of [
      {
        what: 'is removed',
        people: admin,
        reason: 'this service does not know you: an admin has to add you to its people',
        status: 403,
      },
      {
        what: 'is another person now',
        people: as('robert', 'member'),
        reason: 'this session belongs to somebody else',
        status: 404,
      },
    ]) {
      test(`who ${what} loses all of them at the reload, is told why, and gets none back`, async (t) => {
        const { place, store, serving } = await make(t)
        const session = await makeSession(store, 'bob', bob)
        const other = await makeSession(store, 'alice', alice)
        const attach = { path: `/v1/sessions/${other.id}/attach?afterSeq=end`, protocol: viewerProtocol }
        await using witness = await Held.open('WebSocket', alice, place, attach)
        await witness.until('text')
        const { runner, viewer, mute, deaf, answer } = await holdAll(t, place, session)

        await reconfigure(place, people)
        for (const held of [runner, viewer]) {
          assert.deepEqual(await held.until('closed'), { what: 'closed', code: 4403, reason })
        }
        assert.ok((await mute.until('cut')).tail.endsWith(reason))
        await deaf.until('cut')
        assert.partialDeepStrictEqual(await closings(store), [
          {
            actor: { kind: 'caller', person: 'bob', uid: bob },
            session: { id: session.id, owner: 'bob' },
            detail: { request: 'runner.connect, session.attach, session.drive, transcript.read', reason, streams: 5 },
          },
        ])
        answer.send({})
        const { bytes } = await answer.until('cut')
        assert.ok(bytes < session.bytes, String(bytes))

        assert.doesNotMatch(serving.log, /"level":[56]0/, 'it is no failure of the service')

        const again = { path: `/v1/sessions/${session.id}/runner`, protocol: runnerProtocol }
        await using refused = await Held.open('WebSocket', bob, place, again)
        assert.partialDeepStrictEqual(refused.seen, [{ what: 'refused', status }])
        // Whose rights are what they were has noticed nothing.
        await using othersRunner = await Held.open('WebSocket', alice, place, {
          path: `/v1/sessions/${other.id}/runner`,
          protocol: runnerProtocol,
        })
        await othersRunner.until('text')
        othersRunner.send(output(other.lastSeq + 1, 'still here'))
        const { base64 } = await witness.until('binary')
        assert.ok(Buffer.from(base64, 'base64').toString('latin1').endsWith('still here'))
      })
    }

    test('what somebody shown out still sends counts for nothing', async (t) => {
      const { place, store } = await make(t)
      const session = await makeSession(store, 'bob', bob)
      const { runner } = await holdAll(t, place, session)
      runner.send(output(session.lastSeq + 1, 'before'))
      await runner.hears(/"ack"/)
      await reconfigure(place, admin)
      runner.send(output(session.lastSeq + 2, 'after'))
      await runner.until('closed')
      await closings(store)
      assert.equal(await store.transcripts.lastSeq(session.id), session.lastSeq + 1)
      await reconfigure(place, as('bob', 'member'))
      // Nothing is lost by it: the runner goes on from what is recorded.
      await using back = await Held.open('WebSocket', bob, place, {
        path: `/v1/sessions/${session.id}/runner`,
        protocol: runnerProtocol,
      })
      const { text } = await back.until('text')
      assert.deepEqual(JSON.parse(text), { type: 'welcome', ackedSeq: session.lastSeq + 1 })
    })

    test('who has a lower role and is still allowed keeps all of them', async (t) => {
      const { place, store } = await make(t)
      const session = await makeSession(store, 'bob', bob)
      await reconfigure(place, as('bob', 'admin'))
      const { runner, viewer, answer } = await holdAll(t, place, session)
      await reconfigure(place, as('bob', 'newcomer'))
      assert.partialDeepStrictEqual(await ask(place.socket, bob, 'GET', '/v1/whoami'), { body: { role: 'newcomer' } })
      runner.send(output(session.lastSeq + 1, 'goes on'))
      const { base64 } = await viewer.until('binary')
      assert.ok(Buffer.from(base64, 'base64').toString('latin1').endsWith('goes on'))
      answer.send({})
      const { bytes } = await answer.until('complete')
      assert.ok(bytes >= session.bytes, String(bytes))
    })
  })
}
