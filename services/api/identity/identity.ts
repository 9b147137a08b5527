import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'

/** Who the kernel's facts of a peer stand for, in one of the two modes. */
export type Identity = {
  /** Why this peer is not served at all, or null where it is. */
  refuse(peer: PeerCredentials): string | null
  resolve(peer: PeerCredentials): Caller
}
