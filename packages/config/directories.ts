// Directories that hold somebody's sessions. Whoever can write into one can put another socket, database or log in the
// place of ours, so one that is not its owner's alone is refused and never quietly used.

import { accessSync, chmodSync, constants, lstatSync, mkdirSync, type Stats } from 'node:fs'
import { shellQuote } from './shell-quote.ts'

export type DirectoryErrorCode =
  | 'missing'
  | 'symlink'
  | 'not-a-directory'
  | 'foreign-owner'
  | 'writable-by-others'
  | 'not-writable'

export class DirectoryError extends Error {
  override readonly name = 'DirectoryError'
  readonly code: DirectoryErrorCode
  readonly why: string
  /** What to do: ends with a command after a colon, where there is one. */
  readonly mend: string
  constructor(
    code: DirectoryErrorCode,
    path: string,
    why: string,
    mend: string,
    options?: { readonly cause?: unknown },
  ) {
    super(`cannot use the directory ${path}: ${why}; ${mend}`, options)
    this.code = code
    this.why = why
    this.mend = mend
  }
}

/** Makes the directory, and parents that are missing, with mode 0700. One that is there and that others may only read is
 *  closed to them.
 *  @throws DirectoryError */
export function ensurePrivateDirectory(path: string): void {
  try {
    // Before anything is made inside of what may not be ours.
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found !== undefined) refuseShared(path, found)
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const made = lstatSync(path)
    refuseShared(path, made)
    if ((made.mode & 0o777) !== 0o700) chmodSync(path, 0o700)
  } catch (cause) {
    if (cause instanceof DirectoryError) throw cause
    const why = cause instanceof Error ? cause.message : String(cause)
    const mend = 'it has to be in a place that you can write to, with room; HOME says where'
    throw new DirectoryError('not-writable', path, why, mend, { cause })
  }
}

/** @throws DirectoryError where what is at the path is no directory of the caller's own, or others can write into it. */
export function refuseShared(path: string, stats: Stats): void {
  refuseOther(path, stats)
  const quoted = shellQuote(path)
  const ownUid = process.getuid?.()
  if (stats.uid !== ownUid) {
    const why = `it belongs to uid ${stats.uid} and you are uid ${ownUid}`
    throw new DirectoryError(
      'foreign-owner',
      path,
      why,
      `if it is meant to be yours: sudo chown -R ${ownUid} ${quoted}`,
    )
  }
  if ((stats.mode & 0o022) !== 0) {
    throw new DirectoryError('writable-by-others', path, 'others can write into it', `close it: chmod 700 ${quoted}`)
  }
}

function refuseOther(path: string, stats: Stats): void {
  const quoted = shellQuote(path)
  if (stats.isSymbolicLink()) {
    const why = 'it is a symbolic link, and what it leads to can change'
    throw new DirectoryError('symlink', path, why, `remove it: rm ${quoted}`)
  }
  if (!stats.isDirectory()) {
    const mend = `move it out of the way: mv ${quoted} ${shellQuote(`${path}.old`)}`
    throw new DirectoryError('not-a-directory', path, 'something else is there', mend)
  }
}

/** Of a directory that a service shares with everybody who connects to it: root's or the service's own, where this process
 *  can make its socket and nobody else can put another in its place. Its group may write only where it can't take away what is
 *  another's (the sticky bit, inode(7)).
 *  @throws DirectoryError */
export function requireServiceDirectory(path: string): void {
  const uid = process.geteuid?.()
  const quoted = shellQuote(path)
  const give = `sudo chown ${uid} ${quoted} && sudo chmod 755 ${quoted}`
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) {
    throw new DirectoryError('missing', path, 'it is not there', `make it: sudo mkdir -p ${quoted} && ${give}`)
  }
  refuseOther(path, stats)
  if (stats.uid !== 0 && stats.uid !== uid) {
    const why = `it belongs to uid ${stats.uid}, who could put another socket in it; this service is uid ${uid}`
    throw new DirectoryError('foreign-owner', path, why, `give it to the service: ${give}`)
  }
  const isSticky = (stats.mode & 0o1000) !== 0
  if ((stats.mode & 0o002) !== 0 || ((stats.mode & 0o020) !== 0 && !isSticky)) {
    const mend = `close it: sudo chmod ${isSticky ? 'o-w' : 'go-w'} ${quoted}`
    throw new DirectoryError('writable-by-others', path, 'others can write into it', mend)
  }
  try {
    accessSync(path, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const why = `uid ${uid}, which this service runs as, can't write into it`
    throw new DirectoryError('not-writable', path, why, `give it to the service: ${give}`, { cause })
  }
}
