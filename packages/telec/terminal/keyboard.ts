// What is typed here, or piped in, on its way to whichever connection is up; where somebody else drives, to nobody. The detach key
// counts always.

import type { FromViewer } from '@teleclaude/core/link.ts'
import { encodeInput } from '@teleclaude/core/transcript.ts'
import type { WebSocket } from 'ws'
import { type DetachKey, readTyped } from './detach-key.ts'

/** Ends a line's input, as Ctrl-D does on a terminal (termios(3), VEOF). */
const endOfInput = Buffer.from([4])
/** Interrupts, as Ctrl-C does on a terminal (termios(3), VINTR). */
const interrupt = Buffer.from([3])
const inputSlice = 16 * 1024
const maxUnsentInput = 256 * 1024
/** The first of the detach keys alone is the session's after this. */
const secondKeyMs = 1_000

export type Keyboard = {
  /** Aborts when the detach key is typed. */
  readonly letGo: AbortSignal
  connect(socket: WebSocket, driving: boolean): void
  /** Whether this connection's input and size count from now on. */
  drive(driving: boolean): void
  disconnect(): void
  close(): void
}

export function openKeyboard(detachKey: DetachKey): Keyboard {
  const { stdin, stdout } = process
  const isTerminal = stdin.isTTY
  let socket: WebSocket | null = null
  let isDriving = false
  let started = false
  const letGo = new AbortController()
  let held: Buffer = Buffer.alloc(0)
  let secondKey: NodeJS.Timeout | undefined
  /** While the service is away, or, of what is piped in, while somebody else drives. */
  const waiting: Buffer[] = []

  const send = (bytes: Buffer): void => {
    // What a person types and sees no echo of would be a surprise later.
    if (!isDriving && isTerminal) return
    if (socket === null || socket.readyState !== socket.OPEN || !isDriving) {
      waiting.push(bytes)
      if (!isTerminal) stdin.pause()
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
    if (!isDriving || !stdout.isTTY) return
    const [cols, rows] = stdout.getWindowSize()
    const message: FromViewer = { type: 'resize', cols, rows }
    // Some terminals say 0 while they are being set up.
    if (cols > 0 && rows > 0) socket?.send(JSON.stringify(message))
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
  // Where the keyboard is no terminal in raw mode, Ctrl-C comes as a signal: it is meant for the session, or, where somebody else
  // drives that, for us.
  const onInterrupt = (): void => {
    if (isDriving) send(interrupt)
    else letGo.abort()
  }
  const onEnd = (): void => {
    if (!isTerminal) send(endOfInput)
  }
  const drive = (driving: boolean): void => {
    isDriving = driving
    if (!driving) {
      if (isTerminal) waiting.length = 0
      return
    }
    for (const bytes of waiting.splice(0)) send(bytes)
    sendSize()
    stdin.resume()
  }
  return {
    letGo: letGo.signal,
    connect(connected, driving) {
      if (letGo.signal.aborted) return
      socket = connected
      drive(driving)
      stdin.resume()
      if (started) return
      started = true
      if (isTerminal) stdin.setRawMode(true)
      stdin.on('data', onData)
      stdin.on('end', onEnd)
      process.on('SIGINT', onInterrupt)
      if (stdout.isTTY) stdout.on('resize', sendSize)
    },
    drive(driving) {
      if (socket !== null && driving !== isDriving) drive(driving)
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
