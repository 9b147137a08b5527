// Puts a server on a Unix socket's path: with the right mode from the first moment, in place of a dead socket, and
// never in place of a live one. Of several instances that start at once exactly one gets the path.

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type BigIntStats, chmodSync, linkSync, lstatSync, renameSync, rmSync, statSync, unlinkSync } from 'node:fs'
import { createConnection, type Server } from 'node:net'
import { dirname, join } from 'node:path'
import { maxSocketPathBytes } from '@teleclaude/config/layout.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'

/** Connections that wait to be taken in. There is one queue for everybody: who connects faster than that is done keeps it full,
 *  and all others wait behind as many as it holds, or try again (EAGAIN, connect(2)). */
const backlog = 64

export type SocketErrorCode =
  | 'path-too-long'
  /** A directory, file or symbolic link is where the socket should be. */
  | 'not-a-socket'
  /** Somebody answers there. */
  | 'in-use'
  | 'not-permitted'
  | 'no-directory'
  | 'failed'

export class SocketError extends Error {
  override readonly name = 'SocketError'
  readonly code: SocketErrorCode
  constructor(code: SocketErrorCode, path: string, why: string, options?: { readonly cause?: unknown }) {
    super(`cannot listen on ${path}: ${why}`, options)
    this.code = code
  }
}

/** Resolves once the server is reachable at the path. Its `close` takes the path away first, if it is still its own.
 *  The directory has to be one where only this service's user can write. `mode` as in chmod(2).
 *  @throws SocketError: then the server does not listen, and what was at the path is as it was. */
export async function listenOnSocket(server: Server, path: string, options: { readonly mode: number }): Promise<void> {
  const own = join(dirname(path), `.${shortName(randomBytes(8))}`)
  refuseLong(path, own)
  try {
    lookAt(path, path)
    // Asked here, because libuv calls a missing directory EACCES when it binds.
    statSync(dirname(path))
    await bind(server, own)
    chmodSync(own, options.mode)
    await place(own, path, path)
    removeWithClose(server, path, lstatSync(own, { bigint: true }))
  } catch (cause) {
    if (server.listening) server.close()
    throw cause instanceof SocketError ? cause : systemError(path, cause)
  } finally {
    rmSync(own, { force: true })
  }
}

function refuseLong(path: string, own: string): void {
  const limit = maxSocketPathBytes(process.platform)
  const bytes = Math.max(Buffer.byteLength(path), Buffer.byteLength(own))
  if (bytes <= limit) return
  const why = `${bytes} bytes are too many for a socket's path, which holds ${limit} on this system; choose a shorter one`
  throw new SocketError('path-too-long', path, why)
}

/** Under a name that nobody looks for: between bind(2) and listen(2) a socket looks dead, and its mode is not settled yet. */
async function bind(server: Server, own: string): Promise<void> {
  const umask = process.umask(0o177)
  try {
    // Binds and listens before it returns; only the event comes later.
    server.listen({ path: own, backlog })
  } finally {
    process.umask(umask)
  }
  await once(server, 'listening')
}

/** Gives the socket at `own`, which listens already, the name `path`: by link(2), which fails where there is anything, or by
 *  rename(2) over a dead socket. Only who holds that dead socket's claim may rename over it, and whoever holds it looks again
 *  first: so nobody renames over one that came alive in between. A claim is a name of the claimant's own live socket,
 *  placed by the same rules, so that a claimant's death leaves a dead claim and not a deadlock. */
async function place(own: string, path: string, shown: string): Promise<void> {
  for (;;) {
    const there = lookAt(path, shown)
    if (there === null) {
      if (tryLink(own, path)) return
    } else {
      if (await answers(path)) {
        throw new SocketError(
          'in-use',
          shown,
          'a running instance has it; stop that one first (telec daemon --stop), or use it',
        )
      }
      const claim = claimPath(path, there)
      await place(own, claim, shown)
      if (isSame(there, lstatSync(path, { bigint: true, throwIfNoEntry: false }))) {
        renameSync(claim, path)
        return
      }
      unlinkSync(claim)
    }
  }
}

export function claimPath(path: string, { dev, ino, ctimeNs }: BigIntStats): string {
  return join(dirname(path), `.${shortName(createHash('sha256').update(`${dev} ${ino} ${ctimeNs}`).digest())}`)
}

/** Not longer than `api.sock` with its dot, so that the limit of the path's length is that of the socket itself. */
function shortName(bytes: Buffer): string {
  return bytes.readBigUInt64BE().toString(36).padStart(13, '0').slice(-7)
}

/** The change time tells a socket from a later one that was given its inode number again. */
function isSame(one: BigIntStats, other: BigIntStats | undefined): boolean {
  return other !== undefined && one.dev === other.dev && one.ino === other.ino && one.ctimeNs === other.ctimeNs
}

/** The socket at the path, or null where there is nothing. @throws SocketError 'not-a-socket' for anything else */
function lookAt(path: string, shown: string): BigIntStats | null {
  const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false })
  if (stats === undefined) return null
  if (stats.isSocket()) return stats
  const kind = stats.isDirectory()
    ? 'a directory'
    : stats.isSymbolicLink()
      ? 'a symbolic link'
      : 'a file that is no socket'
  const mend = `move it out of the way: mv ${shellQuote(path)} ${shellQuote(`${path}.old`)}`
  throw new SocketError('not-a-socket', shown, `${kind} is there; ${mend}`)
}

function tryLink(own: string, path: string): boolean {
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false
    throw error
  }
}

/** Whether somebody listens there, answering or not: a full queue (EAGAIN) is somebody's. */
async function answers(path: string): Promise<boolean> {
  const socket = createConnection(path)
  try {
    await once(socket, 'connect')
    return true
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ECONNREFUSED' || code === 'ENOENT') return false
    if (code === 'EAGAIN') return true
    throw error
  } finally {
    socket.destroy()
  }
}

/** Before the server stops listening: while it listens, nobody takes its socket for a dead one, so what has our inode number
 *  is ours. Node itself removes the name that was bound, which is gone by then. */
function removeWithClose(server: Server, path: string, ours: BigIntStats): void {
  const close = server.close.bind(server)
  server.close = (callback) => {
    try {
      const there = lstatSync(path, { bigint: true, throwIfNoEntry: false })
      if (server.listening && there?.dev === ours.dev && there.ino === ours.ino) unlinkSync(path)
    } finally {
      close(callback)
    }
    return server
  }
}

function systemError(path: string, cause: unknown): SocketError {
  const code = errorCode(cause)
  const directory = shellQuote(dirname(path))
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const mend = `the service's user has to be able to write to its directory, and to own what lies there: ls -la ${directory}`
    return new SocketError('not-permitted', path, `${code}; ${mend}`, { cause })
  }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new SocketError('no-directory', path, `its directory is not there; make it: mkdir -m 700 -p ${directory}`, {
      cause,
    })
  }
  return new SocketError('failed', path, cause instanceof Error ? cause.message : String(cause), { cause })
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
