// Closes connections before Node makes a socket of them, which takes more than all the rest of refusing one. Somebody who connects
// and closes in a loop is met here.

import type { Server } from 'node:http'
import { readPeerOfDescriptor } from '@teleclaude/peercred/peer.ts'
import { PeerError } from '@teleclaude/peercred/peer-error.ts'
import type { Limits } from './user-limits.ts'

/** The server has to listen. Node has no public way to this; where it is not as it was when this was written (Node 24 to 26), what
 *  comes later refuses the same connections, at two or three times the cost. */
export function dropFlood(server: Server, limits: Pick<Limits, 'isFlooded' | 'drops'>): void {
  const handle: unknown = Reflect.get(server, '_handle')
  if (typeof handle !== 'object' || handle === null) return
  const onConnection: unknown = Reflect.get(handle, 'onconnection')
  if (typeof onConnection !== 'function') return
  Reflect.set(handle, 'onconnection', (status: unknown, client: unknown) => {
    if (limits.isFlooded && isPipe(client) && isDropped(limits, client.fd)) client.close()
    else onConnection.call(handle, status, client)
  })
}

type Pipe = { readonly fd: number; close(): void }

function isPipe(client: unknown): client is Pipe {
  if (typeof client !== 'object' || client === null || !('fd' in client) || !('close' in client)) return false
  return typeof client.fd === 'number' && typeof client.close === 'function'
}

function isDropped(limits: Pick<Limits, 'drops'>, fd: number): boolean {
  try {
    return limits.drops(readPeerOfDescriptor(fd))
  } catch (error) {
    // Who can't be identified is refused later, with the reason.
    if (error instanceof PeerError) return false
    throw error
  }
}
