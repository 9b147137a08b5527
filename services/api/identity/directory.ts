// The machine's accounts, as its own resolution knows them (passwd, directory services).

import { ProblemError } from '@teleclaude/core/problem.ts'
import { loginGroupsOf, osAccountOf, osUserOf } from '@teleclaude/peercred/os-user.ts'
import { PeerError } from '@teleclaude/peercred/peer-error.ts'

export const nameOf = guarded(osUserOf)
export const accountNamed = guarded(osAccountOf)
export const groupsAtLogin = guarded(loginGroupsOf)

/** While accounts can't be looked up nobody can be told from anybody else who has had that uid.
 *  @throws ProblemError 'unavailable' */
function guarded<Key, Found>(find: (key: Key) => Found): (key: Key) => Found {
  return (key) => {
    try {
      return find(key)
    } catch (error) {
      if (!(error instanceof PeerError)) throw error
      throw new ProblemError('unavailable', `cannot serve you now: ${error.message}`, { cause: error })
    }
  }
}
