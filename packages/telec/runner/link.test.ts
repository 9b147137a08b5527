// Against a service that says what the test wants said.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Client } from '@teleclaude/client/client.ts'
import type { ToRunner } from '@teleclaude/core/link.ts'
import { type ProblemCode, problemCodes } from '@teleclaude/core/problem.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import { decodeChunk, encodeChunk } from '@teleclaude/core/transcript.ts'
import { type WebSocket, WebSocketServer } from 'ws'
import { RunnerLink } from './link.ts'
import { Spool } from './spool.ts'

type Accepted = { readonly socket: WebSocket; received(): Promise<string> }
type Asked = { accept(ackedSeq: number): Accepted; refuse(code: ProblemCode): void }

/** What comes, one after the other, however many come at once. */
class Queue<Item> {
  readonly #items: Item[] = []
  #wake: (() => void) | null = null

  push(item: Item): void {
    this.#items.push(item)
    this.#wake?.()
  }

  async next(): Promise<Item> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) return item
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

async function make(t: TestContext, { refusedGraceMs }: { readonly refusedGraceMs: number }) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const path = join(directory, 's')
  const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false })
  const server = createServer()
  const waiting = new Queue<Asked>()
  server.on('upgrade', (request: IncomingMessage, connection: Socket, head: Buffer) => {
    waiting.push({
      accept(ackedSeq) {
        let accepted: WebSocket | null = null
        webSockets.handleUpgrade(request, connection, head, (webSocket) => {
          accepted = webSocket
        })
        if (accepted === null) throw new Error('the handshake failed')
        const socket: WebSocket = accepted
        const frames = new Queue<Buffer>()
        socket.on('message', (frame: Buffer) => frames.push(frame))
        const welcome: ToRunner = { type: 'welcome', ackedSeq }
        socket.send(JSON.stringify(welcome))
        return {
          socket,
          async received() {
            const { seq, bytes } = decodeChunk(await frames.next())
            return `${seq} ${Buffer.from(bytes).toString('utf8')}`
          },
        }
      },
      refuse(code) {
        const body = JSON.stringify({ status: problemCodes[code], code, detail: `cannot: ${code}` })
        const head = [
          `HTTP/1.1 ${problemCodes[code]} No`,
          'Content-Type: application/problem+json',
          'Connection: close',
        ]
        connection.end(`${head.join('\r\n')}\r\nContent-Length: ${body.length}\r\n\r\n${body}`)
      },
    })
  })
  server.listen(path)
  await once(server, 'listening')
  const spool = new Spool(join(directory, 'spool'), 1024 * 1024)
  const heard: string[] = []
  const refused = Promise.withResolvers<void>()
  const link = new RunnerLink(new Client(path), crypto.randomUUID(), spool, {
    refusedGraceMs,
    ready: () => heard.push('ready'),
    input: () => undefined,
    message: () => undefined,
    refusedForGood: (reason) => {
      heard.push(`refused: ${reason}`)
      refused.resolve()
    },
  })
  t.after(() => {
    for (const socket of webSockets.clients) socket.terminate()
    server.close()
    spool.remove()
    rmSync(directory, { recursive: true })
  })
  let seq = 0
  return {
    link,
    heard,
    refusedForGood: refused.promise,
    asked: () => waiting.next(),
    record(text: string) {
      seq += 1
      const frame = encodeChunk({ seq, kind: 'output', offsetUs: 1, bytes: Buffer.from(text) })
      spool.append(seq, frame)
      link.send(seq, frame)
    },
  }
}

for (const code of ['not-permitted', 'not-found', 'bad-request'] as const) {
  test(`at the beginning ${code} is the end`, async (t) => {
    const own = await make(t, { refusedGraceMs: 60_000 })
    const end = own.link.run()
    const asked = await own.asked()
    asked.refuse(code)
    assert.deepEqual(await end, { kind: 'failed', reason: `cannot: ${code}` })
    assert.deepEqual(own.heard, [])
  })
}

test('a service that is busy or away at the beginning is asked again', async (t) => {
  const own = await make(t, { refusedGraceMs: 0 })
  const end = own.link.run()
  for (const code of ['too-many-requests', 'unavailable', 'too-many-requests'] as const)
    (await own.asked()).refuse(code)
  const { socket, received } = (await own.asked()).accept(0)
  own.record('one')
  assert.equal(await received(), '1 one')
  socket.close(closeCodes.ended)
  assert.deepEqual(await end, { kind: 'complete' })
  assert.deepEqual(own.heard, ['ready'])
})

test('who is shown out tries on, and goes on from what the service has when let in again', async (t) => {
  const own = await make(t, { refusedGraceMs: 60_000 })
  const end = own.link.run()
  const first = (await own.asked()).accept(0)
  own.record('one')
  assert.equal(await first.received(), '1 one')
  first.socket.close(closeCodes.notPermitted, 'that is why')
  own.record('two')
  for (const code of ['not-permitted', 'not-found', 'unavailable', 'too-many-requests'] as const) {
    const asked = await own.asked()
    own.record(code)
    asked.refuse(code)
  }
  const second = (await own.asked()).accept(1)
  const seen: string[] = []
  while (seen.length < 5) seen.push(await second.received())
  assert.deepEqual(seen, ['2 two', '3 not-permitted', '4 not-found', '5 unavailable', '6 too-many-requests'])
  second.socket.close(closeCodes.ended)
  assert.deepEqual(await end, { kind: 'complete' })
  assert.deepEqual(own.heard, ['ready'])
})

test('who stays shut out is told once, tries on, and may give up only while that is so', async (t) => {
  const own = await make(t, { refusedGraceMs: 0 })
  const end = own.link.run()
  const first = (await own.asked()).accept(0)
  own.link.giveUpIfRefused()
  first.socket.close(closeCodes.notPermitted, 'that is why')
  await own.refusedForGood
  const asked = await own.asked()
  asked.refuse('not-found')
  const second = (await own.asked()).accept(0)
  own.record('one')
  assert.equal(await second.received(), '1 one')
  own.link.giveUpIfRefused()
  second.socket.terminate()
  const third = await own.asked()
  third.refuse('not-permitted')
  // Let in between: it counts anew.
  while (own.heard.length < 3) (await own.asked()).refuse('not-permitted')
  own.link.giveUpIfRefused()
  assert.deepEqual(await end, { kind: 'refused', reason: 'cannot: not-permitted' })
  assert.deepEqual(own.heard, ['ready', 'refused: that is why', 'refused: cannot: not-permitted'])
})
