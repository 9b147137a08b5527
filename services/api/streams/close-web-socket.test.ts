import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { WebSocket, WebSocketServer } from 'ws'
import { closeWebSocket, shortenReason } from './close-web-socket.ts'

test('a reason fits into a close frame, whole or visibly cut between two characters', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (reason) => {
      const short = shortenReason(reason)
      assert.ok(Buffer.byteLength(short) <= 123)
      if (short === reason) return
      assert.ok(Buffer.byteLength(reason) > 123)
      assert.ok(short.endsWith('…') && reason.startsWith(short.slice(0, -1)), short)
      // One more character would not have fitted.
      assert.ok(Buffer.byteLength(short) > 119)
    }),
  )
})

async function listen(t: TestContext) {
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
  const accept = async () => ((await once(webSockets, 'connection')) as [WebSocket])[0]
  return { path, accept }
}

/** A client that speaks no further than the handshake, and reads no further either. */
async function connectMute(path: string): Promise<Socket> {
  const socket = createConnection(path)
  const head = ['GET / HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13']
  socket.write(`${head.join('\r\n')}\r\nSec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n\r\n`)
  await once(socket, 'readable')
  return socket
}

test('a client is told, and takes leave', async (t) => {
  const { path, accept } = await listen(t)
  const client = new WebSocket('ws://x/', { createConnection: () => createConnection(path) })
  const socket = await accept()
  const over = once(socket, 'close')
  const told = once(client, 'close')
  closeWebSocket(socket, 4403, 'that is why')
  const [code, reason] = (await told) as [number, Buffer]
  assert.deepEqual([code, reason.toString('utf8')], [4403, 'that is why'])
  assert.equal((await over)[0], 4403)
})

test('a client that we had stopped reading from takes leave as well', async (t) => {
  const { path, accept } = await listen(t)
  const client = new WebSocket('ws://x/', { createConnection: () => createConnection(path) })
  const socket = await accept()
  socket.pause()
  const over = once(socket, 'close')
  closeWebSocket(socket, 4403, 'that is why')
  await once(client, 'close')
  assert.equal((await over)[0], 4403)
})

test('a client that never answers has the reason, and is cut off', async (t) => {
  const { path, accept } = await listen(t)
  const [client, socket] = await Promise.all([connectMute(path), accept()])
  const over = once(socket, 'close')
  closeWebSocket(socket, 4403, 'that is why')
  const parts: Buffer[] = []
  client.on('data', (part: Buffer) => parts.push(part))
  await once(client, 'close')
  assert.ok(Buffer.concat(parts).toString('latin1').endsWith('that is why'))
  assert.equal((await over)[0], 1006)
})

test('hundreds of clients that do not even read are cut off, with megabytes on the way to each', async (t) => {
  const { path, accept } = await listen(t)
  const sockets: WebSocket[] = []
  const clients: Socket[] = []
  for (let count = 0; count < 300; count++) {
    const [client, socket] = await Promise.all([connectMute(path), accept()])
    socket.send(Buffer.alloc(1024 * 1024))
    assert.ok(socket.bufferedAmount > 0)
    clients.push(client)
    sockets.push(socket)
  }
  const over = Promise.all(sockets.map((socket) => once(socket, 'close')))
  for (const socket of sockets) closeWebSocket(socket, 4403, 'that is why')
  await over
  for (const client of clients) client.destroy()
})
