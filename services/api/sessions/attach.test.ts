// What viewers of a live session get, who may type, and what a runner hears of it: against runners that do as the test says.

import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { AnswerError } from '@teleclaude/client/client.ts'
import type { ToRunner, ToViewer } from '@teleclaude/core/link.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import {
  type ChunkKind,
  decodeChunk,
  decodeSnapshotPart,
  encodeChunk,
  encodeGap,
  encodeInput,
  encodeSnapshotPart,
  inputFrameCode,
  snapshotFrameCode,
} from '@teleclaude/core/transcript.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { engineNames, startEngine, type TestEngine } from '../../../packages/store/test-engines.ts'
import {
  connectRunner,
  connectViewer,
  newSession,
  type RunnerEnd,
  serveInProcess,
  type ViewerEnd,
} from '../test-serve.ts'

const person = { person: 'tester', uid: process.getuid?.() ?? -1 }

function isOf<Type extends string>(type: Type) {
  return <Message extends { readonly type: string }>(message: Message): message is Message & { readonly type: Type } =>
    message.type === type
}

function send(runner: RunnerEnd, seq: number, text: string, kind: ChunkKind = 'output'): void {
  runner.socket.send(encodeChunk({ seq, kind, offsetUs: seq * 100_000, bytes: Buffer.from(text) }))
}

/** What a viewer was shown, in order: `text` of chunks, and `<text@seq>` for a snapshot in one part. */
function shown({ frames }: ViewerEnd): string[] {
  return frames.map((frame) => {
    if (frame[0] !== snapshotFrameCode) return Buffer.from(decodeChunk(frame).bytes).toString('utf8')
    const { seq, bytes } = decodeSnapshotPart(frame)
    return `<${Buffer.from(bytes).toString('utf8')}@${seq}>`
  })
}

