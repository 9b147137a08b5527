// Joins this terminal to a session: shows what it shows, and types what is typed here. The connection may break and come
// back (a service that restarts): what was missed is shown then, and the session never notices. Who types the detach key gets
// the terminal back, and the session goes on.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import type { FromViewer, ToViewer } from '@teleclaude/core/link.ts'
import { closeCodes, viewerProtocol } from '@teleclaude/core/protocol.ts'
import type { SessionExit } from '@teleclaude/core/session.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { decodeChunk } from '@teleclaude/core/transcript.ts'
import type { WebSocket } from 'ws'
import { exitCodes, Failure } from '../failure.ts'
import { isAway, isBusy, patienceMs, retryMs } from '../patience.ts'
import { SpoolFollower } from '../runner/spool-follower.ts'
import type { DetachKey } from './detach-key.ts'
import { Display } from './display.ts'
import type { DrawnTerminal } from './drawn-terminal.ts'
import { type Keyboard, openKeyboard } from './keyboard.ts'
import { accessNoticeMs, describeAccess } from './opened.ts'
import { describeChange, describeCut, describeSeat, type Wheel } from './wheel.ts'

/** How long a service has to take what was typed before the detach keys, and to say goodbye. */
const partingMs = 1_000
/** More than any chunk's number: none is sent. */
const nothing = Number.MAX_SAFE_INTEGER
/** So many segments of a spool hold what is under way to the service, and the newest. */
const recordedSegments = 2
/** How long the service has to say that the session has ended, where it has next to all of it. */
const recordingMs = 2_000
/** A terminal that would take longer to show what there is by now is shown the screen instead. */
const maxDelayS = 1

export type Joining = {
  /** `start`: everything from the first byte on. `screen`: the screen as it is. */
  readonly from: 'start' | 'screen'
  /** As the API's `drive`. */
  readonly drive: 'true' | 'take' | 'false'
  /** Where the session's runner keeps it, if that is one of this user's on this machine: what it prints is read there. */
  readonly spool?: string
  /** Where the session is somebody else's: it is drawn there, and nothing of what it prints gets to this terminal. */
  readonly drawn?: DrawnTerminal
}

/** Resolves with the session once it has ended (or is lost) and all of it was shown, or when the detach key was typed.
 *  @throws Failure when the service stays away, or does not let the caller in any more */
export async function attachTerminal(
  client: Client,
  sessionId: string,
  detachKey: DetachKey,
  joining: Joining = { from: 'start', drive: 'true' },
): Promise<SessionView | 'detached'> {
  const visit = new Visit(detachKey, joining)
  const { letGo } = visit.keyboard
  let goesOn = true
  let awaySinceMs: number | null = null
  try {
    for (;;) {
      try {
        const socket = await client.openStream(`/v1/sessions/${sessionId}/attach`, viewerProtocol, visit.query())
        awaySinceMs = null
        const shown = await visit.stay(socket)
        if (shown === 'read elsewhere') continue
        goesOn = shown === null
        if (shown !== null) return shown
      } catch (error) {
        if (visit.wasIn && isRefusal(error)) throw shownOut(error.message, sessionId, joining)
        if (!isAway(error) && !(visit.wasIn && isBusy(error))) throw error
      }
      if (letGo.aborted) return 'detached'
      if (visit.ended !== null) return visit.ended
      awaySinceMs ??= performance.now()
      if (performance.now() - awaySinceMs > patienceMs) {
        const next = `The session goes on: \`telec attach ${sessionId}\` finds it once the service is back.`
        throw new Failure(exitCodes.unavailable, `cannot show the session any more: the service is away\n${next}`)
      }
      await delay(retryMs)
    }
  } finally {
    visit.keyboard.close()
    visit.display.close()
    visit.letGoOfSpool()
    // A program that ends leaves its terminal as it wants to, as it does without telec. Of one that was joined by its screen
    // more is switched on here than it ever said here.
    if (joining.drawn !== undefined) await joining.drawn.leave({ isOver: !goesOn })
    else if (goesOn || joining.from === 'screen') visit.display.leave()
  }
}

/** To who was in before, `not-found` says that the session is not theirs any more. */
function isRefusal(error: unknown): error is AnswerError {
  return error instanceof AnswerError && ['not-permitted', 'not-found'].includes(error.problem.code)
}

/** To who has let go of a session. */
export function describeDetached(id: string): string {
  return `Detached from ${id}: the session goes on.\nBack to it: telec attach ${id}\nEnd it: telec stop ${id}\n`
}

