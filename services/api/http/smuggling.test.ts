// What callers send that claims to be somebody else, or to be one request and is two: byte for byte, from a real other user, to the
// real service. Behind each attack stands a request that would start a session, and none ever starts.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { sessionPageSchema, type Whoami } from '@teleclaude/core/api.ts'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { openCheckout } from '../../../test/support/open-checkout.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import { askAll, generousLimits, makeServicePlace, openDoorway, type Place, Service } from '../test-service.ts'
import { fill, lines } from './test-lines.ts'
import { bodyOf, statusOf, timeless, writeRequest, writeUpgrade } from './test-requests.ts'

const bob = 54_032
const carol = 54_033

const config = `people:
  - { name: bob, role: member, os_uid: ${bob} }
  - { name: carol, role: admin, os_uid: ${carol} }
${generousLimits}`

const newSessionBody = {
  project: '/tmp',
  agent: null,
  title: 'smuggled',
  argv: ['true'],
  terminal: { cols: 80, rows: 24 },
}
/** Others can follow it on its connection. */
const hidden = writeRequest('POST', '/v1/sessions', newSessionBody).replace('Connection: close\r\n', '')
const last = writeRequest('GET', '/healthz')

const post = (headers: string, body: string) =>
  `POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${headers}\r\n${body}`
const get = (headers: string) => `GET /v1/whoami HTTP/1.1\r\nHost: x\r\n${headers}\r\n`
const length = `Content-Length: ${hidden.length}\r\n`
const chunked = 'Transfer-Encoding: chunked\r\n'

