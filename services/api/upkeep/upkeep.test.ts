import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { AnswerError } from '@teleclaude/client/client.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { pino } from 'pino'
import {
  engineNames,
  newSession,
  queryRows,
  startEngine,
  type TestEngine,
} from '../../../packages/store/test-engines.ts'
import { serveInProcess } from '../test-serve.ts'
import { endOverdueSessions } from './overdue.ts'
import { removeOldTranscripts } from './retention.ts'

const host = 'h'
const log = pino({ level: 'silent' })
const hourUs = 3_600_000_000
const owner = { person: 'tester', uid: process.getuid?.() ?? -1, osUser: 'tester' }
const goesOn = new AbortController().signal

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(_t: TestContext) {
      const { store, target } = await engine.createStore()
      const start = async (hoursAgo: number, silentHours: number | null, change: { host?: string } = {}) => {
        const createdAtUs = nowUs() - hoursAgo * hourUs
        const session = newSession({ host, owner, createdAtUs, ...change })
        await store.sessions.create(session)
        await store.sessions.markRunning(session.id, createdAtUs)
        if (silentHours !== null) {
          const chunk = { seq: 1, kind: 'output', offsetUs: 1, bytes: Buffer.from('x') } as const
          await store.transcripts.append([
            { sessionId: session.id, chunks: [chunk], atUs: nowUs() - silentHours * hourUs },
          ])
        }
        return session.id
      }
      const entries = async () =>
        (await store.audit.read(host, { afterSeq: 0, limit: 1000 })).map(({ bytes }) =>
          JSON.parse(Buffer.from(bytes).toString('utf8')),
        )
      return { store, target, start, entries }
    }

    test('what is too old or silent for too long is stopped, once, on the record; the rest goes on', async (t) => {
      const { store, start, entries } = await make(t)
      const old = await start(50, 0)
      const silent = await start(30, 10)
      const never = await start(30, null)
      await start(30, 1)
      await start(1, null)
      await start(50, 20, { host: 'elsewhere' })
      const delivered: string[] = []
      const hub = { deliverCommands: (id: SessionId) => delivered.push(id) } as never
      const where = { store, host, hub, log }
      await endOverdueSessions(where, { maxIdleHours: null, maxAgeHours: null })
      assert.deepEqual(delivered, [])
      for (let count = 0; count < 2; count++) await endOverdueSessions(where, { maxIdleHours: 8, maxAgeHours: 48 })
      assert.deepEqual(delivered, [old, silent, never])
      const [command] = await store.commands.list(old, 10)
      assert.partialDeepStrictEqual(command, {
        kind: 'stop',
        requestedBy: 'TeleClaude: started over 48 hours ago (sessions.max_age_hours)',
      })
      const [other] = await store.commands.list(silent, 10)
      assert.equal(other?.requestedBy, 'TeleClaude: silent for over 8 hours (sessions.max_idle_hours)')
      const stopped = (await entries()).filter(({ action }) => action === 'session.stopped')
      assert.deepEqual(
        stopped.map(({ session, actor }) => [session.id, actor.name]),
        [old, silent, never].map((id) => [id, 'api']),
      )
    })

    test('transcripts that are old enough are removed in pieces, the sessions stay, and the record says so', async (t) => {
      const { store, target, start, entries } = await make(t)
      const ended = async (daysAgo: number) => {
        const id = await start(24 * daysAgo + 1, 24 * daysAgo + 1)
        const chunks = Array.from({ length: 450 }, (_, index) => ({
          seq: index + 2,
          kind: 'output' as const,
          offsetUs: index + 2,
          bytes: Buffer.from('y'),
        }))
        await store.transcripts.append([{ sessionId: id, chunks, atUs: nowUs() - daysAgo * 24 * hourUs }])
        await store.sessions.end(id, { kind: 'exited', code: 0 }, nowUs() - daysAgo * 24 * hourUs)
        return id
      }
      const old = await ended(40)
      const recent = await ended(20)
      const live = await start(24 * 50, 24 * 50)
      assert.equal(await removeOldTranscripts({ store, host, log }, { transcriptsDays: null }, goesOn), 0)
      assert.equal(await removeOldTranscripts({ store, host, log }, { transcriptsDays: 30 }, goesOn), 1)
      assert.equal(await removeOldTranscripts({ store, host, log }, { transcriptsDays: 30 }, goesOn), 0)
      const rows = await queryRows(
        target,
        'SELECT session_id, count(*) AS n FROM transcript_chunks GROUP BY session_id ORDER BY n',
      )
      assert.deepEqual(
        JSON.parse(JSON.stringify(rows)).map(({ session_id }: { session_id: string }) => session_id),
        [live, recent],
      )
      assert.partialDeepStrictEqual(await store.sessions.find(old), { status: 'ended', transcriptBytes: 451 })
      assert.notEqual((await store.sessions.find(old))?.transcriptRemovedAtUs, null)
      const removed = (await entries()).filter(({ action }) => action === 'transcript.removed')
      assert.deepEqual(
        removed.map(({ session, detail }) => [session.id, detail]),
        [[old, { days: 30, transcriptBytes: 451 }]],
      )
      const { client } = await serveInProcess(t, store, host)
      for (const format of ['text', 'raw', 'cast'] as const) {
        await assert.rejects(client.readTranscript(old, { format }), (error: unknown) => {
          assert.ok(error instanceof AnswerError)
          assert.equal(error.problem.status, 410)
          return true
        })
      }
      assert.notEqual((await client.readSession(old)).transcriptRemovedAt, null)
    })
  })
}
