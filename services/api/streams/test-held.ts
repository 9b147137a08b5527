// For tests: connections that other users of the machine hold open, each by a process of theirs. Needs root.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { openCheckout } from '../../../test/support/open-checkout.ts'
import type { Place } from '../test-service.ts'

export type HeldEvent =
  | { readonly what: 'open' }
  | { readonly what: 'refused'; readonly status: number; readonly body: unknown }
  | { readonly what: 'text'; readonly text: string }
  | { readonly what: 'binary'; readonly base64: string }
  | { readonly what: 'closed'; readonly code: number; readonly reason: string }
  /** The end of what was read, whether or not the other side said goodbye: how much that was, and its last 200 bytes. */
  | { readonly what: 'cut'; readonly bytes: number; readonly tail: string }
  | { readonly what: 'complete'; readonly bytes: number }

/** `WebSocket` as any client is; `mute` never says a word after the handshake; `deaf` does not even read, and sends pings;
 *  an `answer` is read no further than its head until it is told to. */
export type HeldKind = 'WebSocket' | 'mute' | 'deaf' | 'answer'

const holdScript = `
  import { request } from 'node:http'
  import { connect } from 'node:net'
  import { createInterface } from 'node:readline'
  const [kind, socketPath, path, protocol, wsModule] = process.argv.slice(1)
  const say = (event) => process.stdout.write(JSON.stringify(event) + '\\n')
  const told = createInterface({ input: process.stdin })
  if (kind === 'WebSocket') {
    const { WebSocket } = await import(wsModule)
    const createConnection = () => connect(socketPath)
    const socket = new WebSocket('ws://x' + path, protocol, { createConnection, perMessageDeflate: false })
    socket.on('open', () => say({ what: 'open' }))
    socket.on('message', (data, isBinary) =>
      say(isBinary ? { what: 'binary', base64: data.toString('base64') } : { what: 'text', text: data.toString() }))
    socket.on('close', (code, reason) => {
      say({ what: 'closed', code, reason: reason.toString() })
      told.close()
    })
    socket.on('error', () => undefined)
    socket.on('unexpected-response', async (_request, response) => {
      let text = ''
      for await (const part of response) text += part
      say({ what: 'refused', status: response.statusCode, body: JSON.parse(text) })
      told.close()
    })
    told.on('line', (line) => socket.send(line.startsWith('{') ? line : Buffer.from(line, 'base64')))
  } else {
    let bytes = 0
    let tail = Buffer.alloc(0)
    const read = (part) => {
      bytes += part.length
      tail = Buffer.concat([tail, part]).subarray(-200)
    }
    const over = (what) => {
      say({ what, bytes, tail: tail.toString('latin1') })
      process.exit(0)
    }
    if (kind === 'answer') {
      request({ socketPath, path }, (response) => {
        say({ what: 'open' })
        response.on('error', () => over('cut'))
        response.on('end', () => over('complete'))
        told.once('line', () => response.on('data', read))
      }).end()
    } else {
      const socket = connect(socketPath)
      const head = ['GET ' + path + ' HTTP/1.1', 'Host: x', 'Connection: Upgrade', 'Upgrade: websocket',
        'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Protocol: ' + protocol,
        'Sec-WebSocket-Key: ' + Buffer.alloc(16).toString('base64'), '', '']
      socket.write(head.join('\\r\\n'))
      socket.on('error', () => over('cut'))
      socket.once('readable', () => {
        say({ what: 'open' })
        if (kind === 'mute') {
          socket.on('data', read)
          socket.on('close', () => over('cut'))
        } else setInterval(() => socket.write(Buffer.from([0x89, 0x80, 0, 0, 0, 0])), 20)
      })
    }
  }`

/** A connection that is held open as that user of the machine, by a process of theirs. */
export class Held implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly seen: HeldEvent[] = []

  private constructor(child: ChildProcess) {
    this.#child = child
    if (child.stdout === null) throw new TypeError('it has no output')
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  /** Resolves once it is open, or refused. */
  static async open(
    kind: HeldKind,
    uid: number,
    place: Pick<Place, 'socket'>,
    { path, protocol = '' }: { readonly path: string; readonly protocol?: string },
  ): Promise<Held> {
    const { node, telec } = openCheckout()
    const wsModule = join(dirname(telec), '../../../node_modules/ws/wrapper.mjs')
    const words = [kind, place.socket, path, protocol, wsModule]
    const child = spawn(node, ['--input-type=module', '-e', holdScript, '--', ...words], {
      uid,
      gid: uid,
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const held = new Held(child)
    await held.next()
    return held
  }

  async next(): Promise<HeldEvent> {
    const line = await this.#lines.next()
    if (line.done) throw new Error(`it is over, after ${JSON.stringify(this.seen)}`)
    const event: HeldEvent = JSON.parse(line.value)
    this.seen.push(event)
    return event
  }

  /** Waits for an event of that kind. */
  async until<What extends HeldEvent['what']>(what: What): Promise<HeldEvent & { readonly what: What }> {
    for (;;) {
      const event = await this.next()
      if (isWhat(event, what)) return event
    }
  }

  /** Waits for a message that says that. */
  async hears(pattern: RegExp): Promise<string> {
    for (;;) {
      const { text } = await this.until('text')
      if (pattern.test(text)) return text
    }
  }

  /** Sends a message, as text or as bytes; tells an answer's reader to read on. */
  send(message: object | Uint8Array): void {
    const line = message instanceof Uint8Array ? Buffer.from(message).toString('base64') : JSON.stringify(message)
    this.#child.stdin?.write(`${line}\n`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

function isWhat<What extends HeldEvent['what']>(event: HeldEvent, what: What): event is HeldEvent & { what: What } {
  return event.what === what
}
