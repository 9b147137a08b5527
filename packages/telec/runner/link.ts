// The runner's connection to the API: sends chunks in order, from the spool where it fell behind, and comes back by itself
// after every break, from the last sequence that the service has durably. Where it is not let in any more it goes on trying: an
// admin's slip must not cost everybody their work.

import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client, ConnectionError } from '@teleclaude/client/client.ts'
import type { FromRunner, ToRunner } from '@teleclaude/core/link.ts'
import { closeCodes, runnerProtocol } from '@teleclaude/core/protocol.ts'
import { inputFrameCode } from '@teleclaude/core/transcript.ts'
import type { WebSocket } from 'ws'
import { Pace } from './pace.ts'
import { type Spool, SpoolError, type SpoolReader } from './spool.ts'

/** Sent and not yet acknowledged at most this much, so that a slow service is not drowned. */
const windowBytes = 4 * 1024 * 1024
/** How often it is looked whether more may be sent. */
const paceMs = 25
const firstRetryMs = 100
const maxRetryMs = 1_000
const maxRefusedRetryMs = 5_000
/** How long a service that is busy has to let a session begin. */
const firstPatienceMs = 10_000

/** What is not about the connection itself. */
export type RunnerMessage = Exclude<ToRunner, { type: 'welcome' | 'ack' | 'watched' }>

/** What became of a session's connection. */
export type LinkEnd =
  /** The service has everything. */
  | { readonly kind: 'complete' }
  /** Who runs it may not any more: what the service does not have is in the spool. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** The service will not take anything more of this session, ever. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Nobody answered for as long as whoever asked cared to wait. */
  | { readonly kind: 'away'; readonly reason: string }

export type LinkEvents = {
  /** Connected for the first time; the service has everything up to `ackedSeq`. */
  ready(ackedSeq: number): void
  /** Each time that it is connected. */
  connected(): void
  /** Connected, disconnected, or something was acknowledged. */
  progressed(): void
  input(bytes: Buffer): void
  message(message: RunnerMessage): void
  /** Not let in any more for as long as that can be borne. It is tried on until `giveUp`. */
  refusedForGood(reason: string): void
}

export class RunnerLink {
  readonly #client: Client
  readonly #sessionId: string
  readonly #spool: Spool
  readonly #reader: SpoolReader
  readonly #events: LinkEvents
  readonly #refusedGraceMs: number
  readonly #recovery: boolean
  readonly #end = Promise.withResolvers<LinkEnd>()
  readonly #inFlight: { readonly seq: number; readonly bytes: number }[] = []
  /** What there was to tell while the service was away. */
  readonly #untold: FromRunner[] = []
  #inFlightBytes = 0
  /** Of this session's frames so far, and of those among them that are sent or acknowledged. */
  #newestBytes = 0
  #sentBytes = 0
  readonly #pace = new Pace()
  #paceTimer: NodeJS.Timeout | undefined
  #socket: WebSocket | null = null
  #newestSeq: number
  #sentSeq = 0
  #welcomed = false
  #refusal: { readonly reason: string; readonly sinceMs: number; readonly isForGood: boolean } | null = null
  #isOver = false

  /** @param refusedGraceMs how long a session that was let in before goes on without being let in
   *  @param newestSeq newest chunk of a spool that is there already
   *  @param recovery whether its program does not run any more */
  constructor(
    client: Client,
    sessionId: string,
    spool: Spool,
    {
      refusedGraceMs,
      newestSeq = 0,
      recovery = false,
      ...events
    }: LinkEvents & {
      readonly refusedGraceMs: number
      readonly newestSeq?: number
      readonly recovery?: boolean
    },
  ) {
    this.#newestSeq = newestSeq
    this.#client = client
    this.#sessionId = sessionId
    this.#spool = spool
    this.#reader = spool.reader()
    this.#events = events
    this.#refusedGraceMs = refusedGraceMs
    this.#recovery = recovery
  }

