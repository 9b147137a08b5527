import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SessionEventView } from '@teleclaude/core/api.ts'
import { Client, ConnectionError } from './client.ts'
import { followEvents } from './events.ts'

const at = '2026-01-31T10:00:00.000000Z'
const view: SessionEventView = {
  at,
  session: {
    id: '0b5c1e2a-0000-4000-8000-000000000001',
    host: 'h',
    owner: { person: 'alice', uid: 1000, osUser: 'alice' },
    own: true,
    project: '/p',
    agent: null,
    title: 'two\n\nlines: 漢字',
    argv: ['sh'],
    terminal: { cols: 80, rows: 24 },
    status: 'running',
    exit: null,
    createdAt: at,
    startedAt: at,
    endedAt: null,
    lastOutputAt: null,
    transcriptBytes: 0,
    transcriptRemovedAt: null,
    parent: null,
    agentStatus: { state: 'unknown', source: null, since: null },
  },
}
const event = (id: string, kind: string) => `id: ${id}\nevent: session.${kind}\ndata: ${JSON.stringify(view)}\n\n`

/** A client of a service that answers so, and the addresses that it was asked for. */
async function serve(t: TestContext, answer: (response: ServerResponse) => void) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const asked: (string | undefined)[] = []
  const server = createServer((request, response) => {
    asked.push(request.url)
    response.writeHead(200, { 'Content-Type': 'text/event-stream' })
    answer(response)
  })
  const path = join(directory, 's')
  server.listen(path)
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
    rmSync(directory, { recursive: true })
  })
  return { client: new Client(path), asked }
}

test('events come as they are, however they are cut up, and what is not known is passed over', async (t) => {
  const text = `event: reset\ndata: {}\n\n: still here\n\n${event('a', 'running')}${event('b', 'sung')}${event('c', 'ended')}`
  const { client, asked } = await serve(t, (response) => {
    const bytes = Buffer.from(text)
    for (let start = 0; start < bytes.length; start += 7) response.write(bytes.subarray(start, start + 7))
  })
  const leave = new AbortController()
  const seen = []
  for await (const each of followEvents(client, { lastEventId: 'x', signal: leave.signal })) {
    seen.push(each)
    if (each.kind === 'ended') leave.abort()
  }
  assert.deepEqual(seen, [
    { kind: 'reset' },
    { kind: 'running', id: 'a', data: view },
    { kind: 'ended', id: 'c', data: view },
  ])
  assert.deepEqual(asked, ['/v1/events?lastEventId=x'])
})

test('a stream that ends or breaks off is told apart from one that was left', async (t) => {
  for (const over of [
    (response: ServerResponse) => response.end(event('a', 'running')),
    (response: ServerResponse) => response.write(event('a', 'running'), () => response.destroy()),
  ]) {
    const { client } = await serve(t, over)
    const ids: string[] = []
    const reading = async () => {
      for await (const each of followEvents(client, {})) if (each.kind !== 'reset') ids.push(each.id)
    }
    await assert.rejects(reading(), (error) => error instanceof ConnectionError && error.code === 'broken')
    assert.deepEqual(ids, ['a'])
  }
})

test('what is no event of a session is refused', async (t) => {
  const { client } = await serve(t, (response) => response.end('id: a\nevent: session.ended\ndata: {"at":1}\n\n'))
  await assert.rejects(async () => {
    for await (const _ of followEvents(client, {})) assert.fail('nothing comes of it')
  })
})
