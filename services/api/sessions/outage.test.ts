// The database goes away at the worst moments: what was under way then is finished when it is back, and nothing is off the record.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError } from '@teleclaude/client/client.ts'
import type { AuditAction, AuditEntry } from '@teleclaude/core/audit.ts'
import { closeCodes, runnerProtocol, viewerProtocol } from '@teleclaude/core/protocol.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { decodeChunk, encodeChunk } from '@teleclaude/core/transcript.ts'
import { type InstanceLock, type Store, StoreError } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { pino } from 'pino'
import {
  engineNames,
  newSession as newStoredSession,
  startEngine,
  type TestEngine,
} from '../../../packages/store/test-engines.ts'
import { newSession, serveInProcess } from '../test-serve.ts'
import { Hub } from './hub.ts'

const host = 'h'

/** A service whose database goes away when the test says so, by the door that it is really shut at: the lock. */
async function serveWithOutages(
  t: TestContext,
  engine: TestEngine,
  change: (store: Store, away: () => void) => Store = (store) => store,
) {
  const { target, store: witness } = await engine.createStore()
  let isAway = false
  const lock: InstanceLock = {
    requireHeld() {
      if (isAway) throw new StoreError('unavailable', 'cannot reach it: a test')
    },
    onAway: () => undefined,
    lost: new Promise(() => undefined),
    release: async () => undefined,
  }
  const opened = await openStore(target, { lock })
  const goAway = () => {
    isAway = true
  }
  // In this order at the end: a service that stops has a last word for the record.
  t.after(() => {
    isAway = false
  })
  const { client, stop } = await serveInProcess(t, change(opened, goAway))
  t.after(async () => {
    await stop()
    await opened.close()
  })
  async function connectRunner(id: string) {
    const runner = await client.openStream(`/v1/sessions/${id}/runner`, runnerProtocol)
    const heard: unknown[] = []
    runner.on('message', (bytes: Buffer) => {
      const message = JSON.parse(bytes.toString('utf8'))
      if (message.type !== 'driver') heard.push(message)
    })
    runner.resume()
    await once(runner, 'message')
    return { runner, heard }
  }
  return {
    client,
    witness,
    connectRunner,
    goAway,
    comeBack() {
      isAway = false
    },
    async entries(): Promise<readonly (AuditEntry & { readonly action: AuditAction })[]> {
      const stored = await witness.audit.read(host, { afterSeq: 0, limit: 1000 })
      return stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
    },
  }
}

