// The syslog sink against sockets of every kind, which say nothing back: it is sent, framed as the RFCs have it.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { renderers } from './render.ts'
import type { Delivery } from './sink.ts'
import { frame, toSyslog } from './syslog-format.ts'
import { SyslogSink, type SyslogTarget } from './syslog-sink.ts'
import { Authority, batchOf, entry, portOf } from './test-receivers.ts'
import { UnixDatagram } from './unix-datagram.ts'

const never = new AbortController().signal

test('a message is RFC 5424: priority, time, host, name, pid, action, the id as structured data, the exact bytes', () => {
  const made = entry(7)
  const message = toSyslog(made, renderers.native, 17).toString('utf8')
  const head =
    '<86>1 2023-11-14T22:13:20.123456Z build-box teleclaude 17 session.started [teleclaude@32473 id="build-box:1:7"] '
  assert.equal(message, head + Buffer.from(made.bytes).toString('utf8'))
  assert.match(toSyslog(entry(1, { action: 'alarm.raised' }), renderers.native, 1).toString(), /^<81>1 /)
  assert.ok(!/\p{Cc}/u.test(message), 'nothing that ends a line, or a message')
})

test('a frame counts octets and not characters', () => {
  assert.equal(frame(Buffer.from('aü')).toString('utf8'), '3 aü')
})

/** Messages that are framed by their length. */
function unframe(bytes: Buffer): string[] {
  const messages: string[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const space = bytes.indexOf(0x20, offset)
    const end = space + 1 + Number(bytes.subarray(offset, space).toString('latin1'))
    messages.push(bytes.subarray(space + 1, end).toString('utf8'))
    offset = end
  }
  return messages
}

class StreamReceiver implements AsyncDisposable {
  readonly #server: Server
  readonly #reads: boolean
  #bytes: Buffer = Buffer.alloc(0)
  #more = Promise.withResolvers<void>()
  readonly sockets: Socket[] = []

  constructor(server: Server, { reads = true }: { readonly reads?: boolean } = {}) {
    this.#server = server
    this.#reads = reads
    server.on('setSecureContext' in server ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.sockets.push(socket)
      socket.on('error', () => null)
      if (!this.#reads) return
      socket.on('data', (part: Buffer) => {
        this.#bytes = Buffer.concat([this.#bytes, part])
        this.#more.resolve()
      })
    })
  }

