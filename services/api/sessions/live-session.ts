// One session while its runner or a viewer is connected: takes chunks in, hands them to the recorder, shows them to viewers, and
// knows who drives.

import { driverSchema, sessionExitSchema } from '@teleclaude/core/api.ts'
import { type FromRunner, fromRunnerSchema, type ToRunner } from '@teleclaude/core/link.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { Session, TerminalSize } from '@teleclaude/core/session.ts'
import {
  decodeChunk,
  encodeInput,
  FrameError,
  isLastKind,
  parseGap,
  parseResize,
  snapshotFrameCode,
  type TranscriptChunk,
} from '@teleclaude/core/transcript.ts'
import type { StoreError } from '@teleclaude/store/contract.ts'
import type { RawData, WebSocket } from 'ws'
import { ZodError } from 'zod'
import { TranscriptSeal } from '../audit/transcript-seal.ts'
import { closeWebSocket } from '../streams/close-web-socket.ts'
import { Inflow } from '../streams/inflow.ts'
import type { ChunkSource, Recorder } from './recorder.ts'
import { SnapshotRelay } from './snapshot-relay.ts'
import type { Viewer } from './viewer.ts'

/** A runner that sends more than this beyond what is durable is not read from until the store has caught up. */
const maxPendingBytes = 8 * 1024 * 1024
/** Typed input that waits for a runner to read it. */
const maxUnreadBytes = 1024 * 1024
/** Typed input that waits for a runner to come back. */
const maxTypedAheadBytes = 16 * 1024

export type LiveSessionEvents = {
  recorded(live: LiveSession): void
  /** The program's exit, or that the runner is gone, has been recorded: nothing will follow. */
  lastRecorded(live: LiveSession, chunk: TranscriptChunk): void
  runnerGone(live: LiveSession): void
  /** The runner sent what no runner sends; its connection is being closed. */
  protocolBroken(live: LiveSession, error: Error): void
  told(live: LiveSession, message: FromRunner): void
}

type Runner = { readonly socket: WebSocket; readonly inflow: Inflow }

export class LiveSession implements ChunkSource {
  readonly id: Session['id']
  readonly pending: TranscriptChunk[] = []
  readonly #viewers = new Set<Viewer>()
  readonly snapshots = new SnapshotRelay({
    ask: () => this.tellRunner({ type: 'snapshot' }),
    askForMore: () => this.tellRunner({ type: 'snapshot-more' }),
  })
  readonly seal: TranscriptSeal
  /** Newest chunk received; what is between the durable ones and this is in `pending`. */
  lastSeq: number
  /** Of that one, since the program was started; 0 where none was received yet. */
  newestOffsetUs = 0
  /** Set once nothing more of the session will come, and everything of it is durable. */
  over: Session | null = null
  readonly #recorder: Recorder
  readonly #events: LiveSessionEvents
  #runner: Runner | null = null
  #driver: Viewer | null = null
  /** As the runner was told. */
  #isWatched = false
  #pendingBytes = 0
  #lastReceived = false
  /** Typed while the runner is away. */
  #typedAhead: Buffer = Buffer.alloc(0)
  /** As its runner knows it; null where none has said so yet. */
  terminal: TerminalSize | null = null

  constructor(id: Session['id'], lastSeq: number, recorder: Recorder, events: LiveSessionEvents) {
    this.id = id
    this.lastSeq = lastSeq
    this.seal = new TranscriptSeal(id, lastSeq)
    this.#recorder = recorder
    this.#events = events
  }

  /** One that is being closed takes nothing more. */
  get hasRunner(): boolean {
    return this.#runner !== null && this.#runner.socket.readyState === this.#runner.socket.OPEN
  }

  get viewers(): ReadonlySet<Viewer> {
    return this.#viewers
  }

  addViewer(viewer: Viewer): void {
    this.#viewers.add(viewer)
    this.#tellWatched()
  }

