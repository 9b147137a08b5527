// Joins this terminal to a session: shows what it shows, and types what is typed here. The connection may break and come
// back (a service that restarts): what was missed is shown then, and the session never notices.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client, ConnectionError } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import type { FromViewer, ToViewer } from '@teleclaude/core/link.ts'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { decodeChunk, encodeInput } from '@teleclaude/core/transcript.ts'
import type { WebSocket } from 'ws'
import { exitCodes, Failure } from '../failure.ts'

/** How long the service may be away before the terminal lets go of a session that goes on without it. */
const patienceMs = 30_000
const retryMs = 200
/** Ends a line's input, as Ctrl-D does on a terminal (termios(3), VEOF). */
const endOfInput = Buffer.from([4])
/** Interrupts, as Ctrl-C does on a terminal (termios(3), VINTR). */
const interrupt = Buffer.from([3])
const inputSlice = 16 * 1024
const maxUnsentInput = 256 * 1024

type Keyboard = { connect(socket: WebSocket): void; disconnect(): void; close(): void }

/** Resolves with the session once it has ended (or is lost) and all of it was shown.
 *  @throws Failure when the service stays away */
export async function attachTerminal(client: Client, sessionId: string): Promise<SessionView> {
  const keyboard = openKeyboard()
  let seenSeq = 0
  let awaySinceMs: number | null = null
  try {
    for (;;) {
      try {
        const query = { drive: 'true', afterSeq: seenSeq }
        const socket = await client.openStream(`/v1/sessions/${sessionId}/attach`, viewerProtocol, query)
        awaySinceMs = null
        const shown = await show(socket, keyboard, (seq) => {
          seenSeq = seq
        })
        if (shown !== null) return shown
      } catch (error) {
        if (!isAway(error)) throw error
      }
      awaySinceMs ??= performance.now()
      if (performance.now() - awaySinceMs > patienceMs) {
        const next = `The session goes on: \`telec show ${sessionId}\` finds it once the service is back.`
        throw new Failure(exitCodes.unavailable, `cannot show the session any more: the service is away\n${next}`)
      }
      await delay(retryMs)
    }
  } finally {
    keyboard.close()
  }
}

/** The service, or the database that it needs. */
function isAway(error: unknown): boolean {
  return error instanceof ConnectionError || (error instanceof AnswerError && error.problem.code === 'unavailable')
}

/** One connection's life: the session at its end, or null where the connection broke before. */
async function show(socket: WebSocket, keyboard: Keyboard, saw: (seq: number) => void): Promise<SessionView | null> {
  let ended: SessionView | null = null
  socket.on('message', (data, isBinary) => {
    const bytes = data as Buffer
    if (isBinary) {
      const chunk = decodeChunk(bytes)
      saw(chunk.seq)
      if (chunk.kind !== 'output' || process.stdout.write(chunk.bytes)) return
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
  await once(socket, 'close')
  keyboard.disconnect()
  return ended
}

/** What is typed here, or piped in, goes to whichever connection is up. */
function openKeyboard(): Keyboard {
  const { stdin, stdout } = process
  const isTerminal = stdin.isTTY
  let socket: WebSocket | null = null
  let started = false
  const waiting: Buffer[] = []

  const send = (bytes: Buffer): void => {
    if (socket === null) {
      waiting.push(bytes)
      return
    }
    // A fast pipe waits for the session here, so that it does not fill memory.
    socket.send(encodeInput(bytes), () => stdin.resume())
    if (socket.bufferedAmount > maxUnsentInput) stdin.pause()
  }
  const sendSize = (): void => {
    const [cols, rows] = stdout.getWindowSize()
    const message: FromViewer = { type: 'resize', cols, rows }
    socket?.send(JSON.stringify(message))
  }
  const onData = (bytes: Buffer): void => {
    for (let start = 0; start < bytes.length; start += inputSlice) send(bytes.subarray(start, start + inputSlice))
  }
  // Where the keyboard is no terminal in raw mode, Ctrl-C comes as a signal: it is meant for the session.
  const onInterrupt = (): void => send(interrupt)
  const onEnd = (): void => {
    if (!isTerminal) send(endOfInput)
  }
  return {
    connect(connected) {
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
      stdin.pause()
    },
    close() {
      socket = null
      if (started && isTerminal) stdin.setRawMode(false)
      stdin.off('data', onData)
      stdin.off('end', onEnd)
      process.off('SIGINT', onInterrupt)
      stdin.destroy()
      stdout.off('resize', sendSize)
    },
  }
}
