// The service's surface as a client meets it that means no good, or does not know better.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { createConnection } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { WebSocket } from 'ws'
import { engines, Installation } from './support/installation.ts'

type Answer = {
  readonly status: number
  readonly type: string
  readonly headers: NodeJS.Dict<string | string[]>
  readonly body: unknown
}

const newSession = { project: '/tmp', agent: null, title: 't', argv: ['true'], terminal: { cols: 80, rows: 24 } }

for (const engine of engines) {
  describe(`on ${engine}`, () => {
    let own: Installation
    before(async () => {
      own = await Installation.make(engine)
      await own.startDaemon()
    })
    after(() => own[Symbol.asyncDispose]())

    function send(
      method: string,
      path: string,
      headers: Record<string, string> = {},
      body: string | Buffer = '',
    ): Promise<Answer> {
      return new Promise((resolve, reject) => {
        const sent = request({ socketPath: own.client.socketPath, method, path, headers, agent: false }, (response) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('end', () => {
            const text = Buffer.concat(parts).toString('utf8')
            const type = response.headers['content-type'] ?? ''
            resolve({
              status: response.statusCode ?? 0,
              type,
              headers: response.headers,
              body: type.includes('json') ? (JSON.parse(text) as unknown) : text,
            })
          })
        })
        // A body that is refused half-way breaks the connection for what is still being written.
        sent.on('error', (error: NodeJS.ErrnoException) => (error.code === 'EPIPE' ? undefined : reject(error)))
        sent.end(body)
      })
    }
    const post = (path: string, body: unknown) =>
      send('POST', path, { 'Content-Type': 'application/json' }, typeof body === 'string' ? body : JSON.stringify(body))

    async function refuses(answer: Promise<Answer>, status: number, code: string): Promise<Answer> {
      const got = await answer
      assert.equal(got.status, status, JSON.stringify(got.body))
      assert.equal(got.type, 'application/problem+json')
      assert.partialDeepStrictEqual(got.body, { type: 'about:blank', status, code })
      return got
    }

    test('health and readiness tell the truth', async () => {
      assert.partialDeepStrictEqual(await send('GET', '/healthz'), { status: 200, body: { status: 'alive' } })
      assert.partialDeepStrictEqual(await send('GET', '/readyz'), {
        status: 200,
        body: { status: 'ready', database: { status: 'ok' } },
      })
    })

    test('a body that is too large, broken, or of another type does nothing', async () => {
      await refuses(post('/v1/sessions', `"${'x'.repeat(10_000_000)}"`), 413, 'too-large')
      await refuses(post('/v1/sessions', '{"project": '), 400, 'invalid-json')
      await refuses(send('POST', '/v1/sessions', { 'Content-Type': 'text/plain' }, '{}'), 415, 'unsupported-media-type')
      await refuses(
        send('POST', '/v1/sessions', { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }, 'x'),
        415,
        'unsupported-media-type',
      )
      assert.equal((await own.list()).length, 0)
    })

    test('input that does not fit is named by its path', async () => {
      const faults = [
        [{ ...newSession, extra: 1 }, ''],
        [{ ...newSession, project: 'relative' }, '/project'],
        [{ ...newSession, title: 7 }, '/title'],
        [{ ...newSession, title: 'x'.repeat(10_000) }, '/title'],
        [{ ...newSession, title: 'nul \0' }, '/title'],
        [{ ...newSession, argv: [] }, '/argv'],
        [{ ...newSession, argv: ['a', 'lone \ud800'] }, '/argv/1'],
        [{ ...newSession, agent: 'UPPER CASE' }, '/agent'],
        [{ ...newSession, terminal: { cols: 0, rows: 24 } }, '/terminal/cols'],
        [{ ...newSession, terminal: { cols: 80, rows: 1e9 } }, '/terminal/rows'],
        [[newSession], ''],
        ['"text"', ''],
      ] as const
      for (const [body, path] of faults) {
        const { body: problem } = await refuses(post('/v1/sessions', body), 422, 'invalid')
        assert.partialDeepStrictEqual(problem, { errors: [{ path }] })
      }
      for (const query of [
        'limit=0',
        'limit=201',
        'limit=x',
        'limit=1&limit=2',
        'cursor=bad',
        'idPrefix=%25',
        'status=odd',
        'unknown=1',
      ]) {
        await refuses(send('GET', `/v1/sessions?${query}`), 422, 'invalid')
      }
      assert.equal((await own.list()).length, 0)
    })

    test('an id that is malformed and one that nobody has are alike', async () => {
      const answers = []
      for (const id of ['00000000-0000-4000-8000-000000000000', 'x', '%00', '..%2f..%2fetc', 'a'.repeat(3000)]) {
        for (const path of [`/v1/sessions/${id}`, `/v1/sessions/${id}/transcript`, `/v1/sessions/${id}/commands`]) {
          answers.push((await refuses(send('GET', path), 404, 'not-found')).body)
        }
      }
      for (const answer of answers) assert.deepEqual(answer, answers[0])
    })

    test('unknown paths and methods are said to be so', async () => {
      await refuses(send('GET', '/v2/sessions'), 404, 'not-found')
      const answer = await refuses(send('DELETE', '/v1/sessions'), 405, 'method-not-allowed')
      assert.equal(answer.headers.allow, 'POST, GET')
    })

    test('a web page gets nothing, and no header changes who the caller is', async () => {
      await refuses(send('GET', '/v1/whoami', { Origin: 'http://localhost' }), 403, 'origin-refused')
      const plain = await send('GET', '/v1/whoami')
      const claims = {
        Authorization: 'Bearer root',
        'X-Forwarded-User': 'somebody',
        'X-Telec-Email': 'a@b',
        'X-Remote-User': 'x',
      }
      const claimed = await send('GET', '/v1/whoami', claims)
      const { pid: _, ...who } = plain.body as { pid: number }
      assert.partialDeepStrictEqual(claimed.body, who)
    })

    test('a WebSocket from a web page, for another path, or of another protocol is refused', async () => {
      const { session } = await own.client.createSession({ ...newSession, argv: ['true'] })
      const open = async (path: string, protocol: string, headers: Record<string, string> = {}) => {
        const socket = new WebSocket(`ws://x${path}`, protocol, {
          createConnection: () => createConnection(own.client.socketPath),
          headers,
        })
        const [, response] = await once(socket, 'unexpected-response')
        return (response as { statusCode: number }).statusCode
      }
      const path = `/v1/sessions/${session.id}`
      assert.equal(await open(`${path}/attach`, 'teleclaude.viewer.v1', { Origin: 'http://localhost' }), 403)
      assert.equal(await open(`${path}/attach`, 'teleclaude.viewer.v9'), 400)
      assert.equal(await open(`${path}/elsewhere`, 'teleclaude.viewer.v1'), 404)
      assert.equal(await open('/v1/sessions/00000000-0000-4000-8000-000000000000/attach', 'teleclaude.viewer.v1'), 404)
      assert.equal(await open(`${path}/attach?drive=maybe`, 'teleclaude.viewer.v1'), 422)
    })

    test('a runner that breaks the protocol is cut off, and the service lives on', async () => {
      for (const frame of [
        Buffer.alloc(0),
        Buffer.from('garbage'),
        Buffer.alloc(200_000),
        'not json',
        '{"type":"unknown"}',
      ]) {
        const { session } = await own.client.createSession(newSession)
        const runner = await own.client.openStream(`/v1/sessions/${session.id}/runner`, 'teleclaude.runner.v1')
        const closed = once(runner, 'close')
        runner.resume()
        await once(runner, 'message')
        runner.send(frame)
        const [code] = (await closed) as [number]
        // 1009: RFC 6455, 7.4.1, a message too big.
        assert.ok(code === 4400 || code === 1009, String(code))
      }
      assert.equal((await own.client.readiness()).status, 'ready')
    })

    test('pages of a listing join to the whole', async () => {
      const before = await own.list(['--all'])
      for (let count = 0; count < 7; count++) await own.client.createSession({ ...newSession, title: `page ${count}` })
      const seen: string[] = []
      let cursor: string | null = null
      do {
        const page = await own.client.listSessions({ limit: 3, ...(cursor === null ? {} : { cursor }) })
        seen.push(...page.sessions.map((session) => session.id))
        cursor = page.nextCursor
      } while (cursor !== null)
      assert.equal(new Set(seen).size, before.length + 7)
      assert.equal(seen.length, before.length + 7)
    })
  })
}