  removeViewer(viewer: Viewer): void {
    this.#viewers.delete(viewer)
    if (this.#driver === viewer) this.setDriver(null)
    this.#tellWatched()
  }

  get driver(): Viewer | null {
    return this.#driver
  }

  /** Hands the wheel over, and says so to everybody and to the record. */
  setDriver(driver: Viewer | null): void {
    if (driver === this.#driver) return
    this.#driver = driver
    // It would count as the next one's.
    this.#typedAhead = Buffer.alloc(0)
    this.#tellDriver()
    for (const viewer of this.#viewers) viewer.wheelMoved()
  }

  /** The newest connection is the runner: an older one is a leftover of the same runner, or an impostor of the same owner. */
  adoptRunner(socket: WebSocket): void {
    this.closeRunner(closeCodes.replaced, 'another runner took this session over')
    const runner = { socket, inflow: new Inflow(socket) }
    this.#runner = runner
    socket.on('message', (data, isBinary) => {
      // What still comes of a connection that is being closed counts for nothing: the runner keeps it, and sends it again.
      if (runner !== this.#runner || socket.readyState !== socket.OPEN) return
      runner.inflow.took()
      this.#receive(runner, data, isBinary)
    })
    socket.on('close', () => {
      if (runner !== this.#runner) return
      this.#runner = null
      this.snapshots.runnerGone()
      this.#events.runnerGone(this)
    })
    runner.inflow.start()
    this.tellRunner({ type: 'welcome', ackedSeq: this.lastSeq - this.pending.length })
    this.#tellDriver()
    this.#isWatched = false
    this.#tellWatched()
    if (this.#typedAhead.length > 0) this.typeIn(this.#typedAhead)
    this.#typedAhead = Buffer.alloc(0)
    this.snapshots.runnerHere()
  }

  tellRunner(message: ToRunner): boolean {
    if (!this.hasRunner) return false
    this.#runner?.socket.send(JSON.stringify(message))
    return true
  }

  /** What is typed faster than it is read is lost beyond some measure, as it is at a terminal (POSIX, 11.1.5). */
  typeIn(bytes: Uint8Array): void {
    if (this.#isRunnerReading()) this.#runner?.socket.send(encodeInput(bytes))
    else if (!this.hasRunner && this.#typedAhead.length + bytes.length <= maxTypedAheadBytes)
      this.#typedAhead = Buffer.concat([this.#typedAhead, bytes])
  }

  resize(size: TerminalSize): void {
    if (this.#isRunnerReading()) this.tellRunner({ type: 'resize', ...size })
  }

  /** Whoever is at both ends could fill the memory of everybody's service otherwise. */
  #isRunnerReading(): boolean {
    return this.hasRunner && (this.#runner?.socket.bufferedAmount ?? 0) <= maxUnreadBytes
  }

  #tellDriver(): void {
    this.tellRunner({ type: 'driver', driver: this.#driver?.who ?? null })
  }

  #tellWatched(): void {
    const watched = [...this.#viewers].some(({ looksOn }) => looksOn)
    if (watched !== this.#isWatched) this.tellRunner({ type: 'watched', watched })
    this.#isWatched = watched
  }

  closeRunner(code: number, reason: string): void {
    if (this.#runner !== null) closeWebSocket(this.#runner.socket, code, reason)
  }

  #receive(runner: Runner, data: RawData, isBinary: boolean): void {
    try {
      // Frames arrive as one Buffer: `ws` only makes other kinds when told to.
      const bytes = data as Buffer
      if (!isBinary) this.#events.told(this, fromRunnerSchema.parse(JSON.parse(bytes.toString('utf8'))))
      else if (bytes[0] === snapshotFrameCode) this.snapshots.relay(bytes)
      else this.#receiveChunk(runner, bytes)
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof ZodError || error instanceof SyntaxError)) throw error
      this.#events.protocolBroken(this, error)
      closeWebSocket(runner.socket, closeCodes.protocolBroken, 'a frame was malformed')
    }
  }

  #receiveChunk({ inflow }: Runner, frame: Buffer): void {
    const chunk = decodeChunk(frame)
    // A runner that reconnected sends again what it saw no acknowledgement for.
    if (chunk.seq <= this.lastSeq) return
    if (chunk.seq !== this.lastSeq + 1) throw new FrameError(`chunk ${chunk.seq} follows ${this.lastSeq}`)
    if (this.#lastReceived) throw new FrameError('a chunk follows the last one')
    requireSense(chunk)
    if (chunk.kind === 'resize') this.terminal = parseResize(chunk.bytes)
    if (isLastKind(chunk.kind)) this.#lastReceived = true
    this.lastSeq = chunk.seq
    this.newestOffsetUs = chunk.offsetUs
    this.pending.push(chunk)
    this.#pendingBytes += chunk.bytes.length
    if (this.#pendingBytes > maxPendingBytes) inflow.hold('not recorded')
    this.#recorder.record(this, chunk)
    for (const viewer of this.#viewers) viewer.offer(chunk, frame)
  }

  committed(seq: number): void {
    let last: TranscriptChunk | null = null
    while (this.pending[0] !== undefined && this.pending[0].seq <= seq) {
      const chunk = this.pending.shift()
      if (chunk === undefined) break
      this.#pendingBytes -= chunk.bytes.length
      this.seal.add(chunk, performance.now())
      if (isLastKind(chunk.kind)) last = chunk
    }
    this.tellRunner({ type: 'ack', seq })
    if (this.#pendingBytes <= maxPendingBytes) this.#runner?.inflow.release('not recorded')
    this.#events.recorded(this)
    if (last !== null) this.#events.lastRecorded(this, last)
  }

  rejected(error: StoreError): void {
    this.pending.length = 0
    this.#pendingBytes = 0
    this.closeRunner(closeCodes.protocolBroken, error.code)
  }
}

/** @throws FrameError, ZodError or SyntaxError for a chunk that is not what its kind says */
function requireSense({ kind, bytes }: TranscriptChunk): void {
  const json = () => JSON.parse(Buffer.from(bytes).toString('utf8'))
  switch (kind) {
    case 'output':
      return
    case 'resize':
      parseResize(bytes)
      return
    case 'exit':
      sessionExitSchema.parse(json())
      return
    case 'driver':
      driverSchema.nullable().parse(json())
      return
    case 'gap':
      parseGap(bytes)
  }
}
