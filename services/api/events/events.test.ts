// `GET /v1/events` as its clients read it: what happens, in order, to whom it is shown, and where they left off.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Client } from '@teleclaude/client/client.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import {
  engineNames,
  newSession as newStoredSession,
  startEngine,
  type TestEngine,
} from '../../../packages/store/test-engines.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { newSession, serveInProcess } from '../test-serve.ts'
import { alice, ask, bob, openDoorway, serveTo, stranger } from '../test-service.ts'

type Read = { readonly id: string | undefined; readonly event: string; readonly title: string | undefined }

function parse(block: string): Read | null {
  const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1]
  const event = field('event')
  if (event === undefined) return null
  const view: { readonly session?: { readonly title: string } } = JSON.parse(field('data') ?? '')
  return { id: field('id'), event, title: view.session?.title }
}

/** Each event as it comes, until nobody wants more. */
async function* read(client: Client, lastEventId?: string): AsyncGenerator<Read> {
  const stream = await client.readEvents(lastEventId === undefined ? {} : { lastEventId })
  stream.setEncoding('utf8')
  let rest = ''
  for await (const part of stream) {
    const blocks = (rest + part).split('\n\n')
    rest = blocks.pop() ?? ''
    yield* blocks.map(parse).filter((event) => event !== null)
  }
}

async function take(events: AsyncGenerator<Read>, count: number): Promise<Read[]> {
  const taken: Read[] = []
  while (taken.length < count) {
    const next = await events.next()
    if (next.done) break
    taken.push(next.value)
  }
  return taken
}

for (const name of engineNames) {
  describe(`on ${name}`, { timeout: 60_000 }, () => {
    let engine: TestEngine
    before(async () => {
      engine = await startEngine(name)
    })
    after(() => engine.stop())

    async function make(t: TestContext) {
      const { store } = await engine.createStore()
      const { client } = await serveInProcess(t, store)
      return { store, client }
    }

    test('who listens hears of every change, in order, and who comes back misses nothing', async (t) => {
      const { client } = await make(t)
      const events = read(client)
      assert.partialDeepStrictEqual(await take(events, 1), [{ event: 'reset', id: undefined }])
      const { session } = await client.createSession({ ...newSession, title: 'one' })
      await client.updateSession(session.id, { title: 'two' })
      await client.updateSession(session.id, { agentStatus: { state: 'waiting' } })
      await client.updateSession(session.id, { title: 'three' })
      const heard = await take(events, 4)
      assert.deepEqual(
        heard.map(({ event }) => event),
        ['session.created', 'session.renamed', 'session.agent', 'session.renamed'],
      )
      await events.return(undefined)
      const again = read(client, heard[1]?.id)
      const expected = heard.slice(2).map(({ id, event }) => ({ id, event, title: 'three' }))
      assert.deepEqual(await take(again, 2), expected)
      await again.return(undefined)
    })

    test('an id that says nothing is answered with a reset, and then with what comes', async (t) => {
      const { client } = await make(t)
      await client.createSession(newSession)
      for (const id of ['00000000-0000-4000-8000-000000000000', "'; --", '']) {
        const events = read(client, id)
        assert.partialDeepStrictEqual(await take(events, 1), [{ event: 'reset' }])
        await client.createSession({ ...newSession, title: id })
        assert.partialDeepStrictEqual(await take(events, 1), [{ event: 'session.created', title: id }])
        await events.return(undefined)
      }
    })
  })
}

if (process.getuid?.() === 0) {
  describe('events of several people', { timeout: 60_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    const people = (role: string) => `people:
  - { name: alice, role: ${role}, os_uid: ${alice} }
  - { name: bob, role: admin, os_uid: ${bob} }
  - { name: carol, role: member, os_uid: ${stranger} }
`
    /** As that user, from after an event, until one of that title has come. Resolves with what came first. */
    async function listen(socket: string, uid: number, lastEventId: string, title: string) {
      const script = `
        const [socketPath, lastEventId, title] = process.argv.slice(1)
        const headers = { 'Last-Event-ID': lastEventId }
        let seen = ''
        require('node:http').get({ socketPath, path: '/v1/events', headers }, (response) => {
          response.setEncoding('utf8').on('data', (part) => {
            process.stdout.write(part)
            seen += part
            if (seen.includes('"title":"' + title + '"')) process.exit(0)
          })
        })`
      const child = spawn(process.execPath, ['-e', script, '--', socket, lastEventId, title], {
        uid,
        gid: uid,
        cwd: '/',
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let seen = ''
      child.stdout.on('data', (part: Buffer) => {
        seen += part
      })
      const closed = once(child, 'close')
      await once(child.stdout, 'data')
      return { all: closed.then(() => seen) }
    }

    test('everybody hears of what they may see, by the header, and of nothing else; nobody of nothing', async (t) => {
      const { place, store } = await serveTo(t, postgres, people('member'))
      const create = (person: string, uid: number, title: string) =>
        store.sessions.create(
          newStoredSession({ host: 'h', owner: { person, uid, osUser: person }, title, createdAtUs: nowUs() }),
        )
      await create('carol', stranger, 'zero')
      const [zero] = await store.events.read({ scope: { kind: 'all' }, afterOrdinal: 0, limit: 1 })
      const zeroId = zero?.event.id ?? ''
      await create('alice', alice, 'alices')
      await create('carol', stranger, 'carols')
      const toAlice = await listen(place.socket, alice, zeroId, 'last')
      const toBob = await listen(place.socket, bob, zeroId, 'last')
      await create('carol', stranger, 'another')
      await create('alice', alice, 'last')
      // It is not hers: as an id that nobody has.
      assert.match(await toAlice.all, /^event: reset/)
      assert.doesNotMatch(await toAlice.all, /carol|another/)
      assert.deepEqual(
        [...(await toBob.all).matchAll(/"title":"(\w+)"/g)].map(([, title]) => title),
        ['alices', 'carols', 'another', 'last'],
      )
      const { status } = await ask(place.socket, 54_009, 'GET', '/v1/events')
      assert.equal(status, 403)
    })

    test('an admin who becomes a member in the middle of it hears of no more than theirs', async (t) => {
      const { place, store } = await serveTo(t, postgres, people('admin'))
      const create = (person: string, uid: number, title: string) =>
        store.sessions.create(
          newStoredSession({ host: 'h', owner: { person, uid, osUser: person }, title, createdAtUs: nowUs() }),
        )
      await create('alice', alice, 'zero')
      const [zero] = await store.events.read({ scope: { kind: 'all' }, afterOrdinal: 0, limit: 1 })
      await create('carol', stranger, 'before')
      const heard = await listen(place.socket, alice, zero?.event.id ?? '', 'last')
      writeFileSync(place.configFile, people('member'))
      assert.equal((await ask(place.socket, bob, 'POST', '/v1/config/reload', {})).status, 200)
      await create('carol', stranger, 'after')
      await create('alice', alice, 'last')
      const seen = await heard.all
      assert.match(seen, /before/)
      assert.doesNotMatch(seen, /after/)
    })
  })
}
