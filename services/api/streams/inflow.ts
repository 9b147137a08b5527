// How fast one WebSocket is read from: not while something waits for what it sent before, and not faster than anybody needs.

import type { WebSocket } from 'ws'
import { TokenBucket } from '../limits/token-bucket.ts'

/** A terminal that shows all that a program prints as fast as it can be recorded is at some 1,500. */
const messagesPerSecond = 5_000

export class Inflow {
  readonly #socket: WebSocket
  readonly #held = new Set<string>()
  readonly #bucket = new TokenBucket()
  #isStarted = false

  constructor(socket: WebSocket) {
    this.#socket = socket
  }

  start(): void {
    this.#isStarted = true
    if (this.#held.size === 0) this.#socket.resume()
  }

  hold(why: string): void {
    this.#held.add(why)
    this.#socket.pause()
  }

  release(why: string): void {
    this.#held.delete(why)
    if (this.#held.size === 0 && this.#isStarted) this.#socket.resume()
  }

  /** A message has come. */
  took(): void {
    const nowMs = performance.now()
    this.#bucket.take(1, messagesPerSecond, nowMs)
    const waitMs = this.#bucket.waitMs(messagesPerSecond, nowMs)
    if (waitMs === 0) return
    this.hold('too fast')
    setTimeout(() => this.release('too fast'), waitMs).unref()
  }
}
