import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { Caller } from '@teleclaude/core/caller.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import { encodeChunk, maxChunkBytes } from '@teleclaude/core/transcript.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { pino } from 'pino'
import { WebSocket, WebSocketServer } from 'ws'
import { newSession, startEngine } from '../../../packages/store/test-engines.ts'
import { LiveSession } from './live-session.ts'
import { Recorder } from './recorder.ts'
import { Viewer, type ViewerOptions } from './viewer.ts'
import { viewSession } from './views.ts'

/** Both ends of WebSockets, as many as are asked for. */
async function makeEnds(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const path = join(directory, 's')
  const server = createServer()
  const webSockets = new WebSocketServer({ server, perMessageDeflate: false })
  server.listen(path)
  await once(server, 'listening')
  t.after(() => {
    for (const socket of webSockets.clients) socket.terminate()
    server.close()
    rmSync(directory, { recursive: true })
  })
  return async () => {
    const client = new WebSocket('ws://x/', { createConnection: () => createConnection(path) })
    const [ours] = (await once(webSockets, 'connection')) as [WebSocket]
    await once(client, 'open')
    client.pause()
    return { client, ours }
  }
}

async function makeLive(t: TestContext, id = crypto.randomUUID() as SessionId) {
  const engine = await startEngine('sqlite')
  t.after(() => engine.stop())
  const { store } = await engine.createStore()
  const nothing = () => undefined
  const recorder = new Recorder(store, pino({ level: 'silent' }))
  t.after(() => recorder.stop())
  const live = new LiveSession(id, 0, recorder, {
    recorded: nothing,
    lastRecorded: nothing,
    runnerGone: nothing,
    protocolBroken: nothing,
    told: nothing,
  })
  return { store, live }
}

function makeViewer(
  socket: WebSocket,
  live: LiveSession,
  store: Store,
  asked: Pick<ViewerOptions, 'show' | 'afterSeq'>,
): Viewer {
  return new Viewer({
    socket,
    live,
    who: { person: 'alice', uid: 1000 },
    content: {
      read: (afterSeq) => store.transcripts.read(live.id, { afterSeq, maxBytes: 128 * 1024 }),
      sending: () => undefined,
      over: () => undefined,
    },
    opened: () => [],
    over: null,
    view: (shown) => viewSession(shown, { person: 'alice', role: 'member', refusal: '' } as Caller),
    ...asked,
  })
}

for (const show of ['record', 'screen'] as const) {
  test(`a viewer of the ${show} that takes nothing is kept little for, whatever the session prints`, async (t) => {
    const connect = await makeEnds(t)
    const { store, live } = await makeLive(t)
    const session = await store.sessions.create(newSession({ id: live.id }))
    const runner = await connect()
    live.adoptRunner(runner.ours)
    const { ours } = await connect()
    const viewer = makeViewer(ours, live, store, { show, afterSeq: 0 })
    live.addViewer(viewer)
    await viewer.start(session)
    const acknowledged: number[] = []
    runner.client.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8'))
      if (message.type === 'ack') acknowledged.push(message.seq)
    })
    runner.client.resume()
    const bytes = randomBytes(maxChunkBytes)
    const count = 600
    let most = 0
    for (let seq = 1; seq <= count; seq++) {
      runner.client.send(encodeChunk({ seq, kind: 'output', offsetUs: seq, bytes }))
      if (seq % 20 > 0) continue
      while ((acknowledged.at(-1) ?? 0) < seq - 100) await once(runner.client, 'message')
      most = Math.max(most, ours.bufferedAmount)
    }
    while (acknowledged.at(-1) !== count) await once(runner.client, 'message')
    most = Math.max(most, ours.bufferedAmount)
    assert.ok(most > 0 && most < 3 * 1024 * 1024, String(most))
  })
}

test('what is typed at a runner that does not read is lost beyond a MiB, and what came before is not', async (t) => {
  const { client, ours } = await (await makeEnds(t))()
  const { live } = await makeLive(t)
  live.adoptRunner(ours)
  for (let count = 0; count < 4_000; count++) {
    live.typeIn(Buffer.alloc(64 * 1024, count))
    live.resize({ cols: 80, rows: 24 })
  }
  assert.ok(ours.bufferedAmount < 2 * 1024 * 1024, String(ours.bufferedAmount))
  const first: Buffer[] = []
  client.on('message', (data, isBinary) => {
    if (isBinary) first.push((data as Buffer).subarray(1))
  })
  client.resume()
  while (first.length < 8) await once(client, 'message')
  for (const [index, bytes] of first.entries()) assert.ok(bytes.every((byte) => byte === index))
})

test('a runner hears whether somebody looks on through the service, also one that comes later', async (t) => {
  const connect = await makeEnds(t)
  const { store, live } = await makeLive(t)
  const view = async (afterSeq: number) => makeViewer((await connect()).ours, live, store, { show: 'record', afterSeq })
  const hear = async () => {
    const { client, ours } = await connect()
    const heard: boolean[] = []
    client.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8'))
      if (message.type === 'watched') heard.push(message.watched)
    })
    client.resume()
    live.adoptRunner(ours)
    return { client, heard }
  }
  const first = await hear()
  const [elsewhere, one, other] = [await view(Number.MAX_SAFE_INTEGER), await view(0), await view(7)]
  for (const viewer of [elsewhere, one, other]) live.addViewer(viewer)
  live.removeViewer(one)
  const second = await hear()
  live.removeViewer(other)
  live.addViewer(one)
  live.removeViewer(elsewhere)
  while (second.heard.length < 3) await once(second.client, 'message')
  assert.deepEqual([first.heard, second.heard], [[true], [true, false, true]])
})
