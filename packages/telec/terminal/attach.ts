// Joins this terminal to a session: shows what it shows, and types what is typed here. The connection may break and come
// back (a service that restarts): what was missed is shown then, and the session never notices. Who types the detach key gets
// the terminal back, and the session goes on.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client, ConnectionError } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import type { FromViewer, ToViewer } from '@teleclaude/core/link.ts'
import { closeCodes, viewerProtocol } from '@teleclaude/core/protocol.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { decodeChunk, encodeInput } from '@teleclaude/core/transcript.ts'
import type { WebSocket } from 'ws'
import { exitCodes, Failure } from '../failure.ts'
import { type DetachKey, readTyped } from './detach-key.ts'
import { LeftOn } from './left-on.ts'

/** How long the service may be away before the terminal lets go of a session that goes on without it: a database that is restarted
 *  or upgraded takes its time. */
const patienceMs = 60_000
const retryMs = 200
/** Ends a line's input, as Ctrl-D does on a terminal (termios(3), VEOF). */
const endOfInput = Buffer.from([4])
/** Interrupts, as Ctrl-C does on a terminal (termios(3), VINTR). */
const interrupt = Buffer.from([3])
const inputSlice = 16 * 1024
const maxUnsentInput = 256 * 1024
/** The first of the detach keys alone is the session's after this. */
const secondKeyMs = 1_000
/** How long a service has to take what was typed before the detach keys, and to say goodbye. */
const partingMs = 1_000

type Keyboard = {
  /** Aborts when the detach key is typed. */
  readonly letGo: AbortSignal
  connect(socket: WebSocket): void
  disconnect(): void
  close(): void
}

/** Resolves with the session once it has ended (or is lost) and all of it was shown, or when the detach key was typed.
 *  @throws Failure when the service stays away, or does not let the caller in any more */
export async function attachTerminal(
  client: Client,
  sessionId: string,
  detachKey: DetachKey,
): Promise<SessionView | 'detached'> {
  const keyboard = openKeyboard(detachKey)
  const screen = process.stdout.isTTY ? new LeftOn() : null
  let goesOn = true
  let wasIn = false
  let seenSeq = 0
  let awaySinceMs: number | null = null
  try {
    for (;;) {
      try {
        const query = { drive: 'true', afterSeq: seenSeq }
        const socket = await client.openStream(`/v1/sessions/${sessionId}/attach`, viewerProtocol, query)
        awaySinceMs = null
        wasIn = true
        const shown = await show(socket, keyboard, screen, (seq) => {
          seenSeq = seq
        })
        goesOn = shown === null
        if (shown !== null) return shown
      } catch (error) {
        if (wasIn && isRefusal(error)) throw shownOut(error.message)
        if (!isAway(error) && !(wasIn && isBusy(error))) throw error
      }
      if (keyboard.letGo.aborted) return 'detached'
      awaySinceMs ??= performance.now()
      if (performance.now() - awaySinceMs > patienceMs) {
        const next = `The session goes on: \`telec show ${sessionId}\` finds it once the service is back.`
        throw new Failure(exitCodes.unavailable, `cannot show the session any more: the service is away\n${next}`)
      }
      await delay(retryMs)
    }
  } finally {
    keyboard.close()
    if (goesOn && seenSeq > 0 && screen !== null) process.stdout.write(screen.leave())
  }
}

/** The service, or the database that it needs. */
function isAway(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof AnswerError && error.problem.code === 'unavailable')
}

/** A service that has come back has everybody come back to it at once; and who was stopped in the middle of asking is too slow. */
function isBusy(error: unknown): boolean {
  return error instanceof AnswerError && ['too-many-requests', 'too-slow'].includes(error.problem.code)
}

/** To who was in before, `not-found` says that the session is not theirs any more. */
function isRefusal(error: unknown): error is AnswerError {
  return error instanceof AnswerError && ['not-permitted', 'not-found'].includes(error.problem.code)
}

function shownOut(reason: string): Failure {
  const next =
    'The session goes on for now, and is ended where you are not let in again soon.\nWho you are taken for, and why: telec whoami --explain'
  return new Failure(exitCodes.notPermitted, `cannot show the session any more: ${neutralise(reason)}\n${next}`)
}

/** One connection's life: the session at its end, or null where the connection broke before, or was let go of.
 *  @throws Failure where the service closed it because the caller may not any more */
