// A listener behind a connection that is dead without a word, as a pulled cable leaves it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { parseServer } from './connection.ts'
import { listenForAudit } from './hints.ts'

/** Passes everything on, until it is frozen: then the connections that there are stay open and say nothing any more. */
async function startProxy(to: { readonly host: string; readonly port: number }) {
  const pairs: (readonly [Socket, Socket])[] = []
  const server = createServer((near) => {
    const far = connect(to)
    near.pipe(far)
    far.pipe(near)
    near.on('error', () => far.destroy())
    far.on('error', () => near.destroy())
    near.on('close', () => far.destroy())
    pairs.push([near, far])
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    freeze() {
      for (const [near, far] of pairs) {
        near.unpipe(far).pause()
        far.unpipe(near).pause()
      }
    },
    close() {
      server.close()
      for (const [near, far] of pairs) {
        near.destroy()
        far.destroy()
      }
    },
  }
}

describe('a listener', () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres({ tcp: true })
  })
  after(() => server.stop())

  test('notices that its connection is dead, and hears again on another one', async () => {
    const url = new URL(await server.createDatabase())
    const proxy = await startProxy({ host: url.hostname, port: Number(url.port) })
    url.port = String(proxy.port)
    const states: boolean[] = []
    let changed = Promise.withResolvers<void>()
    const listening = listenForAudit(
      parseServer(url.href),
      'build-box',
      {
        onHint: () => null,
        onState: (state) => {
          states.push(state.listening)
          changed.resolve()
        },
      },
      { heartbeatMs: 50, answerMs: 1000 },
    )
    const next = async () => {
      await changed.promise
      changed = Promise.withResolvers<void>()
    }
    await next()
    proxy.freeze()
    while (states.length < 3) await next()
    assert.deepEqual(states, [true, false, true])
    proxy.freeze()
    await listening.close()
    proxy.close()
  })
})
