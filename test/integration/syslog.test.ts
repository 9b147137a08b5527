// The auditor's syslog sink and Debian's rsyslog, which really receives what it sends: over its socket, TCP and TLS.

import assert from 'node:assert/strict'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers'
import { renderers } from '../../services/auditor/render.ts'
import { SyslogSink, type SyslogTarget } from '../../services/auditor/syslog-sink.ts'
import { Authority, entry } from '../../services/auditor/test-receivers.ts'
import { buildDerivedImage, type DerivedImage } from '../support/derived-image.ts'

const ports = { tcp: 10_601, tls: 16_514 } as const

const configuration = `
global(
  maxMessageSize="100k" workDirectory="/shared" defaultNetstreamDriverCAFile="/shared/ca.pem"
  defaultNetstreamDriverCertFile="/shared/server.pem" defaultNetstreamDriverKeyFile="/shared/server.key"
)
module(load="imuxsock" sysSock.use="off")
module(load="imtcp")
template(name="fields" type="string" string="%syslogfacility-text%|%syslogseverity-text%|%hostname%|%app-name%|%msgid%|%structured-data%|%msg%\\n")
ruleset(name="keep") { action(type="omfile" file="/shared/received" template="fields" fileCreateMode="0644") }
input(type="imuxsock" socket="/shared/log" useSpecialParser="off" parseHostname="on" rateLimit.interval="0" ruleset="keep")
input(type="imtcp" port="${ports.tcp}" ruleset="keep")
input(type="imtcp" port="${ports.tls}" ruleset="keep" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
`

describe('rsyslog', () => {
  const authority = new Authority()
  const shared = mkdtempSync(join(tmpdir(), 'tc-syslog-'))
  const received = join(shared, 'received')
  let image: DerivedImage
  let rsyslog: StartedTestContainer
  before(async () => {
    image = await buildDerivedImage(
      'node:26-bookworm-slim',
      'RUN apt-get update && apt-get install -y --no-install-recommends rsyslog rsyslog-gnutls',
    )
    chmodSync(shared, 0o755)
    mkdirSync(shared, { recursive: true })
    const { keyFile, certFile } = authority.certify('IP:127.0.0.1')
    cpSync(authority.caFile, join(shared, 'ca.pem'))
    cpSync(certFile, join(shared, 'server.pem'))
    cpSync(keyFile, join(shared, 'server.key'))
    writeFileSync(join(shared, 'rsyslog.conf'), configuration)
    rsyslog = await new GenericContainer(image.tag)
      .withEntrypoint(['rsyslogd'])
      .withCommand(['-n', '-f', '/shared/rsyslog.conf', '-i', '/tmp/pid'])
      .withBindMounts([{ source: shared, target: '/shared' }])
      .withExposedPorts(ports.tcp, ports.tls)
      .withWaitStrategy(Wait.forListeningPorts())
      .start()
  })
  after(async () => {
    await rsyslog?.stop({ remove: true, timeout: 0 })
    await image?.[Symbol.asyncDispose]()
    rmSync(shared, { recursive: true, force: true })
    authority[Symbol.dispose]()
  })

  function lines(): readonly string[] {
    try {
      return readFileSync(received, 'utf8').split('\n').slice(0, -1)
    } catch {
      // Nothing has come yet.
      return []
    }
  }

  async function untilLines(count: number): Promise<readonly string[]> {
    const there = Promise.withResolvers<void>()
    const look = () => {
      if (lines().length >= count) there.resolve()
    }
    const watcher = watch(shared, look)
    look()
    await there.promise
    watcher.close()
    return lines()
  }

  const targets: Readonly<Record<string, () => SyslogTarget>> = {
    'its socket': () => ({ via: 'socket', path: join(shared, 'log') }),
    TCP: () => ({ via: 'tcp', host: '127.0.0.1', port: rsyslog.getMappedPort(ports.tcp), caFile: null }),
    TLS: () => ({ via: 'tls', host: '127.0.0.1', port: rsyslog.getMappedPort(ports.tls), caFile: authority.caFile }),
  }

  for (const [what, to] of Object.entries(targets)) {
    test(`has every entry as it is, over ${what}: also the longest`, async () => {
      rmSync(received, { force: true })
      await rsyslog.restart({ timeout: 0 })
      const sink = new SyslogSink({ name: 'syslog', to: to(), render: renderers.native })
      const long = 'x'.repeat(60_000)
      const batch = [...Array.from({ length: 50 }, (_, index) => entry(index + 1)), entry(51, { detail: { long } })]
      const delivery = await sink.deliver(batch, new AbortController().signal)
      assert.deepEqual(delivery, { outcome: 'confirmed' })
      const found = await untilLines(batch.length)
      const head = (seq: number) =>
        `authpriv|info|build-box|teleclaude|session.started|[teleclaude@32473 id="build-box:1:${seq}"]|`
      const expected = batch.map(({ seq, bytes }) => `${head(seq)}${Buffer.from(bytes).toString('utf8')}`)
      // What comes before the message is a part of it to some versions (RFC 5424, section 6: a space between the two).
      assert.deepEqual(
        found.map((line) => line.replace('|  {', '|{').replace('| {', '|{')),
        expected,
      )
      await sink.close()
    })
  }
})