async function show(
  socket: WebSocket,
  keyboard: Keyboard,
  screen: LeftOn | null,
  saw: (seq: number) => void,
): Promise<SessionView | null> {
  let ended: SessionView | null = null
  // The service's goodbye is waited for, so that it has what was typed before; what it shows is not.
  const part = (): void => {
    socket.resume()
    socket.close()
    setTimeout(() => socket.terminate(), partingMs).unref()
  }
  if (keyboard.letGo.aborted) part()
  keyboard.letGo.addEventListener('abort', part)
  socket.on('message', (data, isBinary) => {
    const bytes = data as Buffer
    if (isBinary) {
      const chunk = decodeChunk(bytes)
      saw(chunk.seq)
      if (chunk.kind !== 'output' || keyboard.letGo.aborted) return
      screen?.watch(chunk.bytes)
      if (process.stdout.write(chunk.bytes)) return
      // A terminal that is slower than the session: stop reading, the service keeps the rest.
      socket.pause()
      process.stdout.once('drain', () => socket.resume())
      return
    }
    const message = JSON.parse(bytes.toString('utf8')) as ToViewer
    if (message.type === 'welcome') keyboard.connect(socket)
    else ended = message.session
  })
  socket.resume()
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  keyboard.letGo.removeEventListener('abort', part)
  keyboard.disconnect()
  // Who has let go does not mind.
  if (code === closeCodes.notPermitted && !keyboard.letGo.aborted) throw shownOut(reason.toString('utf8'))
  return ended
}

/** What is typed here, or piped in, goes to whichever connection is up. */
function openKeyboard(detachKey: DetachKey): Keyboard {
  const { stdin, stdout } = process
  const isTerminal = stdin.isTTY
  let socket: WebSocket | null = null
  let started = false
  const letGo = new AbortController()
  let held: Buffer = Buffer.alloc(0)
  let secondKey: NodeJS.Timeout | undefined
  const waiting: Buffer[] = []

  const send = (bytes: Buffer): void => {
    if (socket === null) {
      waiting.push(bytes)
      return
    }
    // A fast pipe waits for the session here, so that it does not fill memory.
    socket.send(encodeInput(bytes), () => {
      // What is typed after the detach key is for whoever reads the terminal next.
      if (!letGo.signal.aborted) stdin.resume()
    })
    if (socket.bufferedAmount > maxUnsentInput) stdin.pause()
  }
  const sendSize = (): void => {
    const [cols, rows] = stdout.getWindowSize()
    const message: FromViewer = { type: 'resize', cols, rows }
    socket?.send(JSON.stringify(message))
  }
  const sendAll = (bytes: Buffer): void => {
    for (let start = 0; start < bytes.length; start += inputSlice) send(bytes.subarray(start, start + inputSlice))
  }
  const onTyped = (bytes: Buffer): void => {
    clearTimeout(secondKey)
    const typed = readTyped(detachKey, held, bytes)
    held = typed.held
    sendAll(typed.send)
    if (typed.detached) {
      stdin.pause()
      letGo.abort()
    } else if (held.length > 0) {
      secondKey = setTimeout(() => {
        send(held)
        held = Buffer.alloc(0)
      }, secondKeyMs)
    }
  }
  // What is piped in is no typing: any byte may be in it.
  const onData = isTerminal ? onTyped : sendAll
  // Where the keyboard is no terminal in raw mode, Ctrl-C comes as a signal: it is meant for the session.
  const onInterrupt = (): void => send(interrupt)
  const onEnd = (): void => {
    if (!isTerminal) send(endOfInput)
  }
  return {
    letGo: letGo.signal,
    connect(connected) {
      if (letGo.signal.aborted) return
      socket = connected
      for (const bytes of waiting.splice(0)) send(bytes)
      if (stdout.isTTY) sendSize()
      stdin.resume()
      if (started) return
      started = true
      if (isTerminal) stdin.setRawMode(true)
      stdin.on('data', onData)
      stdin.on('end', onEnd)
      process.on('SIGINT', onInterrupt)
      if (stdout.isTTY) stdout.on('resize', sendSize)
    },
    disconnect() {
      socket = null
      // A terminal can be let go of while the service is away.
      if (!isTerminal) stdin.pause()
    },
    close() {
      socket = null
      clearTimeout(secondKey)
      if (started && isTerminal) stdin.setRawMode(false)
      stdin.off('data', onData)
      stdin.off('end', onEnd)
      process.off('SIGINT', onInterrupt)
      stdin.destroy()
      stdout.off('resize', sendSize)
    },
  }
}
