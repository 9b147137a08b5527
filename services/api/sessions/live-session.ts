// One session while its runner or a viewer is connected: takes chunks in, hands them to the recorder, shows them to viewers.

import { sessionExitSchema } from '@teleclaude/core/api.ts'
import { fromRunnerSchema, type ToRunner } from '@teleclaude/core/link.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { Session, TerminalSize } from '@teleclaude/core/session.ts'
import { decodeChunk, encodeInput, FrameError, parseResize, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import type { StoreError } from '@teleclaude/store/contract.ts'
import type { RawData, WebSocket } from 'ws'
import { ZodError } from 'zod'
import { closeWebSocket } from '../streams/close-web-socket.ts'
import type { ChunkSource, Recorder } from './recorder.ts'
import type { Viewer } from './viewer.ts'

/** A runner that sends more than this beyond what is durable is not read from until the store has caught up. */
const maxPendingBytes = 8 * 1024 * 1024
/** Typed input that waits for a runner to read it. */
const maxUnreadBytes = 1024 * 1024

export type LiveSessionEvents = {
  /** The program's exit has been recorded: nothing will follow. */
  exitRecorded(live: LiveSession, exitChunk: TranscriptChunk): void
  runnerGone(live: LiveSession): void
  /** The runner sent what no runner sends; its connection is being closed. */
  protocolBroken(live: LiveSession, error: Error): void
  commandFinished(live: LiveSession, number: number, reason: string | null): void
}

export class LiveSession implements ChunkSource {
  readonly id: Session['id']
  readonly pending: TranscriptChunk[] = []
  readonly viewers = new Set<Viewer>()
  driver: Viewer | null = null
  /** Newest chunk received; what is between the durable ones and this is in `pending`. */
  lastSeq: number
  /** Set once the session has ended and everything of it is durable. */
  ended: Session | null = null
  readonly #recorder: Recorder
  readonly #events: LiveSessionEvents
  #runner: WebSocket | null = null
  #pendingBytes = 0
  #exitReceived = false

  constructor(id: Session['id'], lastSeq: number, recorder: Recorder, events: LiveSessionEvents) {
    this.id = id
    this.lastSeq = lastSeq
    this.#recorder = recorder
    this.#events = events
  }

  /** One that is being closed takes nothing more. */
  get hasRunner(): boolean {
    return this.#runner !== null && this.#runner.readyState === this.#runner.OPEN
  }

  /** The newest connection is the runner: an older one is a leftover of the same runner, or an impostor of the same owner. */
  adoptRunner(socket: WebSocket): void {
    this.closeRunner(closeCodes.replaced, 'another runner took this session over')
    this.#runner = socket
    socket.on('message', (data, isBinary) => {
      // What still comes of a connection that is being closed counts for nothing: the runner keeps it, and sends it again.
      if (socket === this.#runner && socket.readyState === socket.OPEN) this.#receive(socket, data, isBinary)
    })
    socket.on('close', () => {
      if (socket !== this.#runner) return
      this.#runner = null
      this.#events.runnerGone(this)
    })
    socket.resume()
    this.tellRunner({ type: 'welcome', ackedSeq: this.lastSeq - this.pending.length })
  }

  tellRunner(message: ToRunner): boolean {
    if (!this.hasRunner) return false
    this.#runner?.send(JSON.stringify(message))
    return true
  }

  /** What is typed faster than it is read is lost beyond some measure, as it is at a terminal (POSIX, 11.1.5). */
  typeIn(bytes: Uint8Array): void {
    if (this.#isRunnerReading()) this.#runner?.send(encodeInput(bytes))
  }

  resize(size: TerminalSize): void {
    if (this.#isRunnerReading()) this.tellRunner({ type: 'resize', ...size })
  }

  /** Whoever is at both ends could fill the memory of everybody's service otherwise. */
  #isRunnerReading(): boolean {
    return this.#runner !== null && this.#runner.bufferedAmount <= maxUnreadBytes
  }

  closeRunner(code: number, reason: string): void {
    if (this.#runner !== null) closeWebSocket(this.#runner, code, reason)
  }

  #receive(socket: WebSocket, data: RawData, isBinary: boolean): void {
    try {
      // Frames arrive as one Buffer: `ws` only makes other kinds when told to.
      const bytes = data as Buffer
      if (isBinary) this.#receiveChunk(socket, bytes)
      else this.#receiveMessage(bytes.toString('utf8'))
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof ZodError || error instanceof SyntaxError)) throw error
      this.#events.protocolBroken(this, error)
      closeWebSocket(socket, closeCodes.protocolBroken, 'a frame was malformed')
    }
  }

  #receiveMessage(text: string): void {
    const message = fromRunnerSchema.parse(JSON.parse(text))
    this.#events.commandFinished(this, message.number, message.reason)
  }

  #receiveChunk(socket: WebSocket, frame: Buffer): void {
    const chunk = decodeChunk(frame)
    // A runner that reconnected sends again what it saw no acknowledgement for.
    if (chunk.seq <= this.lastSeq) return
    if (chunk.seq !== this.lastSeq + 1) throw new FrameError(`chunk ${chunk.seq} follows ${this.lastSeq}`)
    if (this.#exitReceived) throw new FrameError('a chunk follows the exit')
    if (chunk.kind === 'resize') parseResize(chunk.bytes)
    if (chunk.kind === 'exit') {
      sessionExitSchema.parse(JSON.parse(Buffer.from(chunk.bytes).toString('utf8')))
      this.#exitReceived = true
    }
    this.lastSeq = chunk.seq
    this.pending.push(chunk)
    this.#pendingBytes += chunk.bytes.length
    if (this.#pendingBytes > maxPendingBytes) socket.pause()
    this.#recorder.record(this)
    for (const viewer of this.viewers) viewer.offer(chunk.seq, frame)
  }

  committed(seq: number): void {
    let exitChunk: TranscriptChunk | null = null
    while (this.pending[0] !== undefined && this.pending[0].seq <= seq) {
      const chunk = this.pending.shift()
      if (chunk === undefined) break
      this.#pendingBytes -= chunk.bytes.length
      if (chunk.kind === 'exit') exitChunk = chunk
    }
    this.tellRunner({ type: 'ack', seq })
    if (this.#pendingBytes <= maxPendingBytes) this.#runner?.resume()
    if (exitChunk !== null) this.#events.exitRecorded(this, exitChunk)
  }

  rejected(error: StoreError): void {
    this.pending.length = 0
    this.#pendingBytes = 0
    this.closeRunner(closeCodes.protocolBroken, error.code)
  }
}