  /** Keeps the connection up, to the end of the session. */
  run(): Promise<LinkEnd> {
    this.#keepUp().catch(this.#end.reject)
    return this.#end.promise
  }

  /** The program has ended, and who is not let in now has nothing to wait for. */
  giveUpIfRefused(): void {
    if (this.#refusal?.isForGood) this.#finish({ kind: 'refused', reason: this.#refusal.reason })
  }

  /** Whether the service is here and takes chunks. */
  get isConnected(): boolean {
    return this.#socket !== null
  }

  /** It is not waited for any longer. */
  giveUp(): void {
    this.#finish({ kind: 'away', reason: 'the service does not answer, or takes nothing' })
  }

  async #keepUp(): Promise<void> {
    const startMs = performance.now()
    let retryMs = firstRetryMs
    while (!this.#isOver) {
      let maxMs = maxRetryMs
      const outcome = await this.#connectOnce()
      if (this.#isOver) return
      switch (outcome.kind) {
        case 'over':
          this.#finish(outcome.end)
          return
        case 'broke':
          retryMs = firstRetryMs
          break
        case 'refused':
          // At the beginning there is nothing to lose yet, and a person who waits.
          if (!this.#welcomed) {
            this.#finish({ kind: 'failed', reason: outcome.reason })
            return
          }
          this.#refused(outcome.reason)
          maxMs = maxRefusedRetryMs
          break
        case 'busy':
          if (!this.#welcomed && performance.now() - startMs > firstPatienceMs) {
            this.#finish({ kind: 'failed', reason: outcome.reason })
            return
          }
          break
        case 'away':
          break
      }
      await delay(retryMs)
      retryMs = Math.min(maxMs, retryMs * 2)
    }
  }

  /** Ended at an answer, and not by the clock alone: a service that is down to be mended refuses nobody. */
  #refused(reason: string): void {
    const sinceMs = this.#refusal?.sinceMs ?? performance.now()
    const isForGood = performance.now() - sinceMs >= this.#refusedGraceMs
    const wasForGood = this.#refusal?.isForGood ?? false
    this.#refusal = { reason, sinceMs, isForGood }
    if (isForGood && !wasForGood) this.#events.refusedForGood(reason)
  }

  /** The chunk is in the spool already, and its bytes are the caller's. */
  send(seq: number, frame: Uint8Array): void {
    this.#newestSeq = seq
    this.#newestBytes += frame.length
    this.#pace.printed(performance.now())
    if (this.#socket === null || this.#sentSeq !== seq - 1 || !this.#maySend()) return
    this.#transmit(this.#socket, seq, Buffer.from(frame))
  }

  #maySend(): boolean {
    if (this.#inFlightBytes > windowBytes) return false
    if (this.#pace.allows(this.#newestBytes - this.#sentBytes, performance.now())) return true
    this.#paceTimer ??= setTimeout(() => {
      this.#paceTimer = undefined
      this.#pump()
    }, paceMs)
    return false
  }

  /** While the service is away it is kept, and told when it is back. */
  tell(message: FromRunner): void {
    if (this.#socket === null) this.#untold.push(message)
    else this.#socket.send(JSON.stringify(message))
  }

  async #connectOnce(): Promise<Attempt> {
    try {
      return await this.#connect()
    } catch (error) {
      if (error instanceof ConnectionError) return { kind: 'away' }
      if (!(error instanceof AnswerError)) throw error
      const reason = error.message
      if (error.problem.status >= 500) return { kind: 'away' }
      switch (error.problem.code) {
        case 'too-many-requests':
        // It was stopped in the middle of asking.
        case 'too-slow':
          return { kind: 'busy', reason }
        // A session that was there is not anybody's to find who is not its owner any more.
        case 'not-permitted':
        case 'not-found':
          return { kind: 'refused', reason }
        default:
          return { kind: 'over', end: { kind: 'failed', reason } }
      }
    }
  }

