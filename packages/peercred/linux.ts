// Linux: SO_PEERCRED and SO_PEERGROUPS (unix(7), socket(7)). The kernel notes both at connect(2) - on the connecting
// side, what the listener had at listen(2) - so they outlive the peer and don't change when it changes its uid.

import { readFileSync } from 'node:fs'
import type { PeerCredentials } from '@teleclaude/core/caller.ts'
import { type Libc, libc } from './libc.ts'
import { PeerError } from './peer-error.ts'

// include/uapi/asm-generic/socket.h. Other architectures number some of these differently, and are refused.
const architectures: readonly string[] = ['x64', 'arm64', 'arm', 'ia32', 'riscv64', 'loong64', 's390x']
const solSocket = 1
const soPeerCred = 17
const soDomain = 39
const soPeerGroups = 59

const afUnix = 1
const noUid = 0xffff_ffff
const ucredBytes = 12
const gidBytes = 4
/** NGROUPS_MAX, include/uapi/linux/limits.h */
const maxGroups = 65_536

const domain = new Uint32Array(1)
const ucred = Buffer.alloc(ucredBytes)
let groups = new Uint8Array(64 * gidBytes)

/** @throws PeerError */
export function readLinuxPeer(fd: number): PeerCredentials {
  const { getSocketOption } = prepareLinux()
  const domainLength = getSocketOption(fd, solSocket, soDomain, new Uint8Array(domain.buffer))
  if (domainLength !== domain.byteLength) throw malformed(`SO_DOMAIN has ${domainLength} bytes`)
  if (domain[0] !== afUnix) {
    const message = `cannot identify the peer: its socket is of address family ${domain[0]}, not a Unix socket`
    throw new PeerError('not-a-unix-socket', message)
  }
  const { uid, gid, pid } = parseUcred(ucred.subarray(0, getSocketOption(fd, solSocket, soPeerCred, ucred)))
  refuseUnmapped(uid, overflowUid())
  return { uid, gid, groups: readGroups(fd, getSocketOption), pid }
}

/** What a read needs of the machine. @throws PeerError where it lacks that. */
export function prepareLinux(): Libc {
  if (!architectures.includes(process.arch)) {
    const message = `cannot identify peers on Linux for ${process.arch}: it is supported on ${architectures.join(', ')}`
    throw new PeerError('unsupported-platform', message)
  }
  overflowUid()
  return libc()
}

function readGroups(fd: number, getSocketOption: Libc['getSocketOption']): readonly number[] {
  let length = getSocketOption(fd, solSocket, soPeerGroups, groups)
  if (length > groups.byteLength) {
    if (length > maxGroups * gidBytes) throw malformed(`SO_PEERGROUPS wants ${length} bytes`)
    groups = new Uint8Array(length)
    length = getSocketOption(fd, solSocket, soPeerGroups, groups)
    if (length > groups.byteLength) throw malformed('SO_PEERGROUPS grew between two reads')
  }
  return parseGroups(groups.subarray(0, length))
}

/** `struct ucred`: pid, uid, gid, in the machine's byte order. @throws PeerError 'malformed' */
export function parseUcred(bytes: Uint8Array): { readonly pid: number; readonly uid: number; readonly gid: number } {
  if (bytes.byteLength !== ucredBytes) throw malformed(`SO_PEERCRED has ${bytes.byteLength} bytes, not ${ucredBytes}`)
  const [pid = 0, uid = noUid, gid = noUid] = new Uint32Array(new Uint8Array(bytes).buffer)
  if (pid > 0x7fff_ffff) throw malformed(`SO_PEERCRED has the pid ${pid}`)
  return { pid, uid, gid }
}

/** An array of gid_t, in the machine's byte order. @throws PeerError 'malformed' */
export function parseGroups(bytes: Uint8Array): readonly number[] {
  if (bytes.byteLength % gidBytes !== 0)
    throw malformed(`SO_PEERGROUPS has ${bytes.byteLength} bytes, no whole number of groups`)
  return [...new Uint32Array(new Uint8Array(bytes).buffer)]
}

/** Everybody without a uid in this user namespace looks alike (user_namespaces(7)): they can't be told apart, nor from the
 *  account that has this uid. @throws PeerError 'unmapped-uid' */
export function refuseUnmapped(uid: number, overflow: number): void {
  if (uid === noUid) throw new PeerError('unmapped-uid', 'cannot identify the peer: the kernel knows no uid of it')
  if (uid === overflow) {
    const message =
      `cannot identify the peer: uid ${uid} stands for everybody whose uid has no number here (user namespaces); ` +
      'connect as an ordinary user, from outside of a user namespace'
    throw new PeerError('unmapped-uid', message)
  }
}

let knownOverflowUid: number | undefined

function overflowUid(): number {
  knownOverflowUid ??= readOverflowUid('/proc/sys/kernel/overflowuid')
  return knownOverflowUid
}

/** @throws PeerError 'reader-unavailable' where the file does not hold a uid. */
export function readOverflowUid(path: string): number {
  try {
    const text = readFileSync(path, 'ascii').trim()
    if (!/^\d{1,10}$/.test(text)) throw new Error('it holds no number')
    return Number(text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new PeerError('reader-unavailable', `cannot identify peers: ${path} is needed: ${why}`, { cause })
  }
}

function malformed(what: string): PeerError {
  return new PeerError('malformed', `cannot identify the peer: ${what}`)
}
