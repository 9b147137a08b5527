// macOS: LOCAL_PEERCRED and LOCAL_PEERPID (unix(4)). The credentials are those the peer had at connect(2), or at
// listen(2) on the connecting side.

import type { PeerCredentials } from '@teleclaude/core/caller.ts'
import { libc } from './libc.ts'
import { PeerError } from './peer-error.ts'

// sys/un.h
const solLocal = 0
const localPeerCred = 1
const localPeerPid = 2

// struct xucred in sys/ucred.h: cr_version (u32), cr_uid (u32), cr_ngroups (i16), padding, cr_groups (16 x u32).
const xucredVersion = 0
const maxGroups = 16
const ngroupsOffset = 8
const groupsOffset = 12
const xucredBytes = groupsOffset + 4 * maxGroups
const noUid = 0xffff_ffff

const xucred = Buffer.alloc(xucredBytes)
const pidBytes = Buffer.alloc(4)

/** @throws PeerError */
export function readDarwinPeer(fd: number): PeerCredentials {
  const { getSocketOption } = libc()
  const { uid, gid, groups } = parseXucred(xucred.subarray(0, getSocketOption(fd, solLocal, localPeerCred, xucred)))
  return { uid, gid, groups, pid: readPid(() => getSocketOption(fd, solLocal, localPeerPid, pidBytes)) }
}

/** Level 0 is IPPROTO_IP on other sockets, where option 1 is IP_OPTIONS, at most 44 bytes: the length tells them apart.
 *  Accounts in more than 16 groups show the first 16 only. Little-endian, as every machine that macOS runs on.
 *  @throws PeerError 'malformed' or 'unmapped-uid' */
export function parseXucred(bytes: Buffer): Omit<PeerCredentials, 'pid'> {
  if (bytes.length !== xucredBytes) throw malformed(`LOCAL_PEERCRED has ${bytes.length} bytes, not ${xucredBytes}`)
  const version = bytes.readUInt32LE(0)
  if (version !== xucredVersion) throw malformed(`LOCAL_PEERCRED has version ${version}, not ${xucredVersion}`)
  const uid = bytes.readUInt32LE(4)
  if (uid === noUid) throw new PeerError('unmapped-uid', 'cannot identify the peer: the kernel knows no uid of it')
  const count = bytes.readInt16LE(ngroupsOffset)
  // What lies beyond the count is left over from whatever was there before: never a group of the peer.
  if (count < 1 || count > maxGroups) throw malformed(`LOCAL_PEERCRED has ${count} groups`)
  const [gid = noUid, ...groups] = Array.from({ length: count }, (_, index) =>
    bytes.readUInt32LE(groupsOffset + 4 * index),
  )
  return { uid, gid, groups }
}

/** The pid is for the record only. Unlike the credentials it can't be had once the peer has closed: then it is 0. */
function readPid(read: () => number): number {
  try {
    const length = read()
    if (length !== pidBytes.length) throw malformed(`LOCAL_PEERPID has ${length} bytes`)
    return pidBytes.readInt32LE(0)
  } catch (error) {
    if (error instanceof PeerError && error.code === 'not-connected') return 0
    throw error
  }
}

function malformed(what: string): PeerError {
  return new PeerError('malformed', `cannot identify the peer: ${what}`)
}
