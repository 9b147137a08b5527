// Joins this terminal to a session: shows what it shows, and types what is typed here. The connection may break and come
// back (a service that restarts): what was missed is shown then, and the session never notices. Who types the detach key gets
// the terminal back, and the session goes on.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import type { FromViewer, ToViewer } from '@teleclaude/core/link.ts'
import { closeCodes, viewerProtocol } from '@teleclaude/core/protocol.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import type { WebSocket } from 'ws'
import { exitCodes, Failure } from '../failure.ts'
import { isAway, isBusy, patienceMs, retryMs } from '../patience.ts'
import type { DetachKey } from './detach-key.ts'
import { Display } from './display.ts'
import { type Keyboard, openKeyboard } from './keyboard.ts'
import { describeChange, describeCut, describeSeat, type Wheel } from './wheel.ts'

/** How long a service has to take what was typed before the detach keys, and to say goodbye. */
const partingMs = 1_000

export type Joining = {
  /** `start`: everything from the first byte on. `screen`: the screen as it is. */
  readonly from: 'start' | 'screen'
  /** As the API's `drive`. */
  readonly drive: 'true' | 'take' | 'false'
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
        goesOn = shown === null
        if (shown !== null) return shown
      } catch (error) {
        if (visit.wasIn && isRefusal(error)) throw shownOut(error.message)
        if (!isAway(error) && !(visit.wasIn && isBusy(error))) throw error
      }
      if (letGo.aborted) return 'detached'
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
    // A program that ends leaves its terminal as it wants to, as it does without telec. Of one that was joined by its screen
    // more is switched on here than it ever said here.
    if (goesOn || joining.from === 'screen') visit.display.leave()
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

function shownOut(reason: string): Failure {
  const next =
    'The session goes on for now, and is ended where you are not let in again soon.\nWho you are taken for, and why: telec whoami --explain'
  return new Failure(exitCodes.notPermitted, `cannot show the session any more: ${neutralise(reason)}\n${next}`)
}

/** One terminal's time with one session, over as many connections as it takes. */
class Visit {
  readonly keyboard: Keyboard
  readonly display: Display
  readonly #detachKey: DetachKey
  readonly #joining: Joining
  #socket: WebSocket | null = null
  #session: SessionView | null = null
  /** Null before the first connection. */
  #wheel: Wheel | null = null
  /** The session had another size before it got ours: what it showed in that is drawn anew. */
  #awaitsOurSize: boolean

  constructor(detachKey: DetachKey, joining: Joining) {
    this.#detachKey = detachKey
    this.#joining = joining
    this.#awaitsOurSize = joining.from === 'screen'
    this.keyboard = openKeyboard(detachKey)
    this.display = new Display(joining.from === 'start' ? 0 : null, () => this.#askAnew())
  }

  get wasIn(): boolean {
    return this.#wheel !== null
  }

  /** Who drove goes on to drive. Who did not takes the wheel from nobody by coming back first. */
  query(): Readonly<Record<string, string | number>> {
    const drive = this.#wheel === null ? this.#joining.drive : String(this.#wheel.driving)
    const show = process.stdout.isTTY ? 'screen' : 'record'
    return { drive, show, afterSeq: this.display.seenSeq ?? 'end' }
  }

  /** One connection's life: the session at its end, or null where the connection broke before, or was let go of.
   *  @throws Failure where the service closed it because the caller may not any more */
  async stay(socket: WebSocket): Promise<SessionView | null> {
    const { letGo } = this.keyboard
    let ended: SessionView | null = null
    // The service's goodbye is waited for, so that it has what was typed before; what it shows is not.
    const part = (): void => {
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
        if (message.type === 'end') ended = message.session
        else this.#hear(socket, message)
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
    if (code === closeCodes.notPermitted && !letGo.aborted) throw shownOut(reason.toString('utf8'))
    return ended
  }

  #show(socket: WebSocket, bytes: Buffer): void {
    const size = this.display.take(bytes)
    if (size !== null) this.#resized()
    if (!process.stdout.writableNeedDrain || socket.isPaused) return
    // A terminal that is slower than the session: stop reading, the service does what it can.
    socket.pause()
    process.stdout.once('drain', () => socket.resume())
  }

  /** Whose terminal has the session's size needs nothing: programs draw anew, and terminals know how to wrap. */
  #resized(): void {
    if (this.#wheel?.driving === false || this.#awaitsOurSize) this.display.repaint()
    this.#awaitsOurSize = false
  }

  #hear(socket: WebSocket, message: Exclude<ToViewer, { type: 'end' }>): void {
    const before = this.#wheel
    if (message.type === 'welcome') {
      this.#socket = socket
      this.#session = message.session
      this.keyboard.connect(socket, message.driving)
      this.display.goOn()
      if (before === null) this.#introduce(message, message.session)
    } else {
      // The first word of a connection is its welcome, which says the same.
      if (this.#socket === null) return
      this.keyboard.drive(message.driving)
    }
    if (before?.driving === false && message.driving) this.#awaitsOurSize = true
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