  async #connect(): Promise<Attempt> {
    const socket = await this.#client.openStream(`/v1/sessions/${this.#sessionId}/runner`, runnerProtocol, {
      recovery: this.#recovery ? 'true' : undefined,
    })
    return new Promise((resolve) => {
      socket.on('message', (data, isBinary) => {
        const bytes = data as Buffer
        if (isBinary) {
          if (bytes[0] === inputFrameCode) this.#events.input(bytes.subarray(1))
        } else this.#receive(socket, JSON.parse(bytes.toString('utf8')) as ToRunner)
      })
      socket.on('close', (code, reason) => {
        this.#socket = null
        this.#events.progressed()
        resolve(attemptOf(code, reason.toString('utf8')))
      })
      socket.resume()
    })
  }

  #receive(socket: WebSocket, message: ToRunner): void {
    switch (message.type) {
      case 'welcome':
        this.#socket = socket
        this.#refusal = null
        this.#pace.isWatched = false
        for (const { seq, bytes } of this.#inFlight) if (seq > message.ackedSeq) this.#sentBytes -= bytes
        this.#inFlight.length = 0
        this.#inFlightBytes = 0
        this.#sentSeq = message.ackedSeq
        this.#spool.acknowledge(message.ackedSeq)
        this.#events.connected()
        for (const untold of this.#untold.splice(0)) this.tell(untold)
        this.#pump()
        this.#events.progressed()
        if (!this.#welcomed) {
          this.#welcomed = true
          this.#events.ready(message.ackedSeq)
        }
        return
      case 'ack':
        while (this.#inFlight[0] !== undefined && this.#inFlight[0].seq <= message.seq) {
          this.#inFlightBytes -= this.#inFlight.shift()?.bytes ?? 0
        }
        this.#spool.acknowledge(message.seq)
        this.#pump()
        this.#events.progressed()
        return
      case 'watched':
        this.#pace.isWatched = message.watched
        this.#pump()
        return
      default:
        this.#events.message(message)
    }
  }

  /** What is not recorded: lost where the service is away. */
  sendNow(frame: Uint8Array): void {
    this.#socket?.send(frame)
  }

  /** Sends from the spool what the window allows. */
  #pump(): void {
    while (this.#socket !== null && this.#sentSeq < this.#newestSeq && this.#maySend()) {
      const seq = this.#sentSeq + 1
      const frame = this.#readSpool(seq)
      if (typeof frame === 'string') {
        this.#finish({ kind: 'failed', reason: frame })
        return
      }
      this.#transmit(this.#socket, seq, frame)
    }
  }

  /** The frame, or why it is not there. */
  #readSpool(seq: number): Buffer | string {
    try {
      return this.#reader.read(seq) ?? `the spool has lost chunk ${seq}`
    } catch (error) {
      if (error instanceof SpoolError) return error.message
      throw error
    }
  }

  #transmit(socket: WebSocket, seq: number, frame: Uint8Array): void {
    this.#sentSeq = seq
    this.#inFlight.push({ seq, bytes: frame.length })
    this.#inFlightBytes += frame.length
    this.#sentBytes += frame.length
    this.#pace.passedOn(frame.length)
    socket.send(frame)
  }

  #finish(end: LinkEnd): void {
    this.#isOver = true
    clearTimeout(this.#paceTimer)
    this.#socket?.close()
    this.#end.resolve(end)
  }
}

/** What came of one connection, or of asking for one. */
type Attempt =
  | { readonly kind: 'over'; readonly end: LinkEnd }
  | { readonly kind: 'refused' | 'busy'; readonly reason: string }
  | { readonly kind: 'away' | 'broke' }

function attemptOf(code: number, reason: string): Attempt {
  switch (code) {
    case closeCodes.ended:
      return { kind: 'over', end: { kind: 'complete' } }
    case closeCodes.replaced:
    case closeCodes.protocolBroken:
      return { kind: 'over', end: { kind: 'failed', reason } }
    case closeCodes.notPermitted:
      return { kind: 'refused', reason }
    default:
      return { kind: 'broke' }
  }
}
