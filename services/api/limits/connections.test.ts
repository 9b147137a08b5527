import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pino } from 'pino'
import { Connections } from './connections.ts'
import { Limits } from './user-limits.ts'

test('all that is left can be ended, also what is about to become a stream and nobody else knows', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 's')
  const all = Number.POSITIVE_INFINITY
  const sessions = { newcomer: all, contributor: all, member: all, admin: all }
  const limits = new Limits({
    current: () => ({ connections: all, requestsPerSecond: all, streams: all, sessions }),
    isKnown: () => true,
    capacity: all,
    note: () => assert.fail('nobody is refused'),
  })
  const connections = new Connections(limits, pino({ level: 'silent' }))
  const server = createServer()
  server.on('connection', (socket) => connections.accept(socket))
  const upgraded = new Promise<void>((resolve) => {
    server.on('upgrade', (request) => {
      connections.admitStream(request).then((isAdmitted) => isAdmitted && resolve(), assert.fail)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  const client = createConnection(path)
  client.resume()
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  await upgraded
  server.close()
  server.closeAllConnections()
  const closed = Promise.all([once(server, 'close'), once(client, 'close')])
  connections.cutAll()
  await closed
})
