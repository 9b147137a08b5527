// The C library calls that Node lacks, through koffi. Loaded on first use: koffi takes milliseconds to load, and most
// of what imports this package never reads a peer.

import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'
import { PeerError } from './peer-error.ts'

export type Libc = {
  /** getsockopt(2) into `value`. Returns how many bytes the option has: more than fit means that `value` holds none of it.
   *  @throws PeerError */
  getSocketOption(fd: number, level: number, option: number, value: Uint8Array): number
  /** getpwuid_r(3), or getpwnam_r(3), with `strings` as its scratch space. */
  getUser(key: number | string, strings: Uint8Array): FoundUser
  /** getgrouplist(3): the groups that a new login of the user would have, `gid` among them. Returns how many there are: more
   *  than fit means that `groups` holds only the first of them. */
  getGroupList(name: string, gid: number, groups: Uint32Array): number
}

export type OsAccount = { readonly name: string; readonly uid: number; readonly gid: number }
/** `errno` is 0 also where there is no such user. */
export type FoundUser = { readonly errno: number; readonly user: OsAccount | null }

let prepared: Libc | undefined

/** @throws PeerError 'reader-unavailable' */
export function libc(): Libc {
  prepared ??= prepare()
  return prepared
}

function prepare(): Libc {
  try {
    return bind(createRequire(import.meta.url)('koffi'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const mend = 'install the dependencies again (npm ci) on this machine, with optional ones'
    throw new PeerError('reader-unavailable', `cannot identify peers: koffi does not load: ${why}; ${mend}`, { cause })
  }
}

function bind(koffi: typeof import('koffi')): Libc {
  // Node itself is linked against the C library, under whatever name that has here.
  const library = koffi.load(null)
  const getsockopt: (fd: number, level: number, option: number, value: Uint8Array, length: Uint32Array) => number =
    library.func('int getsockopt(int, int, int, void *, void *)')
  type Lookup<Key> = (key: Key, entry: Uint8Array, strings: Uint8Array, size: number, found: BigUint64Array) => number
  const getpwuid: Lookup<number> = library.func('int getpwuid_r(uint32_t, void *, void *, size_t, void *)')
  const getpwnam: Lookup<string> = library.func('int getpwnam_r(const char *, void *, void *, size_t, void *)')
  const getgrouplist: (name: string, gid: number, groups: Uint32Array, count: Int32Array) => number = library.func(
    'int getgrouplist(const char *, uint32_t, void *, void *)',
  )

  // Calls are synchronous and a module belongs to one thread, so their buffers can be shared.
  const length = new Uint32Array(1)
  const entry = new Uint8Array(512) // struct passwd: 48 bytes on Linux, 72 on macOS
  // pw_name and pw_passwd come first on every platform, then pw_uid and pw_gid.
  const ids = new Uint32Array(entry.buffer, 2 * koffi.sizeof('void *'), 2)
  const found = new BigUint64Array(1)
  const count = new Int32Array(1)
  return {
    getSocketOption(fd, level, option, value) {
      length[0] = value.byteLength
      const failed = getsockopt(fd, level, option, value, length) !== 0
      const size = length[0]
      // SO_PEERGROUPS fails with ERANGE and says how much it needs (Linux, net/core/sock.c).
      if (failed && size <= value.byteLength) throw socketError(koffi.errno())
      return size
    },
    getUser(key, strings) {
      found[0] = 0n
      const errno =
        typeof key === 'number'
          ? getpwuid(key, entry, strings, strings.byteLength, found)
          : getpwnam(key, entry, strings, strings.byteLength, found)
      if (errno !== 0 || found[0] === 0n) return { errno, user: null }
      const [uid = 0, gid = 0] = ids
      return { errno, user: { name: koffi.decode(entry, 'char *'), uid, gid } }
    },
    getGroupList(name, gid, groups) {
      count[0] = groups.length
      getgrouplist(name, gid, groups, count)
      return count[0]
    },
  }
}

function socketError(errno: number): PeerError {
  const name = errno > 0 ? getSystemErrorName(-errno) : 'no reason given'
  if (name === 'EBADF' || name === 'ENOTCONN') {
    return new PeerError('not-connected', `cannot identify the peer: the socket is not connected (${name})`)
  }
  if (name === 'ENOTSOCK') return new PeerError('not-a-unix-socket', 'cannot identify the peer: this is no socket')
  return new PeerError('kernel-refused', `cannot identify the peer: getsockopt failed with ${name}`)
}
