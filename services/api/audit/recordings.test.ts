// Transcripts and what the log says of them: with runners that do as the test says, and somebody who owns the database.

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { RecordingCheck } from '@teleclaude/core/audit-api.ts'
import type { ToRunner } from '@teleclaude/core/link.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { type ChunkKind, encodeChunk, encodeGap } from '@teleclaude/core/transcript.ts'
import type { Store, StoreTarget } from '@teleclaude/store/contract.ts'
import { engineNames, queryRows, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import { connectRunner, newSession, type RunnerEnd, serveInProcess } from '../test-serve.ts'
import { checkAll } from './recordings.ts'
import { sealAfterMs, TranscriptSeal } from './transcript-seal.ts'

const host = 'h'

function send(runner: RunnerEnd, seq: number, text: string | Buffer, kind: ChunkKind = 'output'): void {
  runner.socket.send(encodeChunk({ seq, kind, offsetUs: seq * 1000, bytes: Buffer.from(text) }))
}

const acked = (seq: number) => (message: ToRunner) => message.type === 'ack' && message.seq >= seq
const isWelcome = (message: ToRunner) => message.type === 'welcome'
const exit = JSON.stringify({ kind: 'exited', code: 0 })

async function until(runner: RunnerEnd, isSo: (message: ToRunner) => boolean): Promise<void> {
  await runner.until(() => runner.heard.some(isSo))
}

/** Some chunks, and the end. */
async function play(client: Client, texts: readonly (string | Buffer)[]): Promise<SessionView> {
  const { session } = await client.createSession(newSession)
  const runner = await connectRunner(client, session)
  await until(runner, isWelcome)
  for (const [index, text] of texts.entries()) send(runner, index + 1, text)
  send(runner, texts.length + 1, exit, 'exit')
  await runner.closed
  return session
}

async function checksOf(store: Store): Promise<ReadonlyMap<string, RecordingCheck>> {
  const checks = new Map<string, RecordingCheck>()
  for await (const check of checkAll({ store, host })) {
    assert.equal(checks.has(check.session), false)
    checks.set(check.session, check)
  }
  return checks
}

async function saidOf(store: Store, session: SessionView) {
  const asked = { scope: { kind: 'all' }, sessionId: session.id as SessionId, limit: 100 } as const
  const entries = (await store.audit.find(host, asked)).map(({ bytes }) => parseAuditEntry(bytes))
  return entries.reverse().map((entry) => [entry?.action, entry?.detail] as const)
}

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(t: TestContext) {
      const { store, target } = await engine.createStore()
      return { store, target, ...(await serveInProcess(t, store, host)) }
    }

    test('the entry of a session’s end holds the hash over all of it', async (t) => {
      const { store, client } = await make(t)
      const session = await play(client, ['one', 'two', 'three'])
      const [action, detail] = (await saidOf(store, session)).at(-1) ?? []
      assert.equal(action, 'session.ended')
      assert.partialDeepStrictEqual(detail, { sealedFrom: 1, sealedTo: 4, sealedBytes: 11, exitCode: 0 })
      assert.equal(await store.transcripts.sealedSeq(session.id as SessionId), 4)
      const check = (await checksOf(store)).get(session.id)
      assert.deepEqual(check, { session: session.id, state: 'bound', boundSeq: 4, bytes: 11, fault: null })
    })

    test('of a long one each few megabytes have an entry of their own, and the end has the rest', async (t) => {
      const { store, client } = await make(t)
      const part = Buffer.alloc(64 * 1024, 'x')
      const { session } = await client.createSession(newSession)
      const runner = await connectRunner(client, session)
      await until(runner, isWelcome)
      for (let seq = 1; seq <= 150; seq++) send(runner, seq, part)
      // While its runner is here.
      while ((await store.transcripts.sealedSeq(session.id as SessionId)) === 0) await setImmediate()
      send(runner, 151, exit, 'exit')
      await runner.closed
      const said = await saidOf(store, session)
      const sealed = said.filter(([action]) => action === 'transcript.sealed').map(([, detail]) => detail)
      assert.ok(sealed.length >= 1)
      let next = 1
      for (const detail of sealed) {
        assert.equal(detail?.fromSeq, next)
        assert.ok(Number(detail?.bytes) >= 4 * 1024 * 1024)
        next = Number(detail?.toSeq) + 1
      }
      // Where the last of these came after the end, nothing is left for the entry of that.
      const [left, to] = next > 151 ? [null, null] : [next, 151]
      assert.partialDeepStrictEqual(said.at(-1)?.[1], { sealedFrom: left, sealedTo: to })
      assert.partialDeepStrictEqual((await checksOf(store)).get(session.id), { state: 'bound', boundSeq: 151 })
    })

    test('what was recorded before a restart is bound as well', async (t) => {
      const { store, client, stop } = await make(t)
      const { session } = await client.createSession(newSession)
      const runner = await connectRunner(client, session)
      await until(runner, isWelcome)
      for (const seq of [1, 2, 3]) send(runner, seq, `chunk ${seq}`)
      await until(runner, acked(3))
      assert.equal((await checksOf(store)).get(session.id)?.state, 'partly')
      await stop()
      const { client: again } = await serveInProcess(t, store, host)
      const back = await connectRunner(again, session)
      await until(back, isWelcome)
      send(back, 4, 'more')
      send(back, 5, exit, 'exit')
      await back.closed
      assert.partialDeepStrictEqual((await saidOf(store, session)).at(-1)?.[1], { sealedFrom: 1, sealedTo: 5 })
      assert.equal((await checksOf(store)).get(session.id)?.state, 'bound')
    })

    test('a session that was lost is bound up to there', async (t) => {
      const { store, client } = await make(t)
      const { session } = await client.createSession(newSession)
      const runner = await connectRunner(client, session)
      await until(runner, isWelcome)
      send(runner, 1, 'one')
      send(runner, 2, encodeGap({ reason: 'its runner was killed' }), 'gap')
      await runner.closed
      const [action, detail] = (await saidOf(store, session)).at(-1) ?? []
      assert.equal(action, 'session.lost')
      assert.partialDeepStrictEqual(detail, { sealedFrom: 1, sealedTo: 2, sealedBytes: 3 })
      assert.equal((await checksOf(store)).get(session.id)?.state, 'bound')
    })

    test('after some minutes with output it is sealed without its end', async (t) => {
      const { store } = await make(t)
      const { id } = await store.sessions.create({
        ...newSession,
        id: crypto.randomUUID() as SessionId,
        host,
        owner: { person: 'a', uid: 1, osUser: 'a' },
        parentId: null,
        createdAtUs: 1,
      })
      const subject = { id, owner: 'a' }
      const seal = new TranscriptSeal(id, 0)
      const where = { store, host }
      const add = async (seq: number, atMs: number) => {
        const chunk = { seq, kind: 'output', offsetUs: seq, bytes: Buffer.from(`chunk ${seq}`) } as const
        await store.transcripts.append([{ sessionId: id, chunks: [chunk], atUs: 1 }])
        seal.add(chunk, atMs)
      }
      await add(1, 1000)
      assert.equal(seal.isDue(1000 + sealAfterMs - 1), false)
      assert.equal(seal.isDue(1000 + sealAfterMs), true)
      await seal.seal(where, subject)
      assert.equal(seal.isDue(1000 + 9 * sealAfterMs), false)
      assert.equal(await store.transcripts.sealedSeq(id), 1)
      await add(2, 2000)
      // What can't be recorded is read again: also what came meanwhile.
      const broken = {
        store: { ...store, audit: { ...store.audit, append: () => Promise.reject(new Error('away')) } },
        host,
      }
      await assert.rejects(seal.seal(broken, subject), /away/)
      await add(3, 3000)
      await seal.seal(where, subject)
      assert.equal(await store.transcripts.sealedSeq(id), 3)
      const check = (await checksOf(store)).get(id)
      assert.deepEqual([check?.state, check?.boundSeq, check?.fault], ['bound', 3, null])
    })

    test('a recording that was swapped, changed, shortened, lengthened or removed is found, and no other', async (t) => {
      const { store, target, client } = await make(t)
      const sessions = []
      for (let count = 0; count < 9; count++) sessions.push(await play(client, ['one', `session ${count}`, 'three']))
      const ids = sessions.map(({ id }) => id)
      const run = (statement: string) => queryRows(target, statement)
      const is = (index: number) => `session_id = '${ids[index]}'`
      await run(`DELETE FROM transcript_chunks WHERE ${is(1)} AND seq > 2`)
      await run(`DELETE FROM transcript_chunks WHERE ${is(2)}`)
      await run(`DELETE FROM transcript_chunks WHERE ${is(3)} AND seq = 2`)
      await swapChunks(target, ids[4] ?? '', ids[5] ?? '')
      await run(`INSERT INTO transcript_chunks (session_id, seq, kind, offset_us, codec, raw_length, bytes)
        SELECT session_id, 5, kind, offset_us, codec, raw_length, bytes FROM transcript_chunks WHERE ${is(6)} AND seq = 1`)
      await run(`DELETE FROM transcript_chunks WHERE ${is(7)} AND seq = 1`)
      await run(`UPDATE transcript_chunks SET raw_length = 4 WHERE ${is(8)} AND seq = 1`)
      const states = await checksOf(store)
      assert.deepEqual(
        ids.map((id) => states.get(id)?.state),
        ['bound', 'shortened', 'missing', 'changed', 'changed', 'changed', 'changed', 'changed', 'changed'],
      )
      for (const [index, id] of ids.entries()) assert.equal(states.get(id)?.fault === null, index === 0)
    })

    test('what retention removed is on the record; what somebody removed in its name is not', async (t) => {
      const { store, client } = await make(t)
      const [one, other] = [await play(client, ['one']), await play(client, ['two'])]
      const removed = { action: 'transcript.removed', actor: { kind: 'service', name: 'api' }, detail: {} } as const
      await store.audit.append(host, [{ ...removed, session: { id: one.id, owner: 'tester' } }], 1)
      for (const { id } of [one, other]) await store.transcripts.remove(id as SessionId, { maxChunks: 100, atUs: 1 })
      const checks = await checksOf(store)
      assert.equal(checks.get(one.id)?.state, 'removed')
      assert.equal(checks.get(other.id)?.state, 'missing')
    })

    test('a session that the database does not know any more is found in the log', async (t) => {
      const { store, target, client } = await make(t)
      const session = await play(client, ['one'])
      for (const table of ['transcript_chunks', 'session_events', 'commands'])
        await queryRows(target, `DELETE FROM ${table} WHERE session_id = '${session.id}'`)
      await queryRows(target, `DELETE FROM sessions WHERE id = '${session.id}'`)
      assert.partialDeepStrictEqual((await checksOf(store)).get(session.id), { state: 'missing', bytes: 0 })
    })

    test('the route gives a line for each, and nothing of what was said', async (t) => {
      const { client } = await make(t)
      const session = await play(client, ['a secret word'])
      let text = ''
      for await (const part of await client.readRecordings()) text += part
      assert.doesNotMatch(text, /secret/)
      assert.partialDeepStrictEqual(
        text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
        [{ session: session.id, state: 'bound' }],
      )
    })
  })
}

async function swapChunks(target: StoreTarget, one: string, other: string): Promise<void> {
  const bytesOf = (id: string) => `(SELECT bytes FROM transcript_chunks WHERE session_id = '${id}' AND seq = 2)`
  const literal = target.engine === 'sqlite' ? 'hex(bytes)' : "encode(bytes, 'hex')"
  const [row] = await queryRows(
    target,
    `SELECT ${literal} AS hex FROM transcript_chunks WHERE session_id = '${one}' AND seq = 2`,
  )
  const { hex } = row as { hex: string }
  const set = (id: string, bytes: string) =>
    queryRows(target, `UPDATE transcript_chunks SET bytes = ${bytes} WHERE session_id = '${id}' AND seq = 2`)
  await set(one, bytesOf(other))
  await set(other, target.engine === 'sqlite' ? `X'${hex}'` : `decode('${hex}', 'hex')`)
}
