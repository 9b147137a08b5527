// The limits of a real service as its users meet them: several real users of the machine, and some who mean no good.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { after, before, describe, type TestContext, test } from 'node:test'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { maxChunkBytes } from '@teleclaude/core/transcript.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { newSession } from '../../../packages/store/test-engines.ts'
import { openCheckout } from '../../../test/support/open-checkout.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { Held } from '../streams/test-held.ts'
import {
  alice,
  ask,
  bob,
  config,
  makeServicePlace,
  openDoorway,
  type Place,
  reconfigure,
  Service,
  service,
} from '../test-service.ts'
import { defaultPatience, type Patience } from './patience.ts'
import { RawSockets } from './test-sockets.ts'

const whoami = 'GET /v1/whoami HTTP/1.1\r\nHost: x\r\n\r\n'
const post = 'POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
const newOne = { project: '/tmp', agent: null, title: 't', argv: ['true'], terminal: { cols: 80, rows: 24 } }

/** What nobody reaches here, but for what is given. */
function limits(change: Readonly<Record<string, unknown>>): string {
  const all = { connections: 1000, requests_per_second: 10_000, streams: 500, ...change }
  return `${config}limits: ${JSON.stringify(all)}\n`
}

function statuses(reply: string): string[] {
  return [...reply.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status = '']) => status)
}

function problemIn(reply: string): unknown {
  return JSON.parse(reply.slice(reply.indexOf('{', reply.indexOf('application/problem+json'))))
}