/** Each is answered with a refusal, if at all, and the connection closed: what follows is not read any more. */
const attacks: Readonly<Record<string, string>> = {
  'two lengths': post('Content-Length: 2\r\nContent-Length: 3\r\n', '{}'),
  'one length twice': post('Content-Length: 2\r\nContent-Length: 2\r\n', '{}'),
  ...Object.fromEntries(
    ['2, 2', '2,3', '+2', '-2', '0x2', '2 2', '2\v', '', '1e0', '18446744073709551618', '2;'].map((value) => [
      `the length ${JSON.stringify(value)}`,
      post(`Content-Length: ${value}\r\n`, '{}'),
    ]),
  ),
  'a length and chunks': post(`Content-Length: 2\r\n${chunked}`, '0\r\n\r\n'),
  'chunks and a length': post(`${chunked}Content-Length: 2\r\n`, '0\r\n\r\n'),
  ...Object.fromEntries(
    [
      'xchunked',
      'chunked, identity',
      'identity',
      'chunked\v',
      '"chunked"',
      'gzip',
      'chunked\r\nTransfer-Encoding: identity',
    ].map((value) => [`the encoding ${JSON.stringify(value)}`, post(`Transfer-Encoding: ${value}\r\n`, '0\r\n\r\n')]),
  ),
  'a space before the colon': post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'),
  'a space before the colon of a length': post(`Content-Length : 2\r\n`, '{}'),
  'a name with a space': get('X Y: z\r\n'),
  'a header folded over two lines': get('X-A: b\r\n c\r\n'),
  'a length folded over two lines': post(`Content-Length:\r\n 2\r\n`, '{}'),
  'a header before the first': 'GET /v1/whoami HTTP/1.1\r\n X: y\r\nHost: x\r\n\r\n',
  'lines that end in LF alone': 'GET /v1/whoami HTTP/1.1\nHost: x\n\n',
  'a header that ends in LF alone': get('X-A: b\nX-B: c\r\n'),
  'headers that end in LF alone': 'GET /v1/whoami HTTP/1.1\r\nHost: x\r\n\n',
  'a header that ends in CR alone': get('X-A: b\rX-B: c\r\n'),
  'NUL in a value': get('X-A: b\0c\r\n'),
  'NUL in a name': get('X-\0A: b\r\n'),
  'NUL in a path': 'GET /v1/who\0ami HTTP/1.1\r\nHost: x\r\n\r\n',
  'a chunk of no size': post(chunked, 'G\r\n\r\n0\r\n\r\n'),
  'a chunk of 0x2': post(chunked, '0x2\r\n{}\r\n0\r\n\r\n'),
  'a chunk below nothing': post(chunked, '-2\r\n{}\r\n0\r\n\r\n'),
  'a chunk beyond all numbers': post(chunked, 'FFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n'),
  'a size that ends in LF alone': post(chunked, '2\n{}\r\n0\r\n\r\n'),
  'a chunk that is longer than it says': post(chunked, '2\r\n{}{}\r\n0\r\n\r\n'),
  'a chunk that ends in LF alone': post(chunked, '2\r\n{}\n0\r\n\r\n'),
  'nothing but chunks': post(chunked, '2\r\n{}\r\n0\r\n\r\n'),
  'an extension without an end': post(chunked, `2;${'a'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`),
  'no host': 'GET /v1/whoami HTTP/1.1\r\n\r\n',
  'HTTP/1.2': 'GET /v1/whoami HTTP/1.2\r\nHost: x\r\n\r\n',
  'HTTP/11': 'GET /v1/whoami HTTP/11\r\nHost: x\r\n\r\n',
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'a greeting of TLS': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  CONNECT: 'CONNECT localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n',
  h2c: get('Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n'),
  'another upgrade': get('Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n'),
  'an upgrade of a body': post(`Connection: Upgrade\r\nUpgrade: websocket\r\n${length}`, hidden),
  'an upgrade of nothing': writeUpgrade('/v1/elsewhere', viewerProtocol),
  'a header that is not looked at any more': get(`${'a:b\r\n'.repeat(3000)}`),
  'too much': get(`X-A: ${'a'.repeat(20_000)}\r\n`),
  'too much, in many headers': get(Array.from({ length: 200 }, (_, at) => `X-${at}: ${'a'.repeat(100)}\r\n`).join('')),
  'a path too long': `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
  'a request in an extension': post(chunked, `0;${hidden}\r\n\r\n`),
  'a request in a trailer': post(chunked, `0\r\nX: ${hidden}\r\n\r\n`),
  'a body over the limit': post('Content-Length: 600000\r\n', hidden),
}

/** Each a whole request, after which nothing can follow: it is answered, or the connection is closed at once. */
const lastRequests: Readonly<Record<string, string>> = {
  'a last request': last,
  'a line alone, as HTTP/0.9 has it': 'GET /v1/whoami\r\n\r\n',
  'HTTP/1.0': 'GET /v1/whoami HTTP/1.0\r\n\r\n',
  'HTTP/1.0 that would go on': 'GET /v1/whoami HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  'HTTP/2.0': 'GET /v1/whoami HTTP/2.0\r\nHost: x\r\n\r\n',
}

/** What is odd but says clearly where it ends, with a request in its body, and how it is answered. */
const oddities: Readonly<Record<string, readonly [request: string, ...statuses: number[]]>> = {
  'a body where none belongs': [get(length) + hidden, 200],
  'a body of HEAD': [get(length).replace('GET', 'HEAD') + hidden, 200],
  'a body for no path': [post(length, hidden).replace('/v1/sessions', '/v1/elsewhere'), 404],
  'a body for another method': [post(length, hidden).replace('POST', 'PUT'), 405],
  'a body of another type': [post(length, hidden).replace('application/json', 'text/plain'), 415],
  'a body that is no JSON': [post(length, hidden), 400],
  'a body that is compressed': [post(`Content-Encoding: gzip\r\n${length}`, hidden), 415],
  'a body of who may not': [post(length, hidden).replace('/v1/sessions', '/v1/config/reload'), 403],
  'a body of a web page': [post(`Origin: http://localhost\r\n${length}`, hidden), 403],
  'a body that is waited for': [post(`Expect: 100-continue\r\n${length}`, hidden), 100, 400],
  'an expectation': [get(`Expect: something\r\n${length}`) + hidden, 200],
  'two hosts': [get(`Host: y\r\n${length}`) + hidden, 200],
  'empty lines before it': [`\r\n\r\n\r\n${get(length)}${hidden}`, 200],
}