const exitFrame = encodeChunk({ seq: 1, kind: 'exit', offsetUs: 1, bytes: Buffer.from('{"kind":"exited","code":3}') })

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    test('start, end and a life of a session are on the record, in order', async (t) => {
      const own = await serveWithOutages(t, engine)
      const { session } = await own.client.createSession(newSession)
      const { runner } = await own.connectRunner(session.id)
      runner.send(exitFrame)
      const [code] = await once(runner, 'close')
      assert.equal(code, closeCodes.ended)
      const entries = await own.entries()
      assert.deepEqual(
        entries.map(({ action }) => action),
        ['key.changed', 'service.started', 'config.loaded', 'account.bound', 'session.started', 'session.ended'],
      )
      assert.partialDeepStrictEqual(entries[4], {
        actor: { kind: 'caller', person: 'tester', uid: process.getuid?.() },
        session: { id: session.id, owner: 'tester' },
        detail: { project: '/tmp', agent: null },
      })
      assert.partialDeepStrictEqual(entries[5], {
        actor: { kind: 'service', name: 'api' },
        detail: { exitCode: 3, signal: null, transcriptBytes: 0 },
      })
      assert.ok(!JSON.stringify(entries).includes('"true"'), 'arguments are content')
    })

    test('a session whose start can not be recorded is not started', async (t) => {
      const own = await serveWithOutages(t, engine)
      own.goAway()
      await assert.rejects(own.client.createSession(newSession), (error: unknown) => {
        assert.ok(error instanceof AnswerError)
        assert.equal(error.problem.status, 503)
        return true
      })
      own.comeBack()
      assert.deepEqual((await own.client.listSessions({})).sessions, [])
    })

    test('an end that comes as the database goes is recorded, and told to the runner, when it is back', async (t) => {
      const own = await serveWithOutages(t, engine, (store, away) => ({
        ...store,
        ping: () => store.ping(),
        transcripts: {
          ...store.transcripts,
          async append(appends) {
            await store.transcripts.append(appends)
            away()
          },
        },
      }))
      const { session } = await own.client.createSession(newSession)
      const { runner, heard } = await own.connectRunner(session.id)
      runner.send(exitFrame)
      const closed = once(runner, 'close')
      while (heard.length < 2) await once(runner, 'message')
      assert.equal((await own.witness.sessions.find(session.id as SessionId))?.status, 'running')
      own.comeBack()
      assert.equal((await closed)[0], closeCodes.ended)
      assert.equal((await own.client.readSession(session.id)).status, 'ended')
      assert.equal((await own.entries()).filter(({ action }) => action === 'session.ended').length, 1)
    })

    test('a session whose runner never comes is lost, once on the record, though the database is away just then', async () => {
      const { target, store: witness } = await engine.createStore()
      let refused = 0
      const { promise: wasRefused, resolve } = Promise.withResolvers<void>()
      const lock: InstanceLock = {
        requireHeld() {
          if (refused >= 2) return
          refused += 1
          if (refused === 2) resolve()
          throw new StoreError('unavailable', 'cannot reach it: a test')
        },
        onAway: () => undefined,
        lost: new Promise(() => undefined),
        release: async () => undefined,
      }
      const session = await witness.sessions.create(newStoredSession({ host }))
      const store = await openStore(target, { lock })
      const hub = new Hub({ store, access: { on: () => [] }, log: pino({ level: 'silent' }), host, lostAfterMs: 1 })
      hub.expectRunner(session.id)
      await wasRefused
      for (;;) {
        if ((await witness.sessions.find(session.id))?.status === 'lost') break
        await delay(20)
      }
      await hub.close()
      await store.close()
      const stored = await witness.audit.read(host, { afterSeq: 0, limit: 10 })
      const entries = stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
      assert.deepEqual(
        entries.map(({ action, session: subject }) => [action, subject]),
        [['session.lost', { id: session.id, owner: 'alice' }]],
      )
    })

    test('what a viewer saw of a service that was killed before it was recorded is not shown again', async (t) => {
      const own = await serveWithOutages(t, engine)
      const { session } = await own.client.createSession(newSession)
      const viewer = await own.client.openStream(`/v1/sessions/${session.id}/attach`, viewerProtocol, { afterSeq: 1 })
      const seen: number[] = []
      viewer.on('message', (bytes: Buffer, isBinary) => {
        if (isBinary) seen.push(decodeChunk(bytes).seq)
      })
      viewer.resume()
      await once(viewer, 'message')
      const { runner } = await own.connectRunner(session.id)
      for (const seq of [1, 2]) runner.send(encodeChunk({ seq, kind: 'output', offsetUs: 1, bytes: Buffer.from('x') }))
      runner.send(encodeChunk({ seq: 3, kind: 'exit', offsetUs: 1, bytes: Buffer.from('{"kind":"exited","code":0}') }))
      await once(viewer, 'close')
      assert.deepEqual(seen, [2, 3])
    })

    test('a command that was queued as the database went is delivered when it is back, and its end recorded', async (t) => {
      const own = await serveWithOutages(t, engine, (store, away) => ({
        ...store,
        ping: () => store.ping(),
        commands: {
          ...store.commands,
          async enqueue(command) {
            const queued = await store.commands.enqueue(command)
            away()
            return queued
          },
        },
      }))
      const { session } = await own.client.createSession(newSession)
      const { runner, heard } = await own.connectRunner(session.id)
      const command = await own.client.enqueueCommand(session.id, { kind: 'stop' })
      assert.equal(heard.length, 1)
      own.comeBack()
      while (heard.length < 2) await once(runner, 'message')
      assert.partialDeepStrictEqual(heard[1], { type: 'command', number: command.number })

      own.goAway()
      runner.send(JSON.stringify({ type: 'command-finished', number: command.number, reason: null }))
      // Answered after it, so it has been heard by then.
      runner.ping()
      await once(runner, 'pong')
      own.comeBack()
      for (;;) {
        const [listed] = await own.witness.commands.list(session.id as SessionId, 1)
        if (listed?.state === 'done') break
        await delay(20)
      }
    })
  })
}
