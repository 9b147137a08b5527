// uid -> account name by the system's own resolution (nsswitch, Open Directory), not by reading files.

import { constants, userInfo } from 'node:os'
import { libc } from './libc.ts'
import { PeerError } from './peer-error.ts'

/** How long an answer is good for: a directory service can be slow, and the call blocks. */
const freshMs = 30_000
const maxRemembered = 1024
const maxEntryBytes = 1024 * 1024

const remembered = new Map<number, { readonly name: string | null; readonly untilMs: number }>()

/** The account name of a uid, or null where it has none. As old as 30 seconds.
 *  @throws PeerError 'lookup-failed' where the system can't say. */
export function osUserOf(uid: number): string | null {
  const nowMs = performance.now()
  const known = remembered.get(uid)
  if (known !== undefined && nowMs < known.untilMs) return known.name
  const name = uid === process.getuid?.() ? ownName(uid) : lookUp(uid)
  if (remembered.size >= maxRemembered) remembered.clear()
  remembered.set(uid, { name, untilMs: nowMs + freshMs })
  return name
}

/** Without koffi, which the command line can do without. */
function ownName(uid: number): string | null {
  try {
    return userInfo().username
  } catch (error) {
    // Thrown with ENOENT where the uid has no account, as is usual in containers.
    if (error instanceof Error && 'code' in error && error.code === 'ERR_SYSTEM_ERROR') return lookUp(uid)
    throw error
  }
}

function lookUp(uid: number): string | null {
  if (!Number.isInteger(uid) || uid < 0 || uid >= 0xffff_ffff) {
    throw new PeerError('lookup-failed', `cannot look up a user: ${uid} is no uid`)
  }
  const { ERANGE, ENOENT, ESRCH } = constants.errno
  for (let size = 1024; size <= maxEntryBytes; size *= 4) {
    const { errno, name } = libc().getUserName(uid, new Uint8Array(size))
    // getpwuid_r(3): some resolvers say "no such user" by an error.
    if (errno === 0 || errno === ENOENT || errno === ESRCH) return name
    if (errno !== ERANGE) {
      throw new PeerError(
        'lookup-failed',
        `cannot look up uid ${uid}: the system's user directory failed (error ${errno})`,
      )
    }
  }
  throw new PeerError('lookup-failed', `cannot look up uid ${uid}: its entry is larger than ${maxEntryBytes} bytes`)
}