/** Headers by which others let somebody say who they are, or where a request goes. */
const claims: readonly string[] = [
  ...['User', 'For', 'Host', 'Proto', 'Email', 'Preferred-Username', 'Groups'].map(
    (name) => `X-Forwarded-${name}: carol`,
  ),
  ...['Remote-User', 'Real-IP', 'Auth-Request-User', 'Webauth-User', 'User', 'User-ID', 'Uid', 'Person', 'Role'].map(
    (name) => `X-${name}: carol`,
  ),
  ...['Telec-Email', 'Telec-Person', 'TeleClaude-Person', 'TeleClaude-Role', 'TeleClaude-Uid'].map(
    (name) => `X-${name}: carol`,
  ),
  ...[
    'Remote-User: carol',
    'From: carol@localhost',
    'Person: carol',
    'Role: admin',
    'Uid: 0',
    'User: carol',
    'Via: 1.1 carol',
  ],
  `Authorization: Basic ${Buffer.from('carol:').toString('base64')}`,
  ...['Authorization: Bearer carol', 'Authorization: Negotiate carol', 'Proxy-Authorization: Basic Y2Fyb2w6'],
  ...[
    'Cookie: person=carol; session=carol; role=admin',
    'Forwarded: for=carol;by=carol;host=carol',
    'X-Client-Cert: carol',
  ],
  ...[
    'X-SSL-Client-S-DN: CN=carol',
    'X-Original-URL: /v1/config',
    'X-Rewrite-URL: /v1/config',
    'X-HTTP-Method-Override: POST',
  ],
  ...['Connection: close, X-Forwarded-User', 'Sec-Fetch-Site: same-origin', 'Referer: http://localhost/v1/config'],
]