  async listen(where: number | string): Promise<number> {
    this.#server.listen(typeof where === 'number' ? { port: where, host: '127.0.0.1' } : { path: where })
    await once(this.#server, 'listening')
    return typeof where === 'number' ? portOf(this.#server.address()) : 0
  }

  async until(isMeant: (bytes: Buffer) => boolean): Promise<Buffer> {
    while (!isMeant(this.#bytes)) {
      await this.#more.promise
      this.#more = Promise.withResolvers<void>()
    }
    return this.#bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
  }
}

describe('the syslog sink', () => {
  const authority = new Authority()
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-syslog-'))
  const batch = batchOf(1, 3)
  const messages = batch.map((made) => toSyslog(made, renderers.native, process.pid).toString('utf8'))
  const framedBytes = messages.reduce((sum, message) => sum + frame(Buffer.from(message)).length, 0)
  before(() => authority.certify('IP:127.0.0.1'))
  after(() => {
    authority[Symbol.dispose]()
    rmSync(directory, { recursive: true })
  })

  function sinkTo(to: SyslogTarget, timeoutMs = 5000): SyslogSink {
    return new SyslogSink({ name: 'syslog', to, render: renderers.native, timeoutMs })
  }

  test('over TCP it counts octets, and is never confirmed', async () => {
    await using receiver = new StreamReceiver(createServer())
    const sink = sinkTo({ via: 'tcp', host: '127.0.0.1', port: await receiver.listen(0), caFile: null })
    assert.equal(sink.confirms, false)
    assert.equal((await sink.deliver(batch, never)).outcome, 'confirmed')
    assert.deepEqual(unframe(await receiver.until((bytes) => bytes.length === framedBytes)), messages)
    await sink.close()
  })

  test('what it sent last goes again where the connection turns out to have been broken', async () => {
    await using receiver = new StreamReceiver(createServer())
    const sink = sinkTo({ via: 'tcp', host: '127.0.0.1', port: await receiver.listen(0), caFile: null })
    await sink.deliver(batch, never)
    await receiver.until((bytes) => bytes.length === framedBytes)
    receiver.sockets[0]?.destroy()
    const next = [entry(4)]
    // Until the break has come to be known here.
    while (receiver.sockets.length === 1) {
      await sink.deliver(next, never)
      await wait(1)
    }
    const all = unframe(await receiver.until((bytes) => unframe(bytes).some((text) => text.includes('build-box:1:4'))))
    assert.ok(all.length > 3)
    await sink.close()
  })

  test('over TLS it speaks to the host of the certificate alone', async () => {
    const { key, cert } = authority.certify('IP:127.0.0.1')
    await using receiver = new StreamReceiver(createTlsServer({ key, cert }))
    const port = await receiver.listen(0)
    const sink = sinkTo({ via: 'tls', host: '127.0.0.1', port, caFile: authority.caFile })
    assert.equal((await sink.deliver(batch, never)).outcome, 'confirmed')
    assert.deepEqual(unframe(await receiver.until((bytes) => bytes.length === framedBytes)), messages)
    await sink.close()
    for (const to of [
      { via: 'tls', host: '127.0.0.1', port, caFile: null },
      { via: 'tls', host: 'localhost', port, caFile: authority.caFile },
    ] as const) {
      const other = sinkTo(to)
      const delivery = await other.deliver(batch, never)
      assert.equal(delivery.outcome, 'unavailable')
      await other.close()
    }
  })

  test('a receiver that is not there, or takes nothing, is waited for', async () => {
    const nowhere = sinkTo({ via: 'tcp', host: '127.0.0.1', port: 1, caFile: null })
    const refused = await nowhere.deliver(batch, never)
    assert.ok(refused.outcome === 'unavailable' && /ECONNREFUSED/.test(refused.reason))
    const absent = sinkTo({ via: 'socket', path: join(directory, 'nothing') })
    const gone = await absent.deliver(batch, never)
    assert.ok(gone.outcome === 'unavailable' && /ENOENT/.test(gone.reason))
    await using receiver = new StreamReceiver(createServer(), { reads: false })
    const port = await receiver.listen(0)
    const full = sinkTo({ via: 'tcp', host: '127.0.0.1', port, caFile: null }, 300)
    const large = Array.from({ length: 400 }, (_, index) => entry(index + 1, { detail: { text: 'x'.repeat(60_000) } }))
    // As long as the kernel has room.
    let outcome: Delivery['outcome'] = 'confirmed'
    while (outcome === 'confirmed') outcome = (await full.deliver(large, never)).outcome
    assert.equal(outcome, 'unavailable')
    await full.close()
  })

  test('a stream socket of this machine gets lines', async () => {
    const path = join(directory, 'stream')
    await using receiver = new StreamReceiver(createServer())
    await receiver.listen(path)
    const sink = sinkTo({ via: 'socket', path })
    assert.equal((await sink.deliver(batch, never)).outcome, 'confirmed')
    const expected = `${messages.join('\n')}\n`
    assert.equal(
      (await receiver.until((bytes) => bytes.length === Buffer.byteLength(expected))).toString('utf8'),
      expected,
    )
    await sink.close()
  })

  test('a datagram socket, which /dev/log is, gets a message each; one that is full is waited for', async () => {
    const path = join(directory, 'log')
    using receiver = new DatagramReceiver(path)
    const sink = sinkTo({ via: 'socket', path })
    assert.equal((await sink.deliver(batch, never)).outcome, 'confirmed')
    assert.deepEqual(
      batch.map(() => receiver.take()),
      messages,
    )
    assert.equal(receiver.take(), null)
    const many = batchOf(1, 400)
    const sending = sink.deliver(many, never)
    const got: string[] = []
    while (got.length < many.length) {
      const message = receiver.take()
      if (message !== null) got.push(message)
      else await wait(1)
    }
    assert.equal((await sending).outcome, 'confirmed')
    assert.deepEqual(
      got,
      many.map((made) => toSyslog(made, renderers.native, process.pid).toString('utf8')),
    )
    const stop = AbortSignal.timeout(50)
    assert.equal((await sink.deliver(many, stop)).outcome, 'unavailable')
    await sink.close()
    const long = join(directory, 'x'.repeat(120))
    assert.throws(() => new UnixDatagram(long), { code: 'ENAMETOOLONG' })
  })
})

/** Node has no such socket. Bound by the C library, as the sink's is connected by it. */
class DatagramReceiver implements Disposable {
  readonly #fd: number
  readonly #recv: (fd: number, bytes: Uint8Array, length: number, flags: number) => number
  readonly #close: (fd: number) => number
  readonly #bytes = Buffer.alloc(128 * 1024)

  constructor(path: string) {
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi')
    const library = koffi.load(null)
    const isMac = process.platform === 'darwin'
    const socket: (domain: number, type: number, protocol: number) => number = library.func('int socket(int, int, int)')
    const bind: (fd: number, address: Uint8Array, length: number) => number = library.func(
      'int bind(int, void *, uint32_t)',
    )
    this.#recv = library.func('intptr_t recv(int, void *, size_t, int)')
    this.#close = library.func('int close(int)')
    const address = Buffer.alloc(2 + (isMac ? 104 : 108))
    if (isMac) address.set([address.length, 1])
    else address[0] = 1
    address.write(path, 2)
    this.#fd = socket(1, 2, 0)
    assert.equal(bind(this.#fd, address, address.length), 0)
  }

  take(): string | null {
    const dontWait = process.platform === 'darwin' ? 0x80 : 0x40
    const length = this.#recv(this.#fd, this.#bytes, this.#bytes.length, dontWait)
    return length < 0 ? null : this.#bytes.subarray(0, length).toString('utf8')
  }

  [Symbol.dispose](): void {
    this.#close(this.#fd)
  }
}
