// One connection that looks at a session. It first reads what is recorded, then follows live; where it can't keep up
// it goes back to reading, so that a slow viewer costs neither memory nor the session anything, and misses nothing.

import type { SessionView } from '@teleclaude/core/api.ts'
import { fromViewerSchema, type ToViewer } from '@teleclaude/core/link.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { Session } from '@teleclaude/core/session.ts'
import { encodeChunk, inputFrameCode, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { RawData, WebSocket } from 'ws'
import { ZodError } from 'zod'
import { closeWebSocket } from '../streams/close-web-socket.ts'
import type { LiveSession } from './live-session.ts'

const maxBufferedBytes = 1024 * 1024

export class Viewer {
  readonly #socket: WebSocket
  readonly #live: LiveSession
  readonly #readPage: (afterSeq: number) => Promise<readonly TranscriptChunk[]>
  readonly #over: Session | null
  readonly #view: (session: Session) => SessionView
  #seenSeq: number
  #following = false

  constructor(options: {
    readonly socket: WebSocket
    readonly live: LiveSession
    /** What is recorded, from the chunk after that. */
    readonly readPage: (afterSeq: number) => Promise<readonly TranscriptChunk[]>
    readonly afterSeq: number
    /** The session, where it was not going on any more when the viewer came. */
    readonly over: Session | null
    readonly view: (session: Session) => SessionView
  }) {
    this.#socket = options.socket
    this.#live = options.live
    this.#readPage = options.readPage
    this.#seenSeq = options.afterSeq
    this.#over = options.over
    this.#view = options.view
    this.#socket.on('message', (data, isBinary) => this.#receive(data as Buffer, isBinary))
  }

  /** Shows the session until it ends or the connection does. */
  async start(session: Session): Promise<void> {
    this.#tell({ type: 'welcome', session: this.#view(session), driving: this.#live.driver === this })
    await this.#catchUp()
  }

  /** A chunk has arrived. */
  offer(seq: number, frame: Uint8Array): void {
    if (!this.#following || seq <= this.#seenSeq) return
    if (this.#socket.bufferedAmount > maxBufferedBytes) {
      this.#following = false
      this.#catchUp().catch((error: unknown) => {
        if (!(error instanceof StoreError)) throw error
        // The viewer comes back by itself, and goes on where it was.
        this.close(1011, 'what was recorded could not be read')
      })
      return
    }
    this.#seenSeq = seq
    this.#socket.send(frame)
  }

  /** The session has ended, or is lost: says so once everything before was shown. */
  finish(session: Session): void {
    if (this.#following) this.#end(session)
  }

  close(code: number, reason: string): void {
    closeWebSocket(this.#socket, code, reason)
  }

  async #catchUp(): Promise<void> {
    while (this.#socket.readyState === this.#socket.OPEN) {
      const page = await this.#readPage(this.#seenSeq)
      for (const chunk of page) {
        this.#seenSeq = chunk.seq
        await this.#sendAndWait(encodeChunk(chunk))
      }
      if (page.length === 0 && this.#joinLive()) return
    }
  }

  /** From here to the end of the function nothing else runs: no chunk can be committed or arrive in between. */
  #joinLive(): boolean {
    const { pending, lastSeq, ended } = this.#live
    const firstUnread = pending[0]?.seq ?? lastSeq + 1
    // A commit has come between the read and now: read on.
    if (this.#seenSeq + 1 < firstUnread) return false
    for (const chunk of pending) {
      if (chunk.seq <= this.#seenSeq) continue
      this.#seenSeq = chunk.seq
      this.#socket.send(encodeChunk(chunk))
    }
    this.#following = true
    const over = ended ?? this.#over
    if (over !== null) this.#end(over)
    return true
  }

  #sendAndWait(frame: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      // An error here means that the connection is closing, which ends the loop above.
      this.#socket.send(frame, () => resolve())
    })
  }

  #end(session: Session): void {
    this.#tell({ type: 'end', session: this.#view(session) })
    this.#socket.close(1000)
  }

  #tell(message: ToViewer): void {
    this.#socket.send(JSON.stringify(message))
  }

  #receive(data: RawData & Buffer, isBinary: boolean): void {
    // Who only looks has no say, and neither has who is being shown out.
    if (this.#live.driver !== this || this.#socket.readyState !== this.#socket.OPEN) return
    if (isBinary) {
      if (data[0] === inputFrameCode) this.#live.typeIn(data.subarray(1))
      else this.close(closeCodes.protocolBroken, 'a frame was malformed')
      return
    }
    try {
      const message = fromViewerSchema.parse(JSON.parse(data.toString('utf8')))
      this.#live.resize({ cols: message.cols, rows: message.rows })
    } catch (error) {
      if (!(error instanceof ZodError || error instanceof SyntaxError)) throw error
      this.close(closeCodes.protocolBroken, 'a message was malformed')
    }
  }
}