const withHeader = (request: string, header: string) => request.replace('\r\n', `\r\n${header}\r\n`)
const statusesOf = (replies: string) =>
  [...replies.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

if (process.getuid?.() === 0) {
  describe('over the socket', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    let place: Place
    let serving: Service
    const cleanUp: (() => unknown)[] = []
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
      place = await makeServicePlace({ after: (end) => void cleanUp.unshift(end) }, postgres, { migrated: true })
      writeFileSync(place.configFile, config)
      serving = new Service(place, { wait: false })
      cleanUp.unshift(() => serving.stop())
      await serving.says(/^ready$/)
    })
    after(async () => {
      for (const end of cleanUp) await end()
      await postgres.stop()
    })

    /** Each request on a connection of its own, and an honest one after it, which is answered as ever. */
    async function attack(requests: readonly string[]): Promise<readonly string[]> {
      const honest = writeRequest('GET', '/v1/whoami')
      const replies = await askAll(
        place.socket,
        bob,
        requests.flatMap((request) => [request, honest]),
      )
      for (const [index, request] of requests.entries())
        assert.equal(statusOf(replies[2 * index + 1] ?? ''), 200, `the next after ${request}`)
      return requests.map((_, index) => replies[2 * index] ?? '')
    }

    test('what can be read in two ways is refused, and nothing behind it is taken for a request', async () => {
      const replies = await attack(Object.values(attacks).map((request) => request + hidden + last))
      for (const [index, name] of Object.keys(attacks).entries()) {
        const statuses = statusesOf(replies[index] ?? '')
        assert.ok(
          statuses.length <= 1 && statuses.every((status) => status >= 400 && status < 500),
          `${name}: ${replies[index]}`,
        )
      }
    })

    test('after a last request there is no other', async () => {
      const replies = await attack(Object.values(lastRequests).map((request) => request + hidden + last))
      for (const [index, name] of Object.keys(lastRequests).entries()) {
        const statuses = statusesOf(replies[index] ?? '')
        assert.ok(statuses.length <= 1 && statuses.every((status) => status === 200), `${name}: ${replies[index]}`)
      }
    })

    test('a body is a body, whoever reads it or does not: what looks like a request in it is none', async () => {
      const replies = await attack(Object.values(oddities).map(([request]) => request + last))
      for (const [index, [name, [, ...statuses]]] of Object.entries(oddities).entries())
        assert.deepEqual(statusesOf(replies[index] ?? ''), [...statuses, 200], `${name}: ${replies[index]}`)
    })

    test('no header, query or body says who somebody is, or where a request goes', async () => {
      const plain = ['/v1/whoami', '/v1/config', '/v1/people', '/v1/sessions'].map((path) => writeRequest('GET', path))
      const all = (request: string) => claims.reduce(withHeader, request)
      const variants = [...claims.map((claim) => (request: string) => withHeader(request, claim)), all]
      // Of one process, so that its number is the same in each.
      const asked = [...plain, ...variants.flatMap((variant) => plain.map(variant))]
      const replies = (await askAll(place.socket, bob, asked)).map(timeless)
      const { person, role, uid }: Whoami = JSON.parse(bodyOf(replies[0] ?? ''))
      assert.deepEqual({ person, role, uid }, { person: 'bob', role: 'member', uid: bob })
      for (const [index, reply] of replies.entries())
        assert.equal(reply, replies[index % plain.length], asked[index] ?? '')

      const claimed = { person: 'carol', uid: carol, role: 'admin', owner: { person: 'carol' }, osUser: 'root' }
      const json = JSON.stringify(claimed)
      const inBody =
        get(`Connection: close\r\nContent-Type: application/json\r\nContent-Length: ${json.length}\r\n`) + json
      const [told = ''] = await askAll(place.socket, bob, [inBody])
      assert.partialDeepStrictEqual(JSON.parse(bodyOf(told)), { person: 'bob', role: 'member', uid: bob })
      for (const key of Object.keys(claimed)) {
        const requests = [
          writeRequest('GET', `/v1/whoami?${key}=carol`),
          writeRequest('GET', `/v1/config?${key}=carol`),
          writeRequest('POST', '/v1/sessions', { ...newSessionBody, [key]: 'carol' }),
        ]
        assert.deepEqual((await askAll(place.socket, bob, requests)).map(statusOf), [422, 403, 422], key)
      }
    })

    test('a web page is refused, whatever it asks for, over HTTP and for a WebSocket', async () => {
      const [line] = lines
      assert.ok(line)
      const requests = [
        ...lines.map((each) => each.ask(fill(each, '00000000-0000-4000-8000-000000000000'))),
        ...['/', '/v1/elsewhere', '/v1/sessions/%ff', '*'].flatMap((path) =>
          ['GET', 'OPTIONS', 'PUT', 'HEAD'].map((method) => writeRequest(method, path)),
        ),
        writeUpgrade('/v1/elsewhere', viewerProtocol),
        writeUpgrade('//[', viewerProtocol),
      ]
      const origins = ['Origin: http://localhost', 'oRIGIN: null', 'Origin:', 'Origin: x\r\nOrigin: y']
      const asked = requests.flatMap((request) => origins.map((origin) => withHeader(request, origin)))
      for (const [index, reply] of (await askAll(place.socket, bob, asked)).entries()) {
        const request = asked[index] ?? ''
        assert.equal(statusOf(reply), 403, `${request}\n${reply}`)
        if (!request.startsWith('HEAD')) assert.match(bodyOf(reply), /"code":"origin-refused"/, request)
      }
      // Behind more headers than anybody has, it is not overlooked.
      const late = get(`Connection: close\r\n${'a:b\r\n'.repeat(2500)}Origin: http://localhost\r\n`)
      const [reply = ''] = await askAll(place.socket, bob, [late])
      assert.ok(statusOf(reply) >= 400, reply)
    })

    test('a connection that is handed to a process of another user stays that of who made it: what it may goes with it', async () => {
      const script = `
        const [socketPath, maker, ...users] = process.argv.slice(1)
        process.seteuid(Number(maker))
        const socket = require('node:net').connect(socketPath)
        // Nothing is read here: it is for those who have it now.
        socket.pause()
        socket.on('connect', () => {
          process.seteuid(0)
          for (const user of users) {
            const ask = ${JSON.stringify(`
              const socket = new (require('node:net').Socket)({ fd: 3 })
              socket.write('GET /v1/whoami HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
              socket.on('data', (part) => {
                process.stdout.write(process.getuid() + ' ' + String(part).split('\\r\\n\\r\\n')[1] + '\\n')
                process.exit()
              })`)}
            const stdio = ['ignore', 'inherit', 'inherit', socket._handle.fd]
            require('node:child_process').spawnSync(process.execPath, ['-e', ask], { uid: Number(user), gid: Number(user), cwd: '/', stdio })
          }
          process.exit()
        })`
      const { node } = openCheckout()
      for (const [maker, taker] of [
        [bob, carol],
        [carol, bob],
      ] as const) {
        const words = [place.socket, maker, maker, taker, 0].map(String)
        const child = spawn(node, ['-e', script, '--', ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
        const answers = (await text(child.stdout)).trim().split('\n')
        const seen = answers.map((answer) => {
          const [, user, json = ''] = /^(\d+) (.*)$/.exec(answer) ?? []
          const { uid, person, pid }: Whoami = JSON.parse(json)
          return { user: Number(user), uid, person, pid }
        })
        const made = { uid: maker, person: maker === bob ? 'bob' : 'carol', pid: child.pid }
        assert.deepEqual(
          seen,
          [maker, taker, 0].map((user) => ({ user, ...made })),
        )
      }
    })

    test('peers that die before they are accepted harm nobody, and are nobody else', async () => {
      const own = writeRequest('POST', '/v1/sessions', { ...newSessionBody, title: 'of the dead' })
      const requests = ['', own.slice(0, 40), own.slice(0, -5), last, own, ...Object.values(attacks)]
      const script = `
        const requests = JSON.parse(process.argv[2])
        let open = requests.length
        for (const request of requests) {
          const socket = require('node:net').connect(process.argv[1], () =>
            socket.write(request, 'latin1', () => --open === 0 && process.kill(process.pid, 'SIGKILL')))
        }`
      const { node } = openCheckout()
      // Fewer at a time than the queue of connections holds.
      while (requests.length > 0) {
        const words = [place.socket, JSON.stringify(requests.splice(0, 30))]
        serving.child.kill('SIGSTOP')
        try {
          const child = spawn(node, ['-e', script, '--', ...words], { uid: bob, gid: bob, cwd: '/', stdio: 'inherit' })
          assert.deepEqual(await once(child, 'exit'), [null, 'SIGKILL'])
        } finally {
          serving.child.kill('SIGCONT')
        }
        const replies = await askAll(place.socket, carol, [
          writeRequest('GET', '/v1/whoami'),
          writeRequest('GET', '/readyz'),
        ])
        assert.deepEqual(replies.map(statusOf), [200, 200])
      }
    })

    test('and no session was started by anything of all that but by who asked for one, nor did anything fail', async () => {
      const [reply = ''] = await askAll(place.socket, carol, [writeRequest('GET', '/v1/sessions?limit=200')])
      for (const { title, owner } of sessionPageSchema.parse(JSON.parse(bodyOf(reply))).sessions) {
        assert.equal(title, 'of the dead')
        assert.deepEqual(owner, { person: 'bob', uid: bob, osUser: String(bob) })
      }
      assert.doesNotMatch(serving.log, /"level":[56]0/)
      assert.equal(serving.stderr, '')
    })
  })
}
