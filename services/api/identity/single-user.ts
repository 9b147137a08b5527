// Single-user mode: the daemon's own uid is the one person, with every right; every other uid is refused.

import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'
import type { Identity } from './identity.ts'

export function singleUserIdentity(own: { readonly uid: number; readonly osUser: string }): Identity {
  const resolve = (peer: PeerCredentials): Caller => ({
    credentials: peer,
    osUser: own.osUser,
    person: own.osUser,
    role: 'admin',
    because: `single-user mode: this daemon runs as uid ${own.uid}, which is yours`,
    rule: null,
    refusal: 'this TeleClaude serves somebody else',
  })
  const credentials = { uid: own.uid, gid: own.uid, groups: [], pid: 0 }
  return {
    refuse: (peer) =>
      peer.uid === own.uid
        ? null
        : `this TeleClaude runs in single-user mode and serves ${own.osUser} (uid ${own.uid}) alone; you are uid ${peer.uid}`,
    resolve,
    isNamed: (uid) => uid === own.uid,
    imagine: (name) => (name === own.osUser ? resolve(credentials) : null),
    imagineUid: () => ({ caller: resolve(credentials), isStranger: false }),
    explainAccount: () => [],
  }
}
