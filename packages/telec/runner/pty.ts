// A program on a pseudo-terminal of its own. Bytes pass undecoded, and every byte that the program wrote before it ended
// is delivered before its end is. The native half is node-pty's; its JavaScript half is passed over, because that closes the
// terminal 200 ms after the exit whether or not everything has been read (docs/decisions/0004).

import { readSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { ReadStream } from 'node:tty'
import type { SessionExit, TerminalSize } from '@teleclaude/core/session.ts'

type NativePty = {
  fork(
    file: string,
    args: readonly string[],
    env: readonly string[],
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (code: number, signal: number) => void,
  ): { readonly fd: number; readonly pid: number }
  resize(fd: number, cols: number, rows: number): void
}

const require = createRequire(import.meta.url)
const keepIds = -1
const readBytes = 64 * 1024
/** More than the kernel holds of a terminal's output (tty_buffer.c: 640 KiB). */
const maxDrainBytes = 1024 * 1024

export type Pty = {
  readonly pid: number
  /** Returns how many of the bytes the terminal has taken: 0 where its program does not read and it takes none now, null where it
   *  is gone. */
  write(bytes: Uint8Array): number | null
  resize(size: TerminalSize): void
  /** Reads nothing until `resume`: the program waits when the kernel's buffer is full. Its end is noticed all the same. */
  pause(): void
  resume(): void
}

export type PtyEvents = {
  /** The bytes are valid during the call alone. */
  output(bytes: Buffer): void
  /** Once, after the last output. */
  exited(exit: SessionExit): void
}

export type PtyProgram = {
  /** An executable's path: nothing is looked up in PATH here. */
  readonly file: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly size: TerminalSize
}

/** Starts the program as the leader of a new session with the terminal as its controlling one (setsid(2), TIOCSCTTY).
 *  @throws Error where no pseudo-terminal or process can be had */
export function spawnPty(program: PtyProgram, events: PtyEvents): Pty {
  const native = loadNative()
  let closed = false
  let ended = false
  const buffer = Buffer.allocUnsafe(readBytes)

  const onExit = (code: number, signal: number) => {
    if (ended) return
    ended = true
    // What was written before the exit is in the kernel still: read until there is nothing. A descendant that holds
    // the terminal open may write later; as with script(1), the session ends with its program.
    if (!closed) drain(terminal.fd, buffer, events)
    stream.destroy()
    events.exited(signal === 0 ? { kind: 'exited', code } : { kind: 'signalled', signal: signalName(signal) })
  }
  const terminal = native.fork(
    program.file,
    program.args,
    Object.entries(program.env).map(([name, value]) => `${name}=${value}`),
    program.cwd,
    program.size.cols,
    program.size.rows,
    keepIds,
    keepIds,
    true,
    helperPath(),
    onExit,
  )
  const stream = new ReadStream(terminal.fd, {
    onread: {
      buffer,
      callback: (length: number) => {
        events.output(buffer.subarray(0, length))
        return true
      },
    },
  } as object)
  // Linux says EIO where the last process has closed the terminal: an ordinary end (pty(7)).
  stream.on('error', () => stream.destroy())
  stream.on('close', () => {
    closed = true
  })
  stream.resume()

  return {
    pid: terminal.pid,
    write: (bytes) => (closed || ended ? null : writeSome(terminal.fd, bytes)),
    resize: (size) => {
      if (!closed && !ended) native.resize(terminal.fd, size.cols, size.rows)
    },
    pause: () => stream.pause(),
    resume: () => stream.resume(),
  }
}

/** Without a queue of our own: what is not taken stays its sender's, who can think better of it. */
function writeSome(fd: number, bytes: Uint8Array): number | null {
  try {
    return writeSync(fd, bytes)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'EAGAIN') return 0
    if (code === 'EIO' || code === 'EBADF') return null
    throw error
  }
}

/** The terminal is non-blocking, and read(2) on it flushes what the kernel has queued before it says EAGAIN. A descendant that
 *  goes on writing would have it read forever. */
function drain(fd: number, buffer: Buffer, events: PtyEvents): void {
  for (let drained = 0; drained < maxDrainBytes; ) {
    let length = 0
    try {
      length = readSync(fd, buffer)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : null
      if (code === 'EAGAIN' || code === 'EIO' || code === 'EBADF') return
      throw error
    }
    if (length === 0) return
    drained += length
    events.output(buffer.subarray(0, length))
  }
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number)
  return found?.[0] ?? `SIGRT+${number}`
}

function loadNative(): NativePty {
  return require('@lydell/node-pty/requireBinary.js').requireBinary('pty.node') as NativePty
}

/** macOS starts programs through a small executable that the package brings. */
function helperPath(): string {
  if (process.platform !== 'darwin') return ''
  return require.resolve(`@lydell/node-pty-${process.platform}-${process.arch}/spawn-helper`)
}