if (process.getuid?.() === 0) {
  describe('limits', { timeout: 240_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    async function make(t: TestContext, text: string, patience: Partial<Patience> = {}) {
      const place = await makeServicePlace(t, postgres, { migrated: true })
      const serving = new Service(place, { wait: false, patience: { ...defaultPatience, ...patience } })
      const store = await openStore({ engine: 'postgres', url: place.url })
      t.after(async () => {
        await serving.stop()
        await store.close()
      })
      await serving.says(/^ready$/)
      // From now on they are no strangers. What this took of their limits is back before the reload is over.
      assert.equal((await ask(place.socket, bob, 'GET', '/v1/sessions')).status, 200)
      await reconfigure(place, text)
      const denials = async () => {
        const stored = await store.audit.read('h', { afterSeq: 0, limit: 1000 })
        const entries = stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
        return entries.filter(({ action }) => action === 'request.denied')
      }
      return { place, serving, store, denials }
    }

    function socketsOf(t: TestContext, uid: number, place: Place): RawSockets {
      const sockets = new RawSockets(uid, place)
      t.after(() => sockets[Symbol.asyncDispose]())
      return sockets
    }

    /** One that the service has taken in: of others it may not have seen yet that they are closed. */
    async function openServed(sockets: RawSockets) {
      for (;;) {
        const socket = await sockets.open()
        socket.write(whoami)
        const reply = await Promise.race([socket.hears(/"uid":/), socket.closed])
        if (statuses(reply)[0] === '200') return socket
      }
    }

    async function openAll(sockets: RawSockets, count: number) {
      const opened = []
      while (opened.length < count) opened.push(await openServed(sockets))
      return opened
    }

    test('who has too many connections open is told so, and others are not touched', async (t) => {
      const { place, denials } = await make(t, limits({ connections: 4, streams: 4 }))
      const sockets = socketsOf(t, bob, place)
      const [first] = await openAll(sockets, 4)
      const reply = await sockets.exchange(whoami)
      assert.match(reply, /^HTTP\/1\.1 429 .*\r\nRetry-After: 1\r\nConnection: close\r\n/s)
      assert.partialDeepStrictEqual(problemIn(reply), {
        code: 'too-many-requests',
        detail:
          'cannot serve you now: one user may have 4 connections at the same time; close some, or slow down, and try again',
      })
      assert.equal((await ask(place.socket, alice, 'GET', '/v1/whoami')).status, 200)
      await first?.close()
      await openServed(sockets)
      const [noted, ...others] = await denials()
      assert.partialDeepStrictEqual(noted, {
        actor: { uid: bob },
        detail: { request: 'connect', reason: 'one user may have 4 connections at the same time' },
      })
      assert.deepEqual(others, [])
    })

    test('requests beyond the rate wait their turn, then they are refused, with the connection', async (t) => {
      const { place } = await make(t, limits({ requests_per_second: 1 }))
      // All at once, so that no time passes between them: two may come at once, one waits for a second.
      const reply = await socketsOf(t, bob, place).exchange(whoami.repeat(4))
      assert.deepEqual(statuses(reply), ['200', '200', '200', '429'])
      assert.match(reply, /Retry-After: 1\r\n/)
      assert.equal((await ask(place.socket, alice, 'GET', '/healthz')).status, 200)
    })

    test('what is not there, or not allowed, counts as well', async (t) => {
      const { place } = await make(t, limits({ requests_per_second: 1 }))
      const get = (path: string, method = 'GET') => `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
      const reply = await socketsOf(t, bob, place).exchange(
        get('/nowhere') + get('/v1/whoami', 'DELETE') + get('/v1/people') + get('/healthz'),
      )
      assert.deepEqual(statuses(reply), ['404', '405', '403', '429'])
    })

    test('a body costs as many requests as it is long', async (t) => {
      const { place } = await make(t, limits({ requests_per_second: 1 }))
      const body = JSON.stringify({ ...newOne, argv: ['x'.repeat(100_000)] })
      const sockets = socketsOf(t, bob, place)
      const reply = await sockets.exchange(`${post}Content-Length: ${body.length}\r\n\r\n${body}`)
      assert.deepEqual(statuses(reply), ['201'])
      assert.deepEqual(statuses(await sockets.exchange(whoami)), ['429'])
    })

    test('who asks for more and more without waiting for an answer is cut off', async (t) => {
      const { place } = await make(t, limits({}))
      const sockets = socketsOf(t, bob, place)
      assert.deepEqual(statuses(await sockets.exchange(whoami.repeat(3_000))), [])
      // Each of them has been paid for.
      await reconfigure(place, limits({ requests_per_second: 100 }))
      await sockets.exchange(whoami.repeat(3_000))
      assert.match(await sockets.exchange(whoami), /^HTTP\/1\.1 429 .*Retry-After: (9|10)\r\n/s)
      const patient = await socketsOf(t, alice, place).open()
      patient.write(whoami.repeat(4))
      await patient.hears(/("uid":.*){4}/s)
    })

    test('so many streams are open at the same time, WebSockets and transcripts together', async (t) => {
      const { place, store } = await make(t, limits({ streams: 2 }))
      const owner = { person: 'bob', uid: bob, osUser: String(bob) }
      const { id } = await store.sessions.create(newSession({ host: 'h', owner }))
      await store.transcripts.append([{ sessionId: id, chunks: longOutput(), atUs: 1 }])
      const attach = { path: `/v1/sessions/${id}/attach`, protocol: viewerProtocol }
      const hold = async (kind: 'WebSocket' | 'answer', what: { path: string; protocol?: string }) => {
        const held = await Held.open(kind, bob, place, what)
        t.after(() => held[Symbol.asyncDispose]())
        return held
      }
      const viewer = await hold('WebSocket', attach)
      await hold('answer', { path: `/v1/sessions/${id}/transcript?format=raw` })
      const refused = await hold('WebSocket', attach)
      assert.partialDeepStrictEqual(refused.seen[0], {
        what: 'refused',
        status: 429,
        body: { code: 'too-many-requests' },
      })
      const answer = await ask(place.socket, bob, 'GET', `/v1/sessions/${id}/transcript?format=raw`)
      assert.equal(answer.status, 429)
      assert.match(String(answer.body.detail), /one user may have 2 streams at the same time/)
      await viewer[Symbol.asyncDispose]()
      const next = await hold('WebSocket', attach)
      assert.equal(next.seen[0]?.what, 'open')
    })

    test('so many sessions of a person are live, by role; two at once do not take the last place both', async (t) => {
      const { place, store, denials } = await make(t, limits({ sessions: { newcomer: 1 } }))
      const start = (uid: number) => ask(place.socket, uid, 'POST', '/v1/sessions', newOne)
      const first = await start(bob)
      assert.equal(first.status, 201)
      const refused = await start(bob)
      assert.equal(refused.status, 409)
      assert.partialDeepStrictEqual(refused.body, {
        code: 'limit-reached',
        detail:
          'cannot start a session: you have 1 that are live, and with the role newcomer you may have 1; end one (telec ls --live, telec stop ID), or ask an admin for more',
      })
      assert.equal((await start(alice)).status, 201)

      await reconfigure(place, limits({ sessions: { newcomer: 3 } }))
      const outcomes = await Promise.all(Array.from({ length: 6 }, () => start(bob)))
      assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), [201, 201, 409, 409, 409, 409])
      const { id } = first.body.session as { id: ReturnType<typeof newSession>['id'] }
      await store.sessions.end(id, { kind: 'exited', code: 0 }, 1)
      assert.equal((await start(bob)).status, 201)

      await reconfigure(place, limits({ sessions: { newcomer: 0 } }))
      assert.match(
        String((await start(bob)).body.detail),
        /with the role newcomer you may have none here; ask an admin/,
      )
      assert.equal((await ask(place.socket, bob, 'GET', '/v1/sessions')).status, 200)

      // What was refused has left nothing but the note of it.
      const sessions = await store.sessions.list({ scope: { kind: 'person', person: 'bob' }, limit: 100 })
      assert.equal(sessions.length, 4)
      const noted = await denials()
      assert.ok(noted.length > 0)
      for (const { detail } of noted) assert.equal(detail.request, 'session.create')
    })

    test('users whom the service does not know share what two may have; the others do not notice', async (t) => {
      const { place, denials } = await make(t, limits({ connections: 4, streams: 4 }))
      const strangers = [70_001, 70_002, 70_003].map((uid) => socketsOf(t, uid, place))
      const held = []
      for (const sockets of strangers.slice(0, 2)) held.push(...(await openAll(sockets, 4)))
      const reply = (await strangers[2]?.exchange(whoami)) ?? ''
      assert.partialDeepStrictEqual(problemIn(reply), {
        detail:
          'cannot serve you now: all users together whom this service does not know may have 8 connections at the same time; close some, or slow down, and try again',
      })
      // Not bob, who has been somebody here, nor root, nor the service's own health check.
      for (const uid of [bob, 0, service.uid]) {
        assert.equal((await ask(place.socket, uid, 'GET', '/healthz')).status, 200)
      }
      await held[0]?.close()
      assert.equal((await ask(place.socket, 70_003, 'GET', '/healthz')).status, 200)
      assert.equal((await denials()).length, 1)
    })

    test('a limit that a reload changes holds from the next request', async (t) => {
      const { place } = await make(t, limits({ connections: 4, streams: 4 }))
      const sockets = socketsOf(t, bob, place)
      await openAll(sockets, 4)
      await reconfigure(place, limits({ connections: 5, streams: 4 }))
      await openServed(sockets)
      await reconfigure(place, limits({ connections: 4, streams: 4 }))
      assert.match(await sockets.exchange(whoami), /^HTTP\/1\.1 429 /)
    })

    test('somebody who goes on and on fills neither the record nor the log', async (t) => {
      const { place, serving, denials } = await make(t, limits({ connections: 4, streams: 4 }))
      const sockets = socketsOf(t, bob, place)
      await openAll(sockets, 4)
      const before = serving.log
      const replies: string[] = []
      for (let round = 0; round < 10; round++) {
        replies.push(...(await Promise.all(Array.from({ length: 40 }, () => sockets.exchange('')))))
      }
      // Some are told, the rest are closed at once.
      const told = replies.filter((reply) => reply !== '')
      assert.ok(told.length > 0 && told.length < replies.length, String(told.length))
      assert.ok(told.every((reply) => reply.startsWith('HTTP/1.1 429 ')))
      assert.equal((await denials()).length, 1)
      assert.equal(serving.log, before)
      assert.equal((await ask(place.socket, alice, 'GET', '/v1/whoami')).status, 200)
    })

    test('what can not be read is answered with a problem, and the connection closed', async (t) => {
      const { place } = await make(t, limits({}))
      const sockets = socketsOf(t, bob, place)
      const cases = [
        ['what is this\r\n\r\n', 400, 'bad-request'],
        ['GET /v1/whoami HTTP/1.1\r\n\r\n', 400, 'bad-request'],
        [`GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, 431, 'headers-too-large'],
        [`${post}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`, 411, 'length-required'],
        [`${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`, 400, 'bad-request'],
        [`${post}Content-Length: 600000\r\n\r\n{}`, 413, 'too-large'],
      ] as const
      for (const [request, status, code] of cases) {
        const reply = await sockets.exchange(request)
        assert.deepEqual(statuses(reply), [String(status)], request.slice(0, 200))
        assert.match(reply, /\r\nConnection: close\r\n/i)
        assert.partialDeepStrictEqual(problemIn(reply), { status, code })
      }
    })

    test('who is refused in the middle of a long body hears why', async (t) => {
      const { place } = await make(t, limits({ sessions: { newcomer: 0 } }))
      const sockets = socketsOf(t, bob, place)
      const long = 'x'.repeat(10_000_000)
      const refused = await sockets.exchange(`${post}Content-Length: ${long.length}\r\n\r\n${long}`)
      assert.partialDeepStrictEqual(problemIn(refused), { code: 'too-large' })
      const stranger = await socketsOf(t, 70_001, place).exchange(`${post}Content-Length: 500000\r\n\r\n${long}`)
      assert.partialDeepStrictEqual(problemIn(stranger), { code: 'not-permitted' })
    })

    test('what can not be read is not answered in the place of a request before it', async (t) => {
      const { place } = await make(t, limits({ requests_per_second: 1 }))
      const sockets = socketsOf(t, bob, place)
      // The third waits for a second when the garbage comes.
      assert.doesNotMatch(await sockets.exchange(`${whoami.repeat(3)}what is this\r\n\r\n`), /HTTP\/1\.1 400/)
    })

    test('a client that asks whether it may send its body is told so', async (t) => {
      const { place } = await make(t, limits({}))
      const body = JSON.stringify(newOne)
      const socket = await socketsOf(t, bob, place).open()
      socket.write(`${post}Expect: 100-continue\r\nContent-Length: ${body.length}\r\n\r\n`)
      await socket.hears(/^HTTP\/1\.1 100 /)
      socket.write(body)
      await socket.hears(/HTTP\/1\.1 201 /)
    })

    test('telec says which limit it is, and ends so that scripts can tell', async (t) => {
      const { place } = await make(t, limits({ connections: 4, streams: 4, sessions: { newcomer: 0 } }))
      const telec = (...words: string[]) => {
        const { node, telec } = openCheckout()
        const options = {
          uid: bob,
          gid: bob,
          cwd: '/',
          env: { HOME: '/nonexistent', PATH: process.env.PATH },
          encoding: 'utf8',
        } as const
        const { status, stderr } = spawnSync(node, [telec, '--socket', place.socket, ...words], options)
        return { status, stderr }
      }
      const begun = telec('run', '--detach', '--', 'true')
      assert.match(begun.stderr, /^telec: cannot start a session: with the role newcomer you may have none here/)
      assert.equal(begun.status, 77)
      await openAll(socketsOf(t, bob, place), 4)
      const asked = telec('whoami')
      assert.match(asked.stderr, /^telec: cannot serve you now: one user may have 4 connections at the same time;/)
      assert.equal(asked.status, 69)
    })

    test('slow clients are cut off, each in their way', async (t) => {
      const patience = { headersMs: 200, requestMs: 400, idleMs: 100, unreadMs: 300, checkMs: 50 }
      const { place, store } = await make(t, limits({ streams: 1 }), patience)
      const sockets = socketsOf(t, bob, place)

      await t.test('headers that never end, and connections that say nothing', async () => {
        for (const begun of ['GET /v1/whoami HTTP/1.1\r\nHost: x\r\nX-', '']) {
          const reply = await sockets.exchange(begun)
          assert.partialDeepStrictEqual(problemIn(reply), { status: 408, code: 'too-slow' })
        }
      })

      await t.test('a body that never ends: nothing is done', async () => {
        const reply = await sockets.exchange(`${post}Content-Length: 200\r\n\r\n{`)
        assert.partialDeepStrictEqual(problemIn(reply), { status: 408, code: 'too-slow' })
        assert.deepEqual(await store.sessions.list({ scope: { kind: 'all' }, limit: 10 }), [])
      })

      await t.test('a connection that asks for nothing more', async () => {
        assert.deepEqual(statuses(await sockets.exchange(whoami)), ['200'])
      })

      await t.test('a reader of a transcript who does not read', async () => {
        const owner = { person: 'bob', uid: bob, osUser: String(bob) }
        const { id } = await store.sessions.create(newSession({ host: 'h', owner }))
        await store.transcripts.append([{ sessionId: id, chunks: longOutput(), atUs: 1 }])
        for (const format of ['raw', 'text']) {
          const path = `/v1/sessions/${id}/transcript?format=${format}`
          const get = `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`
          const reader = await socketsOf(t, bob, place).open({ isShy: true })
          reader.write(get)
          await reader.hears(/^HTTP\/1\.1 200 /)
          // Their one stream is taken, until they are cut off.
          while (statuses(await sockets.exchange(get))[0] !== '200');
          reader.read()
          assert.doesNotMatch(await reader.closed, /\r\n0\r\n\r\n$/, 'half an answer does not look whole')
        }
      })
    })
  })
}

/** More than all buffers on the way to a reader hold. */
function longOutput() {
  const line = `${'x'.repeat(79)}\n`
  const bytes = Buffer.from(line.repeat(Math.floor(maxChunkBytes / line.length)))
  return Array.from({ length: 64 }, (_, index) => ({ seq: index + 1, kind: 'output' as const, offsetUs: 1, bytes }))
}