function shownOut(reason: string, id: string, { drawn }: Joining): Failure {
  const next =
    drawn === undefined
      ? 'The session goes on for now, and is ended where you are not let in again soon.\nWho you are taken for, and why: telec whoami --explain'
      : `The session goes on. Open it again, with a reason: telec attach ${id} --reason TEXT`
  return new Failure(exitCodes.notPermitted, `cannot show the session any more: ${neutralise(reason)}\n${next}`)
}

/** One terminal's time with one session, over as many connections as it takes. */
class Visit {
  readonly keyboard: Keyboard
  readonly display: Display
  readonly #detachKey: DetachKey
  readonly #joining: Joining
  readonly #output: NodeJS.WriteStream | DrawnTerminal
  #socket: WebSocket | null = null
  #session: SessionView | null = null
  /** Null before the first connection. */
  #wheel: Wheel | null = null
  /** The session had another size before it got ours: what it showed in that is drawn anew. */
  #awaitsOurSize: boolean
  /** Where the output is read; null where the service sends it. */
  #spool: SpoolFollower | null
  /** The session as it ended, which the service may not know yet. */
  #ended: SessionView | null = null

  constructor(detachKey: DetachKey, joining: Joining) {
    this.#detachKey = detachKey
    this.#joining = joining
    this.#output = joining.drawn ?? process.stdout
    this.#awaitsOurSize = joining.from === 'screen'
    this.keyboard = openKeyboard(detachKey)
    this.display = new Display(joining.from === 'start' ? 0 : null, () => this.#askAnew(), this.#output)
    this.#spool =
      joining.spool === undefined
        ? null
        : SpoolFollower.open(joining.spool, {
            frame: (frame) => this.#showSpooled(frame),
            behind: (seconds) => this.#noteDelay(seconds),
            lost: () => this.#readElsewhere(),
          })
  }

  get wasIn(): boolean {
    return this.#wheel !== null
  }

  /** Who drove goes on to drive. Who did not takes the wheel from nobody by coming back first. */
  query(): Readonly<Record<string, string | number>> {
    const drive = this.#wheel === null ? this.#joining.drive : String(this.#wheel.driving)
    const show = process.stdout.isTTY ? 'screen' : 'record'
    return { drive, show, afterSeq: this.#spool === null ? (this.display.seenSeq ?? 'end') : nothing }
  }

  get ended(): SessionView | null {
    return this.#ended
  }

  letGoOfSpool(): void {
    this.#spool?.close()
    this.#spool = null
  }

  /** One connection's life: the session at its end, or null where the connection broke before, or was let go of; or that what it
   *  showed is to be had over another one.
   *  @throws Failure where the service closed it because the caller may not any more */
  async stay(socket: WebSocket): Promise<SessionView | null | 'read elsewhere'> {
    if (this.#ended !== null) {
      socket.terminate()
      return this.#ended
    }
    const { letGo } = this.keyboard
    const readHere = this.#spool !== null
    // The service's goodbye is waited for, so that it has what was typed before; what it shows is not.
    const part = (): void => {
      this.letGoOfSpool()
      socket.resume()
      socket.close()
      setTimeout(() => socket.terminate(), partingMs).unref()
    }
    if (letGo.aborted) part()
    letGo.addEventListener('abort', part)
    const onResize = (): void => {
      if (this.#wheel?.driving === false) this.display.repaint()
    }
    process.stdout.on('resize', onResize)
    socket.on('message', (data, isBinary) => {
      const bytes = data as Buffer
      if (!isBinary) {
        const message = JSON.parse(bytes.toString('utf8')) as ToViewer
        if (message.type === 'end') this.#hearEnd(message.session, readHere)
        else if (message.type === 'access') {
          this.display.say(describeAccess(message), { forMs: accessNoticeMs, stays: true })
        } else this.#hear(socket, message)
      } else if (!letGo.aborted) this.#show(socket, bytes)
    })
    socket.resume()
    const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
    this.#socket = null
    letGo.removeEventListener('abort', part)
    process.stdout.off('resize', onResize)
    this.keyboard.disconnect()
    this.display.breakOff()
    // Who has let go does not mind.
    if (code === closeCodes.notPermitted && !letGo.aborted) {
      throw shownOut(reason.toString('utf8'), this.#session?.id ?? '', this.#joining)
    }
    if (this.#ended !== null) return this.#ended
    return readHere && this.#spool === null && !letGo.aborted ? 'read elsewhere' : null
  }

  /** What was read on the disk may end before the session did: its runner was killed, or could not write any more. */
  #hearEnd(session: SessionView, readHere: boolean): void {
    this.#spool?.readAll()
    this.letGoOfSpool()
    if (!readHere || this.#ended !== null) this.#ended = session
  }

  /** Everything is on the disk by now. What the service has not got of it yet, the runner goes on to send it. */
  #noteExit(exit: SessionExit): void {
    if (this.#session === null) return
    this.#ended = { ...this.#session, status: 'ended', exit }
    const isFarBehind = (this.#spool?.segments ?? 0) > recordedSegments
    this.letGoOfSpool()
    const socket = this.#socket
    if (isFarBehind) socket?.terminate()
    else setTimeout(() => socket?.terminate(), recordingMs).unref()
  }

  #showSpooled(frame: Buffer): 'done' | 'held' {
    const size = this.display.take(frame)
    if (size !== null) this.#resized()
    const exit = exitOf(frame)
    if (exit !== null) this.#noteExit(exit)
    else if (process.stdout.writableNeedDrain) {
      this.#spool?.hold()
      process.stdout.once('drain', () => this.#spool?.goOn())
    }
    return process.stdout.writableLength === 0 ? 'done' : 'held'
  }

  /** The screen as it is, instead of all that a slow terminal has not shown yet. */
  #noteDelay(seconds: number): void {
    if (!process.stdout.isTTY || seconds < maxDelayS) return
    this.#readElsewhere()
    this.display.showAnew()
  }

  #readElsewhere(): void {
    const socket = this.#socket
    this.#socket = null
    this.letGoOfSpool()
    socket?.close()
  }

  #show(socket: WebSocket, bytes: Buffer): void {
    const size = this.display.take(bytes)
    if (size !== null) {
      this.#joining.drawn?.write(size)
      this.#resized()
    }
    if (!this.#output.writableNeedDrain || socket.isPaused) return
    // A terminal that is slower than the session: stop reading, the service does what it can.
    socket.pause()
    this.#output.once('drain', () => socket.resume())
  }

  /** Whose terminal has the session's size needs nothing: programs draw anew, and terminals know how to wrap. */
  #resized(): void {
    if (this.#wheel?.driving === false || this.#awaitsOurSize) this.display.repaint()
    this.#awaitsOurSize = false
  }

  #hear(socket: WebSocket, message: ToViewer & { type: 'welcome' | 'wheel' }): void {
    const before = this.#wheel
    if (message.type === 'welcome') {
      this.#socket = socket
      this.#session = message.session
      this.keyboard.connect(socket, message.driving)
      this.#joining.drawn?.write(message.session.terminal)
      this.display.goOn()
      if (before === null) {
        this.#introduce(message, message.session)
        this.#spool?.start()
      }
    } else {
      // The first word of a connection is its welcome, which says the same.
      if (this.#socket === null) return
      this.keyboard.drive(message.driving)
    }
    if (before?.driving === false && message.driving) this.#awaitsOurSize = true
    this.#joining.drawn?.drive(message.driving)
    this.#wheel = { driving: message.driving, driver: message.driver }
    const change = before === null || this.#session === null ? null : describeChange(before, this.#wheel, this.#session)
    if (change !== null) this.display.say(change)
  }

  /** Said before anything is shown, so that it stands in the scrollback; and once more where it can be seen, to who might wonder
   *  why nothing happens when they type. */
  #introduce(wheel: Wheel, session: SessionView): void {
    if (wheel.driving) return
    const seat = describeSeat(wheel, session, this.#detachKey)
    process.stderr.write(`${seat.whole}\n`)
    if (!process.stdout.isTTY) return
    const [cols, rows] = process.stdout.getWindowSize()
    const cut = describeCut({ cols, rows }, session.terminal)
    if (cut !== null) process.stderr.write(`${cut}\n`)
    if (this.#joining.from === 'screen' && this.#joining.drive === 'true') this.display.say(seat.short)
  }

  #askAnew(): void {
    const message: FromViewer = { type: 'snapshot' }
    this.#socket?.send(JSON.stringify(message))
  }
}

/** Its runner wrote it, as this user. */
function exitOf(frame: Uint8Array): SessionExit | null {
  const { kind, bytes } = decodeChunk(frame)
  return kind === 'exit' ? (JSON.parse(Buffer.from(bytes).toString('utf8')) as SessionExit) : null
}
