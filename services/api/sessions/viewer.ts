// One connection that looks at a session. Where it wants the record, it first reads what is recorded, then follows live; where it
// can't keep up it goes back to reading, and misses nothing. Where it wants the screen, a snapshot stands for what it has missed.
// Either way a slow viewer costs neither memory nor the session anything.

import type { SessionView } from '@teleclaude/core/api.ts'
import { fromViewerSchema, type ToViewer } from '@teleclaude/core/link.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { Driver, Session } from '@teleclaude/core/session.ts'
import { decodeSnapshotPart, encodeChunk, inputFrameCode, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { WebSocket } from 'ws'
import { ZodError } from 'zod'
import type { Content } from '../access/content-gate.ts'
import { closeWebSocket } from '../streams/close-web-socket.ts'
import { Inflow } from '../streams/inflow.ts'
import type { LiveSession } from './live-session.ts'
import type { SnapshotTaker } from './snapshot-relay.ts'

const maxBufferedBytes = 1024 * 1024
/** Between two snapshots of one viewer: each costs its session's runner some time. */
const snapshotPaceMs = 500
/** Who wants the screen and is behind by more chunks than this, and by more time, gets a snapshot: a fast terminal catches up with a
 *  burst sooner than that, and a slow one is not shown for long what is over. */
const maxBehind = 32
const maxLagUs = 1_000_000
/** So many chunks that are not recorded yet are sent at once to who has everything before. */
const maxJoining = 16
/** A runner that does not answer is no reason to show nothing. */
const snapshotPatienceMs = 10_000

export type ViewerOptions = {
  readonly socket: WebSocket
  readonly live: LiveSession
  readonly who: Driver
  /** What it may be shown: all of it goes out by this. */
  readonly content: Content
  /** Who else has the session open, to be said to its owner. */
  readonly opened: () => readonly AccessNote[]
  readonly show: 'record' | 'screen'
  /** Null: of what is there, the screen alone. */
  readonly afterSeq: number | null
  /** The session, where it was not going on any more when the viewer came. */
  readonly over: Session | null
  readonly view: (session: Session) => SessionView
}

export type AccessNote = ToViewer & { readonly type: 'access' }

/** What the viewer gets now. */
type Phase = 'reading' | 'following' | 'awaiting a snapshot' | 'ended'

export class Viewer implements SnapshotTaker {
  readonly who: Driver
  readonly #options: ViewerOptions
  readonly #socket: WebSocket
  readonly #live: LiveSession
  readonly #inflow: Inflow
  #seenSeq: number
  #phase: Phase = 'reading'
  #askedMs = Number.NEGATIVE_INFINITY
  /** Asked for while it was read, to be had after that. */
  #wantsSnapshot = false
  #timer: NodeJS.Timeout | undefined
  /** Why nothing more will come. */
  #over: Session | null

  constructor(options: ViewerOptions) {
    this.#options = options
    this.who = options.who
    this.#socket = options.socket
    this.#live = options.live
    this.#inflow = new Inflow(options.socket)
    this.#over = options.over
    // Of a session that is over, there is no screen: who wants it is told of the end, and reads the transcript.
    this.#seenSeq = options.afterSeq ?? (options.over === null ? 0 : options.live.lastSeq)
    this.#socket.on('message', (data, isBinary) => {
      this.#inflow.took()
      this.#receive(data as Buffer, isBinary)
    })
    this.#socket.on('close', () => {
      clearTimeout(this.#timer)
      this.#live.snapshots.forget(this)
    })
  }

  /** Not so who has asked for what comes after all that there can be: they read it elsewhere. */
  get looksOn(): boolean {
    return this.#options.afterSeq !== Number.MAX_SAFE_INTEGER
  }

  /** Shows the session until it ends or the connection does. */
  async start(session: Session): Promise<void> {
    this.#inflow.start()
    const view = this.#options.view(session)
    const terminal = this.#live.terminal ?? view.terminal
    this.#tell({ type: 'welcome', session: { ...view, terminal }, ...this.#wheel() })
    for (const note of this.#options.opened()) this.#tell(note)
    if (this.#options.afterSeq === null && this.#over === null) this.#awaitSnapshot()
    else await this.#catchUp()
  }

  wheelMoved(): void {
    this.#tell({ type: 'wheel', ...this.#wheel() })
  }

  /** Somebody else has opened the session, or does not have it open any more. */
  note(note: AccessNote): void {
    if (this.#phase !== 'ended' && this.#socket.readyState === this.#socket.OPEN) this.#tell(note)
  }

  /** A chunk has arrived; `frame` carries it. */
  offer(chunk: TranscriptChunk, frame: Uint8Array): void {
    if (this.#phase !== 'following' || chunk.seq <= this.#seenSeq) return
    if (this.#socket.bufferedAmount > maxBufferedBytes) {
      this.#readOn()
      return
    }
    this.#seenSeq = chunk.seq
    this.#count(chunk)
    this.#socket.send(frame)
  }

  takePart(frame: Uint8Array): Promise<void> {
    const { seq, bytes } = decodeSnapshotPart(frame)
    this.#options.content.sending(seq, bytes.length)
    return this.#sendAndWait(frame)
  }

  leftBehind(): void {
    if (this.#phase === 'awaiting a snapshot') this.#cutOver()
  }

  takeEnd(seq: number): void {
    clearTimeout(this.#timer)
    if (this.#phase !== 'awaiting a snapshot') return
    this.#seenSeq = seq
    this.#readOn()
  }

  /** The session has ended, or is lost: says so once everything before was shown. */
  finish(session: Session): void {
    this.#over = session
    if (this.#phase === 'following') this.#end(session)
    // No runner will come that could answer. Of what would have been in the snapshot, the last is in the record.
    else if (this.#phase === 'awaiting a snapshot') {
      clearTimeout(this.#timer)
      this.#seenSeq = Math.max(this.#seenSeq, this.#live.lastSeq - maxBehind)
      this.#readOn()
    }
  }

  close(code: number, reason: string): void {
    closeWebSocket(this.#socket, code, reason)
  }

  /** Says nothing more until everything that was sent has been taken, and then shows the screen as it is by then. */
  #cutOver(): void {
    this.#phase = 'awaiting a snapshot'
    clearTimeout(this.#timer)
    void this.#untilTaken().then(() => {
      if (this.#socket.readyState === this.#socket.OPEN && this.#phase === 'awaiting a snapshot') this.#awaitSnapshot()
    })
  }

  /** A frame behind all others: it is sent when they are. */
  #untilTaken(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping(undefined, undefined, () => resolve())
      else resolve()
    })
  }

  #awaitSnapshot(): void {
    this.#phase = 'awaiting a snapshot'
    this.#wantsSnapshot = false
    this.#requestSnapshot()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#live.snapshots.forget(this)
      this.#readOn()
    }, snapshotPatienceMs)
  }

  /** Not more often than anybody looks. */
  #requestSnapshot(): void {
    const waitMs = this.#askedMs + snapshotPaceMs - performance.now()
    if (waitMs <= 0) {
      this.#askedMs = performance.now()
      this.#live.snapshots.request(this)
      return
    }
    setTimeout(() => {
      if (this.#socket.readyState !== this.#socket.OPEN) return
      this.#askedMs = performance.now()
      this.#live.snapshots.request(this)
    }, waitMs).unref()
  }

  #readOn(): void {
    this.#phase = 'reading'
    this.#catchUp().catch((error: unknown) => {
      if (!(error instanceof StoreError)) throw error
      // The viewer comes back by itself, and goes on where it was.
      this.close(1011, 'what was recorded could not be read')
    })
  }

  async #catchUp(): Promise<void> {
    // What was sent before has to be taken first: else a viewer that takes nothing would be sent more and more.
    await this.#untilTaken()
    while (this.#socket.readyState === this.#socket.OPEN) {
      const page = await this.#options.content.read(this.#seenSeq)
      const next = page.length > 0 ? page : this.#unrecorded()
      if (next.length === 0 && this.#joinLive()) return
      let shownUs = 0
      for (const chunk of next) {
        this.#seenSeq = chunk.seq
        shownUs = chunk.offsetUs
        this.#count(chunk)
        await this.#sendAndWait(encodeChunk(chunk))
      }
      if (next.length > 0 && this.#isFarBehind(shownUs)) {
        this.#awaitSnapshot()
        return
      }
    }
  }

  /** What has arrived and is not committed, where it is too much to be sent at once and follows what was seen. */
  #unrecorded(): readonly TranscriptChunk[] {
    const { pending } = this.#live
    const ahead = pending.filter(({ seq }) => seq > this.#seenSeq)
    return ahead.length > maxJoining && ahead[0]?.seq === this.#seenSeq + 1 ? ahead : []
  }

  #isFarBehind(shownUs: number): boolean {
    if (this.#options.show === 'record' || !this.#live.hasRunner) return false
    const { lastSeq, newestOffsetUs } = this.#live
    return lastSeq - this.#seenSeq > maxBehind && newestOffsetUs - shownUs > maxLagUs
  }

  /** From here to the end of the function nothing else runs: no chunk can be committed or arrive in between. */
  #joinLive(): boolean {
    const { pending, lastSeq, over } = this.#live
    const firstUnread = pending[0]?.seq ?? lastSeq + 1
    // A commit has come between the read and now: read on.
    if (this.#seenSeq + 1 < firstUnread) return false
    for (const chunk of pending) {
      if (chunk.seq <= this.#seenSeq) continue
      this.#seenSeq = chunk.seq
      this.#count(chunk)
      this.#socket.send(encodeChunk(chunk))
    }
    this.#phase = 'following'
    const finished = over ?? this.#over
    if (finished !== null) this.#end(finished)
    else if (this.#wantsSnapshot) this.#awaitSnapshot()
    return true
  }

  #count({ seq, kind, bytes }: TranscriptChunk): void {
    this.#options.content.sending(seq, kind === 'output' ? bytes.length : 0)
  }

  #sendAndWait(frame: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      // An error here means that the connection is closing, which ends the loop above.
      this.#socket.send(frame, () => resolve())
    })
  }

  #end(session: Session): void {
    this.#phase = 'ended'
    this.#tell({ type: 'end', session: this.#options.view(session) })
    this.#socket.close(1000)
  }

  #wheel() {
    return { driving: this.#live.driver === this, driver: this.#live.driver?.who ?? null }
  }

  #tell(message: ToViewer): void {
    this.#socket.send(JSON.stringify(message))
  }

  #receive(bytes: Buffer, isBinary: boolean): void {
    // Who is being shown out has no say any more.
    if (this.#socket.readyState !== this.#socket.OPEN) return
    if (isBinary) {
      if (bytes[0] !== inputFrameCode) this.close(closeCodes.protocolBroken, 'a frame was malformed')
      else if (this.#live.driver === this) this.#live.typeIn(bytes.subarray(1))
      return
    }
    try {
      const message = fromViewerSchema.parse(JSON.parse(bytes.toString('utf8')))
      if (message.type === 'snapshot') {
        // What follows has to follow the snapshot, so nothing more is sent before it.
        if (this.#phase === 'following') this.#awaitSnapshot()
        else if (this.#phase === 'reading') this.#wantsSnapshot = true
      }
      // Who only looks resizes nothing.
      else if (this.#live.driver === this) this.#live.resize({ cols: message.cols, rows: message.rows })
    } catch (error) {
      if (!(error instanceof ZodError || error instanceof SyntaxError)) throw error
      this.close(closeCodes.protocolBroken, 'a message was malformed')
    }
  }
}