const acked =
  (seq: number) =>
  (message: ToRunner): message is ToRunner & { type: 'ack' } =>
    message.type === 'ack' && message.seq >= seq

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(t: TestContext) {
      const { store, target } = await engine.createStore()
      const { client, stop } = await serveInProcess(t, store)
      const { session } = await client.createSession(newSession)
      const runner = await connectRunner(client, session)
      await runner.hears(isOf('welcome'))
      const view = (query: Readonly<Record<string, string>>) => connectViewer(client, session, query)
      return { store, target, client, stop, session, runner, view }
    }

    test('the screen comes as a snapshot, and what is newer follows it, recorded or not', async (t) => {
      const { runner, view } = await make(t)
      for (const [index, text] of ['a', 'b', 'c', 'd'].entries()) send(runner, index + 1, text)
      await runner.hears(acked(4))
      const viewer = await view({ show: 'screen', afterSeq: 'end' })
      await runner.hears(isOf('snapshot'))
      // The emulator is some chunks behind, and more comes in the middle of it.
      runner.socket.send(encodeSnapshotPart({ seq: 2, isLast: false, bytes: Buffer.from('scr') }))
      await runner.hears(isOf('snapshot-more'))
      send(runner, 5, 'e')
      runner.socket.send(encodeSnapshotPart({ seq: 2, isLast: true, bytes: Buffer.from('een') }))
      send(runner, 6, 'f')
      await viewer.until(() => shown(viewer).at(-1) === 'f')
      assert.deepEqual(shown(viewer), ['<scr@2>', '<een@2>', 'c', 'd', 'e', 'f'])
    })

    test('who asks while a snapshot is under way gets the next one, and who asks again follows that', async (t) => {
      const { runner, view } = await make(t)
      send(runner, 1, 'a')
      const first = await view({ show: 'screen', afterSeq: 'end' })
      await runner.hears(isOf('snapshot'))
      const second = await view({ show: 'screen', afterSeq: 'end' })
      await second.hears(isOf('welcome'))
      runner.socket.send(encodeSnapshotPart({ seq: 1, isLast: true, bytes: Buffer.from('one') }))
      await first.until(() => shown(first).length === 1)
      await runner.until(() => runner.heard.filter(isOf('snapshot')).length === 2)
      runner.socket.send(encodeSnapshotPart({ seq: 1, isLast: true, bytes: Buffer.from('two') }))
      await second.until(() => shown(second).length === 1)
      send(runner, 2, 'b')
      await first.until(() => shown(first).includes('b'))
      first.say({ type: 'snapshot' })
      await runner.until(() => runner.heard.filter(isOf('snapshot')).length === 3)
      send(runner, 3, 'c')
      await second.until(() => shown(second).includes('c'))
      runner.socket.send(encodeSnapshotPart({ seq: 2, isLast: true, bytes: Buffer.from('three') }))
      await first.until(() => shown(first).at(-1) === 'c')
      assert.deepEqual(shown(first), ['<one@1>', 'b', '<three@2>', 'c'])
      assert.deepEqual(shown(second), ['<two@1>', 'b', 'c'])
    })

    test('a runner that comes back is asked again for the snapshot that it broke off', async (t) => {
      const { client, session, runner, view } = await make(t)
      const viewer = await view({ show: 'screen', afterSeq: 'end' })
      await runner.hears(isOf('snapshot'))
      runner.socket.send(encodeSnapshotPart({ seq: 0, isLast: false, bytes: Buffer.from('ha') }))
      await viewer.until(() => shown(viewer).length === 1)
      runner.socket.terminate()
      const again = await connectRunner(client, session)
      await again.hears(isOf('snapshot'))
      again.socket.send(encodeSnapshotPart({ seq: 0, isLast: true, bytes: Buffer.from('whole') }))
      send(again, 1, 'a')
      await viewer.until(() => shown(viewer).at(-1) === 'a')
      assert.deepEqual(shown(viewer), ['<ha@0>', '<whole@0>', 'a'])
    })

    test('a viewer of the screen that does not read is cut over to a snapshot; one of the record misses nothing', async (t) => {
      const { runner, view } = await make(t)
      const screen = await view({ show: 'screen', afterSeq: '0' })
      const record = await view({})
      await Promise.all([screen.hears(isOf('welcome')), record.hears(isOf('welcome'))])
      for (const viewer of [screen, record]) viewer.socket.pause()
      const chunk = 'x'.repeat(64 * 1024)
      const count = 200
      for (let seq = 1; seq <= count; seq++) send(runner, seq, chunk)
      await runner.hears(acked(count))
      for (const viewer of [screen, record]) viewer.socket.resume()
      await runner.hears(isOf('snapshot'))
      runner.socket.send(encodeSnapshotPart({ seq: count, isLast: true, bytes: Buffer.from('now') }))
      send(runner, count + 1, 'end')
      await Promise.all([screen, record].map((viewer) => viewer.until(() => shown(viewer).at(-1) === 'end')))
      assert.deepEqual(shown(screen).slice(-2), [`<now@${count}>`, 'end'])
      assert.ok(shown(screen).length < 100, String(shown(screen).length))
      assert.deepEqual(shown(record), [...Array.from({ length: count }, () => chunk), 'end'])
    })

    test('who takes no part of a snapshot is left behind by the others, and gets one of their own later', async (t) => {
      const { client, session, runner, view } = await make(t)
      runner.socket.terminate()
      const [stuck, other] = await Promise.all([0, 1].map(() => view({ show: 'screen', afterSeq: 'end' })))
      assert.ok(stuck !== undefined && other !== undefined)
      await Promise.all([stuck, other].map((viewer) => viewer.hears(isOf('welcome'))))
      stuck.socket.pause()
      const again = await connectRunner(client, session)
      await again.hears(isOf('snapshot'))
      const bytes = Buffer.alloc(64 * 1024, 'p')
      const parts = 40
      for (let sent = 1; sent <= parts; sent++) {
        again.socket.send(encodeSnapshotPart({ seq: 0, isLast: sent === parts, bytes }))
        if (sent < parts) await again.until(() => again.heard.filter(isOf('snapshot-more')).length === sent)
      }
      send(again, 1, 'live')
      await other.until(() => shown(other).at(-1) === 'live')
      assert.equal(again.heard.filter(isOf('snapshot')).length, 1)
      stuck.socket.resume()
      await again.until(() => again.heard.filter(isOf('snapshot')).length === 2)
      again.socket.send(encodeSnapshotPart({ seq: 1, isLast: true, bytes: Buffer.from('again') }))
      await stuck.until(() => shown(stuck).at(-1) === '<again@1>')
    })

    test('the newest runner has the session: an older one is told, and what it still sends counts for nothing', async (t) => {
      const { client, session, runner, store } = await make(t)
      send(runner, 1, 'a')
      await runner.hears(acked(1))
      const newer = await connectRunner(client, session)
      assert.deepEqual(await newer.hears(isOf('welcome')), { type: 'welcome', ackedSeq: 1 })
      send(runner, 2, 'not this')
      assert.equal((await runner.closed)[0], closeCodes.replaced)
      send(newer, 2, 'b')
      await newer.hears(acked(2))
      const chunks = await store.transcripts.read(session.id as SessionId, { afterSeq: 0, maxBytes: 1000 })
      assert.equal(Buffer.concat(chunks.map(({ bytes }) => bytes)).toString(), 'ab')
      assert.equal((await client.readSession(session.id)).status, 'running')
    })

    test('a runner that sends what no runner sends is cut off, and the session waits for one that does', async (t) => {
      const { client, session, runner } = await make(t)
      send(runner, 1, 'a')
      await runner.hears(acked(1))
      const frames = [
        encodeChunk({ seq: 3, kind: 'output', offsetUs: 1, bytes: Buffer.from('a hole before it') }),
        encodeChunk({ seq: 2, kind: 'driver', offsetUs: 1, bytes: Buffer.from('{"person":1}') }),
        encodeChunk({ seq: 2, kind: 'gap', offsetUs: 1, bytes: Buffer.from('null') }),
        encodeChunk({ seq: 2, kind: 'exit', offsetUs: 1, bytes: Buffer.from('{"kind":"exited"}') }),
        Buffer.of(snapshotFrameCode),
        Buffer.of(99),
        Buffer.alloc(0),
      ]
      for (const frame of frames) {
        const broken = await connectRunner(client, session)
        await broken.hears(isOf('welcome'))
        broken.socket.send(frame)
        assert.equal((await broken.closed)[0], closeCodes.protocolBroken, frame.toString('hex'))
      }
      const good = await connectRunner(client, session)
      send(good, 2, '{"kind":"exited","code":0}', 'exit')
      // Nothing follows the end.
      send(good, 3, 'more')
      assert.ok([closeCodes.ended, closeCodes.protocolBroken].includes((await good.closed)[0] as 4400 | 4410))
      while ((await client.readSession(session.id)).status !== 'ended');
      assert.equal((await client.readSession(session.id)).transcriptBytes, 1)
    })

    test('what is typed while the runner is away is typed when it is back, unless somebody else drives by then', async (t) => {
      const { client, session, runner, view } = await make(t)
      const driver = await view({ drive: 'true' })
      await driver.hears(isOf('welcome'))
      runner.socket.close()
      // The service has answered its goodbye.
      await runner.closed
      driver.socket.send(encodeInput(Buffer.from('while away')))
      // Its pong comes after that was taken.
      await new Promise((resolve) => {
        driver.socket.once('pong', resolve)
        driver.socket.ping()
      })
      const again = await connectRunner(client, session)
      await again.until(() => again.frames.length === 1)
      assert.equal(again.frames[0]?.subarray(1).toString(), 'while away')
    })

    test('one drives: what others type and resize counts for nothing until they take the wheel, which both are told', async (t) => {
      const { runner, view } = await make(t)
      const first = await view({ drive: 'true' })
      assert.partialDeepStrictEqual(await first.hears(isOf('welcome')), { driving: true, driver: person })
      const second = await view({ drive: 'true' })
      assert.partialDeepStrictEqual(await second.hears(isOf('welcome')), { driving: false, driver: person })
      second.socket.send(encodeInput(Buffer.from('not this')))
      second.say({ type: 'resize', cols: 1, rows: 1 })
      // What it said was read before that: a third one on the same way.
      second.say({ type: 'snapshot' })
      await runner.hears(isOf('snapshot'))
      first.socket.send(encodeInput(Buffer.from('this')))
      first.say({ type: 'resize', cols: 100, rows: 30 })
      await runner.hears(isOf('resize'))
      const third = await view({ drive: 'take' })
      assert.partialDeepStrictEqual(await third.hears(isOf('welcome')), { driving: true, driver: person })
      for (const viewer of [first, second])
        assert.deepEqual(await viewer.hears(isOf('wheel')), { type: 'wheel', driving: false, driver: person })
      third.socket.send(encodeInput(Buffer.from('and this')))
      await runner.until(() => runner.frames.length === 2)
      assert.deepEqual(
        runner.frames.map((frame) => [frame[0], frame.subarray(1).toString()]),
        [
          [inputFrameCode, 'this'],
          [inputFrameCode, 'and this'],
        ],
      )
      assert.deepEqual(runner.heard.filter(isOf('resize')), [{ type: 'resize', cols: 100, rows: 30 }])
      third.socket.close()
      await first.until(() => first.heard.filter(isOf('wheel')).length === 2)
      assert.deepEqual(first.heard.at(-1), { type: 'wheel', driving: false, driver: null })
      await runner.until(() => runner.heard.filter(isOf('driver')).length === 4)
      assert.deepEqual(
        runner.heard.filter(isOf('driver')).map(({ driver }) => driver),
        [null, person, person, null],
      )
    })

    test('a gap is the end of a session: it is lost for good, and what waits for it fails', async (t) => {
      const { store, client, session, runner, view } = await make(t)
      send(runner, 1, 'a')
      await runner.hears(acked(1))
      const viewer = await view({})
      await viewer.until(() => shown(viewer).length === 1)
      runner.socket.terminate()
      const waiting = await client.enqueueCommand(session.id, { kind: 'send', text: 'secret' })
      assert.equal(waiting.state, 'queued')
      const recovery = await connectRunner(client, session, { recovery: 'true' })
      // It takes nothing that is for the program.
      assert.deepEqual(await recovery.hears(isOf('welcome')), { type: 'welcome', ackedSeq: 1 })
      recovery.socket.send(encodeChunk({ seq: 2, kind: 'gap', offsetUs: 2, bytes: encodeGap({ reason: 'killed' }) }))
      assert.deepEqual(await recovery.closed, [closeCodes.ended, 'the session has ended'])
      const end = await viewer.hears(isOf<'end'>('end') as (message: ToViewer) => message is ToViewer & { type: 'end' })
      assert.equal(end.session.status, 'lost')
      assert.equal((await client.readSession(session.id)).status, 'lost')
      const [command] = (await client.listCommands(session.id)).commands
      assert.partialDeepStrictEqual(command, { state: 'failed', reason: 'the session is over' })
      assert.equal((await store.commands.list(session.id as SessionId, 1))[0]?.text, null)
      const late = await connectRunner(client, session)
      assert.equal((await late.closed)[0], closeCodes.ended)
      assert.equal((await client.readSession(session.id)).status, 'lost')
      const actions = (await store.audit.read('h', { afterSeq: 0, limit: 100 })).map(
        ({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')).action,
      )
      assert.equal(actions.filter((action) => action === 'session.lost').length, 1)
    })

    test('commands reach the runner in order, each once, also those that waited for it', async (t) => {
      const { client, session, runner } = await make(t)
      await client.enqueueCommand(session.id, { kind: 'send', text: 'one', enter: true })
      await client.enqueueCommand(session.id, { kind: 'interrupt' })
      await runner.until(() => runner.heard.filter(isOf('command')).length === 2)
      runner.say({ type: 'command-finished', number: 1, reason: null })
      runner.say({ type: 'command-finished', number: 2, reason: 'it could not be typed' })
      runner.socket.close()
      await runner.closed
      await client.enqueueCommand(session.id, { kind: 'send', text: 'three' })
      await client.enqueueCommand(session.id, { kind: 'stop' })
      const again = await connectRunner(client, session)
      await again.until(() => again.heard.filter(isOf('command')).length === 2)
      const commands = [...runner.heard, ...again.heard].filter(isOf('command'))
      assert.deepEqual(
        commands.map(({ number, request }) => [number, request]),
        [
          [1, { kind: 'send', text: 'one', enter: true }],
          [2, { kind: 'interrupt' }],
          [3, { kind: 'send', text: 'three', enter: false }],
          [4, { kind: 'stop', force: false }],
        ],
      )
      const listed = (await client.listCommands(session.id)).commands
      assert.deepEqual(
        listed.map(({ number, state, reason }) => [number, state, reason]),
        [
          [4, 'delivered', null],
          [3, 'delivered', null],
          [2, 'failed', 'it could not be typed'],
          [1, 'done', null],
        ],
      )
      assert.ok(!JSON.stringify(listed).includes('three'), 'what is sent is content')
    })

    test('a command that was taken for a runner that went meanwhile waits for the next one', async (t) => {
      const { store } = await engine.createStore()
      const [taken, mayGoOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
      const take: Store['commands']['take'] = async (id, atUs) => {
        const command = await store.commands.take(id, atUs)
        if (command === null) return null
        taken.resolve()
        await mayGoOn.promise
        return command
      }
      const { client } = await serveInProcess(t, { ...store, commands: { ...store.commands, take } })
      const { session } = await client.createSession(newSession)
      const runner = await connectRunner(client, session)
      await runner.hears(isOf('welcome'))
      await client.enqueueCommand(session.id, { kind: 'send', text: 'one' })
      await taken.promise
      runner.socket.close()
      await runner.closed
      mayGoOn.resolve()
      const again = await connectRunner(client, session)
      assert.partialDeepStrictEqual(await again.hears(isOf('command')), { number: 1, request: { text: 'one' } })
      assert.deepEqual(runner.heard.filter(isOf('command')), [])
    })

    test('what an agent says of itself stands, whatever its terminal does', async (t) => {
      const { client, session, runner } = await make(t)
      const state = async () => (await client.readSession(session.id)).agentStatus
      runner.say({ type: 'agent', state: 'waiting' })
      while ((await state()).state === 'unknown');
      assert.partialDeepStrictEqual(await state(), { state: 'waiting', source: 'terminal' })
      await client.updateSession(session.id, { agentStatus: { state: 'working' } })
      assert.partialDeepStrictEqual(await state(), { state: 'working', source: 'hook' })
      runner.say({ type: 'agent', state: 'waiting' })
      send(runner, 1, 'a')
      await runner.hears(acked(1))
      assert.equal((await state()).state, 'working')
      send(runner, 2, '{"kind":"exited","code":0}', 'exit')
      await runner.closed
      assert.deepEqual(await state(), { state: 'unknown', source: null, since: null })
    })

    test('a transcript that is followed goes on to the end of its session', async (t) => {
      const { client, session, runner } = await make(t)
      send(runner, 1, 'a')
      await runner.hears(acked(1))
      const followed = await client.readTranscript(session.id, { format: 'raw', follow: 'true' })
      followed.setEncoding('utf8')
      const parts: string[] = []
      for await (const part of followed) {
        parts.push(String(part))
        if (parts.join('') === 'a') send(runner, 2, 'b')
        else if (parts.join('') === 'ab') {
          send(runner, 3, 'c')
          send(runner, 4, '{"kind":"exited","code":0}', 'exit')
        }
      }
      assert.equal(parts.join(''), 'abc')
    })

    if (name === 'postgres') {
      test('a session is driven by commands from any host of its database, and joined on its own alone', async (t) => {
        const { target, session, runner } = await make(t)
        const store = await openStore(target)
        t.after(() => store.close())
        const elsewhere = await serveInProcess(t, store, 'other')
        await elsewhere.client.enqueueCommand(session.id, { kind: 'send', text: 'from afar' })
        assert.partialDeepStrictEqual(await runner.hears(isOf('command')), {
          number: 1,
          request: { text: 'from afar' },
        })
        await assert.rejects(connectViewer(elsewhere.client, session, {}), (error: unknown) => {
          assert.ok(error instanceof AnswerError)
          assert.equal(error.problem.code, 'conflict')
          assert.match(error.problem.detail, /it runs on the host h; do this there/)
          return true
        })
      })
    }
  })
}
