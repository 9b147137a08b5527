// Who is at the other end of a connected Unix socket, as the kernel says. Never a guess: whatever is off throws.

import type { Socket } from 'node:net'
import type { PeerCredentials } from '@teleclaude/core/caller.ts'
import { readDarwinPeer } from './darwin.ts'
import { libc } from './libc.ts'
import { prepareLinux, readLinuxPeer } from './linux.ts'
import { PeerError } from './peer-error.ts'

/** Reads it once, when the connection is accepted: a later read is of no use once the connection is closed.
 *  On the connecting side, it tells who listens.
 *  @throws PeerError: the connection must be refused then. */
export function readPeer(socket: Socket): PeerCredentials {
  return readPeerOfDescriptor(fileDescriptor(socket))
}

/** The same of a connected socket's descriptor. @throws PeerError */
export function readPeerOfDescriptor(fd: number): PeerCredentials {
  switch (process.platform) {
    case 'linux':
      return readLinuxPeer(fd)
    case 'darwin':
      return readDarwinPeer(fd)
    default:
      throw unsupported()
  }
}

/** Loads what `readPeer` needs, so that its lack shows at the start and not at the first connection.
 *  @throws PeerError */
export function preparePeerReader(): void {
  if (process.platform === 'linux') prepareLinux()
  else if (process.platform === 'darwin') libc()
  else throw unsupported()
}

function unsupported(): PeerError {
  const message = `cannot identify peers on ${process.platform}: its sockets carry no identity; Linux and macOS are supported`
  return new PeerError('unsupported-platform', message)
}

/** Node has no public way to a socket's descriptor; `_handle.fd` has been there since its first versions. */
function fileDescriptor(socket: Socket): number {
  const handle: unknown = socket.connecting || !('_handle' in socket) ? null : socket._handle
  const fd: unknown = typeof handle === 'object' && handle !== null && 'fd' in handle ? handle.fd : null
  if (typeof fd === 'number' && Number.isInteger(fd) && fd >= 0) return fd
  throw new PeerError('not-connected', 'cannot identify the peer: the socket is not connected')
}
