// For tests: connections of another user of the machine, byte for byte, any number of them in one process of theirs. Needs root.

import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'
import { openCheckout } from '../../../test/support/open-checkout.ts'
import type { Place } from '../test-service.ts'

type SocketEvent = { readonly id: number; readonly what: 'open' | 'data' | 'closed'; readonly text: string }

const program = `
  const { connect } = require('node:net')
  const sockets = new Map()
  const say = (id, what, text = '') => process.stdout.write(JSON.stringify({ id, what, text }) + '\\n')
  require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, what, text } = JSON.parse(line)
    if (what === 'write') sockets.get(id).write(text, 'latin1')
    else if (what === 'read') sockets.get(id).resume()
    else if (what === 'close') sockets.get(id).destroy()
    else {
      const socket = connect(process.argv[1])
      sockets.set(id, socket)
      socket.setEncoding('latin1')
      socket.on('connect', () => say(id, 'open'))
      socket.on('data', (text) => say(id, 'data', text))
      if (what === 'open-shy') socket.once('data', () => socket.pause())
      // Closed with something unread, it ends with EPIPE or ECONNRESET: what came before is there.
      socket.on('error', () => undefined)
      socket.on('close', () => say(id, 'closed'))
    }
  })`

/** One process of that user's. */
export class RawSockets implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #events = new EventEmitter()
  #last = 0

  constructor(uid: number, place: Pick<Place, 'socket'>) {
    const child = spawn(openCheckout().node, ['-e', program, '--', place.socket], {
      uid,
      gid: uid,
      cwd: '/',
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#child = child
    this.#events.setMaxListeners(0)
    createInterface({ input: child.stdout }).on('line', (line) => {
      const event: SocketEvent = JSON.parse(line)
      this.#events.emit(String(event.id), event)
    })
  }

  /** A connection as the kernel makes it: the service may not have taken it in yet. One that is shy reads the first that comes, and
   *  then nothing until it is told to. */
  async open({ isShy = false } = {}): Promise<RawSocket> {
    this.#last += 1
    const id = this.#last
    const socket = new RawSocket(this.#events, id, (what, text = '') => this.#tell(id, what, text))
    this.#tell(id, isShy ? 'open-shy' : 'open', '')
    await socket.opened
    return socket
  }

  /** Opens a connection and sends the text. Resolves with all that comes back until it is closed. */
  async exchange(text: string): Promise<string> {
    const socket = await this.open()
    socket.write(text)
    return socket.closed
  }

  #tell(id: number, what: string, text: string): void {
    this.#child.stdin?.write(`${JSON.stringify({ id, what, text })}\n`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

export class RawSocket {
  readonly #tell: (what: 'write' | 'read' | 'close', text?: string) => void
  readonly #events: EventEmitter
  readonly #id: string
  /** All that has come so far. */
  heard = ''
  readonly opened: Promise<void>
  /** With all that has come. */
  readonly closed: Promise<string>

  constructor(events: EventEmitter, id: number, tell: (what: 'write' | 'read' | 'close', text?: string) => void) {
    this.#events = events
    this.#id = String(id)
    this.#tell = tell
    const opened = Promise.withResolvers<void>()
    const closed = Promise.withResolvers<string>()
    this.opened = opened.promise
    this.closed = closed.promise
    events.on(this.#id, ({ what, text }: SocketEvent) => {
      if (what === 'open') opened.resolve()
      else if (what === 'data') this.heard += text
      else closed.resolve(this.heard)
    })
  }

  write(text: string): void {
    this.#tell('write', text)
  }

  read(): void {
    this.#tell('read')
  }

  close(): Promise<string> {
    this.#tell('close')
    return this.closed
  }

  /** Waits until that has come. Throws where the connection is closed without it. */
  async hears(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.heard)) {
      const outcome = await Promise.race([once(this.#events, this.#id), this.closed.then(() => 'closed' as const)])
      if (outcome === 'closed' && !pattern.test(this.heard)) throw new Error(`it was closed after: ${this.heard}`)
    }
    return this.heard
  }
}
