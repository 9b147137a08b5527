import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { dropFlood } from './drop.ts'

test('while there is a flood, who would be refused does not become a socket; all others do', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const path = join(directory, 's')
  const server = createServer((_request, response) => response.end('served'))
  server.listen(path)
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
    rmSync(directory, { recursive: true })
  })
  let accepted = 0
  server.on('connection', () => {
    accepted += 1
  })
  const limits = { isFlooded: true, refused: [process.getuid?.()], asked: 0 }
  dropFlood(server, {
    get isFlooded() {
      return limits.isFlooded
    },
    drops({ uid }) {
      limits.asked += 1
      return limits.refused.includes(uid)
    },
  })
  const ask = async () => {
    const sent = request({ socketPath: path, agent: false }).end()
    const [response] = await once(sent, 'response')
    return text(response)
  }
  for (let count = 0; count < 5; count++) {
    const socket = createConnection(path)
    await once(socket, 'close')
  }
  assert.deepEqual([accepted, limits.asked], [0, 5])
  limits.refused = []
  assert.equal(await ask(), 'served')
  assert.deepEqual([accepted, limits.asked], [1, 6])
  limits.isFlooded = false
  assert.equal(await ask(), 'served')
  // Nobody is asked who they are when there is no need.
  assert.deepEqual([accepted, limits.asked], [2, 6])
})
