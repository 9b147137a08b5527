import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { SessionId } from '@teleclaude/core/session.ts'
import { pino } from 'pino'
import { WebSocket, WebSocketServer } from 'ws'
import { startEngine } from '../../../packages/store/test-engines.ts'
import { LiveSession } from './live-session.ts'
import { Recorder } from './recorder.ts'

test('what is typed at a runner that does not read is lost beyond a MiB, and what came before is not', async (t) => {
  const engine = await startEngine('sqlite')
  const { store } = await engine.createStore()
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const path = join(directory, 's')
  const server = createServer()
  const webSockets = new WebSocketServer({ server, perMessageDeflate: false })
  server.listen(path)
  await once(server, 'listening')
  const client = new WebSocket('ws://x/', { createConnection: () => createConnection(path) })
  t.after(async () => {
    client.terminate()
    server.close()
    rmSync(directory, { recursive: true })
    await engine.stop()
  })
  const [runner] = (await once(webSockets, 'connection')) as [WebSocket]
  await once(client, 'open')
  client.pause()
  const nothing = () => undefined
  const events = {
    recorded: nothing,
    lastRecorded: nothing,
    runnerGone: nothing,
    protocolBroken: nothing,
    told: nothing,
  }
  const recorder = new Recorder(store, pino({ level: 'silent' }))
  const live = new LiveSession(crypto.randomUUID() as SessionId, 0, recorder, events)
  live.adoptRunner(runner)
  for (let count = 0; count < 4_000; count++) {
    live.typeIn(Buffer.alloc(64 * 1024, count))
    live.resize({ cols: 80, rows: 24 })
  }
  assert.ok(runner.bufferedAmount < 2 * 1024 * 1024, String(runner.bufferedAmount))
  const first: Buffer[] = []
  client.on('message', (data, isBinary) => {
    if (isBinary) first.push((data as Buffer).subarray(1))
  })
  client.resume()
  while (first.length < 8) await once(client, 'message')
  for (const [index, bytes] of first.entries()) assert.ok(bytes.every((byte) => byte === index))
})
