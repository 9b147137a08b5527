// The runner's connection to the API: sends chunks in order, from the spool where it fell behind, and comes back by itself
// after every break, from the last sequence that the service has durably.

import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client, ConnectionError } from '@teleclaude/client/client.ts'
import type { FromRunner, ToRunner } from '@teleclaude/core/link.ts'
import { closeCodes, runnerProtocol } from '@teleclaude/core/protocol.ts'
import { inputFrameCode } from '@teleclaude/core/transcript.ts'
import type { WebSocket } from 'ws'
import type { Spool } from './spool.ts'

/** Sent and not yet acknowledged at most this much, so that a slow service is not drowned. */
const windowBytes = 4 * 1024 * 1024
const firstRetryMs = 100
const maxRetryMs = 1_000

export type LinkEvents = {
  /** Connected for the first time. */
  ready(): void
  input(bytes: Buffer): void
  message(message: Extract<ToRunner, { type: 'resize' | 'command' }>): void
  /** The service will not take anything more of this session, ever. `reason` is null where it simply has all of it. */
  finished(reason: string | null): void
}

export class RunnerLink {
  readonly #client: Client
  readonly #sessionId: string
  readonly #spool: Spool
  readonly #events: LinkEvents
  readonly #inFlight: { readonly seq: number; readonly bytes: number }[] = []
  #inFlightBytes = 0
  #socket: WebSocket | null = null
  #newestSeq = 0
  #sentSeq = 0
  #welcomed = false
  #finished = false

  constructor(client: Client, sessionId: string, spool: Spool, events: LinkEvents) {
    this.#client = client
    this.#sessionId = sessionId
    this.#spool = spool
    this.#events = events
  }

  /** Keeps the connection up until the session is finished. */
  async run(): Promise<void> {
    let retryMs = firstRetryMs
    while (!this.#finished) {
      try {
        await this.#connectOnce()
        retryMs = firstRetryMs
      } catch (error) {
        if (error instanceof AnswerError && error.problem.status < 500) {
          this.#finish(error.message)
          return
        }
        if (!(error instanceof AnswerError || error instanceof ConnectionError)) throw error
        retryMs = Math.min(maxRetryMs, retryMs * 2)
      }
      if (!this.#finished) await delay(retryMs)
    }
  }

  /** The chunk is in the spool already. */
  send(seq: number, frame: Uint8Array): void {
    this.#newestSeq = seq
    if (this.#socket === null || this.#sentSeq !== seq - 1 || this.#inFlightBytes > windowBytes) return
    this.#transmit(this.#socket, seq, frame)
  }

  tell(message: FromRunner): void {
    this.#socket?.send(JSON.stringify(message))
  }

  async #connectOnce(): Promise<void> {
    const socket = await this.#client.openStream(`/v1/sessions/${this.#sessionId}/runner`, runnerProtocol)
    await new Promise<void>((resolve) => {
      socket.on('message', (data, isBinary) => {
        const bytes = data as Buffer
        if (isBinary) {
          if (bytes[0] === inputFrameCode) this.#events.input(bytes.subarray(1))
        } else this.#receive(socket, JSON.parse(bytes.toString('utf8')) as ToRunner)
      })
      socket.on('close', (code, reason) => {
        this.#socket = null
        if (code === closeCodes.ended) this.#finish(null)
        if (code === closeCodes.replaced || code === closeCodes.protocolBroken) this.#finish(reason.toString('utf8'))
        resolve()
      })
      socket.resume()
    })
  }

  #receive(socket: WebSocket, message: ToRunner): void {
    switch (message.type) {
      case 'welcome':
        this.#socket = socket
        this.#inFlight.length = 0
        this.#inFlightBytes = 0
        this.#sentSeq = message.ackedSeq
        this.#spool.acknowledge(message.ackedSeq)
        this.#pump()
        if (!this.#welcomed) {
          this.#welcomed = true
          this.#events.ready()
        }
        return
      case 'ack':
        while (this.#inFlight[0] !== undefined && this.#inFlight[0].seq <= message.seq) {
          this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0
        }
        this.#spool.acknowledge(message.seq)
        this.#pump()
        return
      default:
        this.#events.message(message)
    }
  }

  /** Sends from the spool what the window allows. */
  #pump(): void {
    while (this.#socket !== null && this.#sentSeq < this.#newestSeq && this.#inFlightBytes <= windowBytes) {
      const seq = this.#sentSeq + 1
      const frame = this.#spool.read(seq)
      if (frame === null) {
        this.#finish(`the spool has lost chunk ${seq}`)
        return
      }
      this.#transmit(this.#socket, seq, frame)
    }
  }

  #transmit(socket: WebSocket, seq: number, frame: Uint8Array): void {
    this.#sentSeq = seq
    this.#inFlight.push({ seq, bytes: frame.length })
    this.#inFlightBytes += frame.length
    socket.send(frame)
  }

  #finish(reason: string | null): void {
    if (this.#finished) return
    this.#finished = true
    this.#socket?.close()
    this.#events.finished(reason)
  }
}
