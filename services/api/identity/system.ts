// System mode: the uid, its account's name and its groups make the person, by the configuration's rules as they are at that
// moment. Uids that stand for nobody in particular have been refused before, when the peer was read (peercred).

import { type People, resolvePerson } from '@teleclaude/core/people.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { osUserOf } from '@teleclaude/peercred/os-user.ts'
import { PeerError } from '@teleclaude/peercred/peer-error.ts'
import type { Identity } from './identity.ts'

/** @param people asked for every request */
export function systemIdentity(people: () => People): Identity {
  return {
    refuse: () => null,
    resolve(peer) {
      const osUser = accountOf(peer.uid)
      return { credentials: peer, osUser, ...resolvePerson(people(), peer, osUser) }
    },
  }
}

/** While accounts can't be looked up nobody can be told from anybody else who has had that uid. */
function accountOf(uid: number): string | null {
  try {
    return osUserOf(uid)
  } catch (error) {
    if (!(error instanceof PeerError)) throw error
    throw new ProblemError('not-permitted', `cannot serve you now: ${error.message}`, { cause: error })
  }
}
