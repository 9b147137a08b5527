// The sinks that post over HTTP, against real receivers that behave well, badly, or not at all.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Secret } from '@teleclaude/config/secret.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { Webhook } from 'standardwebhooks'
import { deliverAll, type Progress } from './delivery.ts'
import { OtlpSink } from './otlp-sink.ts'
import { renderers } from './render.ts'
import { type Sink, SinkConfigError } from './sink.ts'
import { Authority, answerWith, batchOf, entry, HttpReceiver, type Received } from './test-receivers.ts'
import { WebhookSink } from './webhook-sink.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const never = new AbortController().signal

async function shipAll(sink: Sink, batch: readonly StoredAuditEntry[]) {
  const progress: Progress[] = []
  const failure = await deliverAll(sink, batch, never, async (step) => {
    progress.push(step)
  })
  return { failure, through: progress.at(-1)?.throughSeq ?? null, parked: progress.flatMap(({ refusals }) => refusals) }
}

describe('sinks over HTTP', () => {
  const authority = new Authority()
  let receiver: HttpReceiver
  before(async () => {
    receiver = await HttpReceiver.start(authority.certify('IP:127.0.0.1'))
  })
  after(async () => {
    await receiver[Symbol.asyncDispose]()
    authority[Symbol.dispose]()
  })

  const kinds = {
    webhook: (url: string, caFile: string | null = authority.caFile, timeoutMs = 5000) =>
      new WebhookSink({ name: 'hook', url, secret: new Secret(secret), caFile, render: renderers.native, timeoutMs }),
    otlp: (url: string, caFile: string | null = authority.caFile, timeoutMs = 5000) =>
      new OtlpSink({
        name: 'otel',
        host: 'build-box',
        url,
        headers: new Secret('Authorization: Bearer xyz\nX-Team: ops'),
        caFile,
        render: renderers.native,
        timeoutMs,
      }),
  } as const

  test('a webhook is signed, names its entries, and holds their exact bytes', async () => {
    receiver.answering = answerWith(204)
    const sink = kinds.webhook(`${receiver.url}/audit?a=b`)
    const batch = batchOf(7, 9)
    assert.equal((await sink.deliver(batch, never)).outcome, 'confirmed')
    assert.equal((await sink.deliver([entry(10)], never)).outcome, 'confirmed')
    await sink.close()
    const [several, one] = receiver.received.splice(0)
    assert.ok(several !== undefined && one !== undefined)
    assert.equal(several.url, '/audit?a=b')
    assert.equal(several.headers['webhook-id'], 'build-box:1:7..build-box:1:9')
    assert.equal(one.headers['webhook-id'], 'build-box:1:10')
    const headers = Object.fromEntries(Object.entries(several.headers).map(([name, value]) => [name, String(value)]))
    new Webhook(secret).verify(several.body, headers)
    const texts = batch.map(({ bytes }) => Buffer.from(bytes).toString('utf8'))
    assert.ok(several.body.endsWith(`"data":{"entries":[${texts.join(',')}]}}`))
    assert.throws(() => new Webhook(secret).verify(several.body.replace('alice', 'mallo'), headers))
  })

  test('a secret that is none is said without the secret', () => {
    const secrets = ['whsec_*not*base64*', 'whsec_']
    for (const text of secrets) {
      const options = { name: 'hook', url: receiver.url, caFile: null, render: renderers.native }
      assert.throws(
        () => new WebhookSink({ ...options, secret: new Secret(text) }),
        (error) => error instanceof SinkConfigError && !error.message.includes('not*base64'),
      )
    }
  })

  test('OTLP has a record for each entry, and the headers that let it in', async () => {
    receiver.answering = answerWith(200, '{}')
    const sink = kinds.otlp(`${receiver.url}/v1/logs`)
    assert.equal((await sink.deliver(batchOf(1, 2), never)).outcome, 'confirmed')
    await sink.close()
    const [got] = receiver.received.splice(0)
    assert.deepEqual([got?.headers.authorization, got?.headers['x-team']], ['Bearer xyz', 'ops'])
    const { resourceLogs } = JSON.parse(got?.body ?? '')
    const { logRecords } = resourceLogs[0].scopeLogs[0]
    assert.equal(logRecords.length, 2)
    assert.equal(logRecords[0].body.stringValue, Buffer.from(entry(1).bytes).toString('utf8'))
    assert.equal(logRecords[0].timeUnixNano, '1700000000123000000')
    assert.deepEqual(logRecords[1].attributes[0], {
      key: 'teleclaude.audit.id',
      value: { stringValue: 'build-box:1:2' },
    })
  })

  for (const [kind, make] of Object.entries(kinds)) {
    test(`${kind}: what is no answer, or not now, is tried again and nothing is parked`, async () => {
      const cases: readonly [string, HttpReceiver['answering'], RegExp][] = [
        ['500', answerWith(500, 'out of order'), /HTTP 500: out of order/],
        ['429', answerWith(429, '', { 'retry-after': '7' }), /HTTP 429/],
        ['408', answerWith(408), /HTTP 408/],
        ['401: it is us who are wrong, not the entry', answerWith(401), /HTTP 401/],
        ['404', answerWith(404), /HTTP 404/],
        ['a redirect', answerWith(307, '', { location: `${receiver.url}/elsewhere` }), /HTTP 307/],
        ['drops the connection', (response) => response.destroy(), /hang up|ECONNRESET/],
        ['never answers', () => null, /did not answer within 0.3 s/],
        [
          'a 200 that never ends',
          (response) => {
            response.writeHead(200, { 'content-length': '10' })
            response.write('{')
          },
          /did not answer within 0.3 s/,
        ],
        [
          'breaks off in the middle',
          (response) => {
            response.writeHead(200, { 'content-length': '10' })
            response.write('{', () => response.destroy())
          },
          /aborted|broke/,
        ],
      ]
      for (const [what, answering, says] of cases) {
        receiver.answering = answering
        // Those that wait for an end that does not come.
        const sink = make(receiver.url, authority.caFile, says.source.includes('0.3') ? 300 : 5000)
        const { failure, parked } = await shipAll(sink, batchOf(1, 3))
        await sink.close()
        assert.match(failure?.reason ?? '', says, what)
        assert.deepEqual(parked, [], what)
        if (what === '429') assert.equal(failure?.retryAfterMs, 7000)
      }
      assert.ok(!receiver.received.some(({ url }) => url === '/elsewhere'), 'nobody follows a redirect')
      receiver.received.length = 0
    })

    test(`${kind}: an entry that is refused is found among the others and set aside`, async () => {
      const isPoison = ({ body }: Received) => body.includes('build-box:1:5') || /"seq\\?":5\b/.test(body)
      receiver.answering = (response, received) =>
        answerWith(isPoison(received) ? 400 : 200, isPoison(received) ? 'no' : '{}')(response, received)
      const sink = make(receiver.url)
      const { failure, through, parked } = await shipAll(sink, batchOf(1, 8))
      await sink.close()
      assert.deepEqual([failure, through, parked], [null, 8, [{ seq: 5, reason: 'HTTP 400: no' }]])
      receiver.received.length = 0
    })

    test(`${kind}: a certificate that is not the host's, or of nobody known, is not talked to`, async () => {
      await using other = await HttpReceiver.start(authority.certify('DNS:elsewhere.example'))
      for (const [sink, says] of [
        [make(other.url), /altnames|does not match/],
        [make(receiver.url, null), /unable to verify|self-signed|issuer/],
        [make(receiver.url, '/nowhere/ca.pem'), /ENOENT/],
      ] as const) {
        const { failure } = await shipAll(sink, batchOf(1, 1))
        await sink.close()
        assert.match(failure?.reason ?? '', says)
      }
      assert.deepEqual([...other.received, ...receiver.received], [])
    })

    test(`${kind}: stopping does not wait for an answer`, async () => {
      const stop = new AbortController()
      receiver.answering = () => stop.abort()
      const sink = make(receiver.url)
      assert.equal((await sink.deliver(batchOf(1, 1), stop.signal)).outcome, 'unavailable')
      await sink.close()
      receiver.received.length = 0
    })

    test(`${kind}: nothing leaves this machine without TLS`, async () => {
      assert.throws(() => make('http://logs.example/'), /no https/)
      assert.throws(() => make('https://user:pass@logs.example/'), /password/)
      await using plain = await HttpReceiver.start(null, answerWith(200))
      const sink = make(plain.url)
      assert.equal((await shipAll(sink, batchOf(1, 1))).failure, null)
      await sink.close()
    })
  }

  test('OTLP: records that were rejected are found, and set aside', async () => {
    receiver.answering = (response, received) => {
      const { logRecords } = JSON.parse(received.body).resourceLogs[0].scopeLogs[0]
      const rejected = logRecords.filter(({ body }: { body: { stringValue: string } }) =>
        /"seq":[36]\b/.test(body.stringValue),
      )
      const partialSuccess = { rejectedLogRecords: String(rejected.length), errorMessage: 'too odd' }
      answerWith(200, JSON.stringify(rejected.length > 0 ? { partialSuccess } : {}))(response, received)
    }
    const sink = kinds.otlp(receiver.url)
    const { failure, through, parked } = await shipAll(sink, batchOf(1, 8))
    assert.deepEqual([failure, through, parked.map(({ seq }) => seq)], [null, 8, [3, 6]])
    assert.match(parked[0]?.reason ?? '', /all but 1 of 1: too odd/)
    for (const body of ['<html>', '[]', `{"x":"${'x'.repeat(100_000)}"}`]) {
      receiver.answering = answerWith(200, body)
      assert.match((await shipAll(sink, batchOf(1, 2))).failure?.reason ?? '', /like no receiver of OTLP/)
    }
    await sink.close()
  })

  test('what a receiver says of itself is one line of bounded length, whatever it is', async () => {
    const hostile = `\0\x1b]0;owned\x07\u202e${'\ud83d\ude00'.repeat(5000)}`
    receiver.answering = answerWith(400, hostile)
    const hook = kinds.webhook(receiver.url)
    const partialSuccess = { rejectedLogRecords: 1, errorMessage: `${hostile}\ud800` }
    const said = [(await shipAll(hook, batchOf(1, 1))).parked[0]?.reason]
    receiver.answering = answerWith(200, JSON.stringify({ partialSuccess }))
    const otel = kinds.otlp(receiver.url)
    said.push((await shipAll(otel, batchOf(1, 1))).parked[0]?.reason)
    for (const reason of said) {
      assert.ok(reason !== undefined && reason.length <= 1000 && reason.isWellFormed())
      assert.ok(!/[\p{Cc}\p{Cf}]/u.test(reason))
    }
    await hook.close()
    await otel.close()
  })

  test('a webhook that answers at length is believed by its status, and read no further', async () => {
    receiver.answering = answerWith(200, 'x'.repeat(1_000_000))
    const sink = kinds.webhook(receiver.url)
    assert.equal((await shipAll(sink, batchOf(1, 2))).failure, null)
    await sink.close()
  })
})
