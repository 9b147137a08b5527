// Sink: syslog, over the machine's own socket, TCP or TLS. Nothing in that protocol says that a message has arrived: what is here
// was sent, and the sink says so.

import { readFile } from 'node:fs/promises'
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { SinkConfig } from '@teleclaude/config/sinks.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { describeFailure } from './https-post.ts'
import type { RenderEntry } from './render.ts'
import { confirmed, type Delivery, refused, type Sink, unavailable } from './sink.ts'
import { frame, toSyslog } from './syslog-format.ts'
import { DatagramError, UnixDatagram } from './unix-datagram.ts'

export type SyslogTarget = Extract<SinkConfig, { kind: 'syslog' }>['to']

export type SyslogOptions = {
  readonly name: string
  readonly to: SyslogTarget
  readonly render: RenderEntry
  readonly timeoutMs?: number
}

/** Something that messages go into. */
interface Connection {
  /** What was sent last may be lost with it. */
  readonly isBroken: boolean
  /** @throws Error */
  send(messages: readonly Buffer[], stop: AbortSignal): Promise<void>
  close(): void
}

export class SyslogSink implements Sink {
  readonly name: string
  readonly confirms = false
  readonly limit = { maxEntries: 500, maxBytes: 1024 * 1024 }
  readonly maxPauseMs = 60_000
  readonly #options: SyslogOptions
  #connection: Connection | null = null
  /** Sent on the connection that there is: sent again where that turns out to have been broken. */
  #last: readonly Buffer[] = []

  constructor(options: SyslogOptions) {
    this.name = options.name
    this.#options = options
  }

  async deliver(batch: readonly StoredAuditEntry[], stop: AbortSignal): Promise<Delivery> {
    const messages = batch.map((entry) => toSyslog(entry, this.#options.render, process.pid))
    const signal = AbortSignal.any([stop, AbortSignal.timeout(this.#options.timeoutMs ?? 15_000)])
    try {
      if (this.#connection?.isBroken) this.#drop()
      if (this.#connection === null) {
        this.#connection = await open(this.#options.to, signal)
        await this.#connection.send(this.#last, signal)
      }
      await this.#connection.send(messages, signal)
      this.#last = messages
      return confirmed
    } catch (error) {
      // Of one entry, which is then the one that does not fit; otherwise bisection finds it.
      if (error instanceof DatagramError && error.code === 'EMSGSIZE') return refused(error.message)
      this.#drop()
      return unavailable(signal.aborted ? 'it takes nothing more' : describeFailure(error))
    }
  }

  #drop(): void {
    this.#connection?.close()
    this.#connection = null
  }

  async close(): Promise<void> {
    this.#drop()
  }
}

async function open(to: SyslogTarget, signal: AbortSignal): Promise<Connection> {
  if (to.via !== 'socket') return new StreamConnection(await openStream(to, signal), frame)
  try {
    return new DatagramConnection(new UnixDatagram(to.path))
  } catch (error) {
    // It is a stream socket: messages end with a newline there, as syslog(3) has it.
    if (!(error instanceof DatagramError && error.code === 'EPROTOTYPE')) throw error
    return new StreamConnection(await connected(connectPlain({ path: to.path }), 'connect', signal), withNewline)
  }
}

async function openStream(to: Exclude<SyslogTarget, { via: 'socket' }>, signal: AbortSignal): Promise<Socket> {
  const { host, port, caFile } = to
  if (to.via === 'tcp') return connected(connectPlain({ host, port }), 'connect', signal)
  const ca = caFile === null ? {} : { ca: await readFile(caFile) }
  // SNI takes names only (RFC 6066, section 3); the certificate has to be that of the host either way.
  const name = isIP(host) === 0 ? { servername: host } : {}
  return connected(connectTls({ host, port, minVersion: 'TLSv1.2', ...name, ...ca }), 'secureConnect', signal)
}

function connected(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>()
  const onAbort = () => socket.destroy(new Error('it does not answer'))
  signal.addEventListener('abort', onAbort)
  socket.once(event, () => resolve(socket))
  socket.once('error', reject)
  socket.once('close', () => reject(new Error('the connection was closed')))
  return promise.finally(() => signal.removeEventListener('abort', onAbort))
}

function withNewline(message: Buffer): Buffer {
  return Buffer.concat([message, Buffer.of(10)])
}

class DatagramConnection implements Connection {
  readonly isBroken = false
  readonly #socket: UnixDatagram

  constructor(socket: UnixDatagram) {
    this.#socket = socket
  }

  async send(messages: readonly Buffer[], stop: AbortSignal): Promise<void> {
    for (const message of messages) await this.#socket.send(message, stop)
  }

  close(): void {
    this.#socket.close()
  }
}

class StreamConnection implements Connection {
  readonly #socket: Socket
  readonly #toFrame: (message: Buffer) => Buffer
  isBroken = false

  constructor(socket: Socket, toFrame: (message: Buffer) => Buffer) {
    this.#socket = socket
    this.#toFrame = toFrame
    const breaks = () => {
      this.isBroken = true
    }
    socket.on('error', breaks)
    socket.on('end', breaks)
    socket.on('close', breaks)
    // A receiver has nothing to say; its end is only seen by who reads.
    socket.resume()
    socket.setKeepAlive(true, 10_000)
  }

  /** Resolves when the kernel has taken all of it. */
  async send(messages: readonly Buffer[], stop: AbortSignal): Promise<void> {
    if (messages.length === 0) return
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => reject(new Error('it takes nothing more'))
    stop.addEventListener('abort', onAbort)
    const onClose = () => reject(new Error('the connection broke'))
    this.#socket.once('close', onClose)
    this.#socket.write(Buffer.concat(messages.map(this.#toFrame)), (error) => {
      if (error) reject(error)
      else resolve()
    })
    try {
      await promise
    } finally {
      stop.removeEventListener('abort', onAbort)
      this.#socket.off('close', onClose)
    }
  }

  close(): void {
    this.#socket.destroy()
  }
}
