// System mode: the uid, its account's name and its groups make the person, by the configuration's rules as they are at that
// moment. Uids that stand for nobody in particular have been refused before, when the peer was read (peercred).

import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import { nobody, type People, type Resolution, resolvePerson } from '@teleclaude/core/people.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { BoundAccount } from '@teleclaude/store/contract.ts'
import type { Accounts } from './accounts.ts'
import { accountNamed, groupsAtLogin, nameOf } from './directory.ts'
import type { Identity } from './identity.ts'

/** uid -1 is nobody's (setreuid(2)). */
const noUid = 0xffff_ffff

/** @param people asked for every request */
export function systemIdentity(people: () => People, accounts: Accounts): Identity {
  function resolve(peer: PeerCredentials): Caller {
    const osUser = nameOf(peer.uid)
    const resolution = resolvePerson(people(), peer, osUser)
    const standing = accounts.standingOf(peer.uid, osUser)
    const outcome =
      resolution.person !== null && standing.kind === 'stranger'
        ? quarantine(peer.uid, osUser, standing.was)
        : withLateGroup(people(), peer, osUser, resolution)
    return { credentials: peer, osUser, ...outcome }
  }

  let named: { readonly rules: People; readonly uids: ReadonlySet<number> } | null = null

  return {
    refuse: () => null,
    resolve,
    isNamed(uid) {
      const rules = people()
      if (named?.rules !== rules) named = { rules, uids: namedUids(rules) }
      return named.uids.has(uid)
    },
    imagine(name) {
      const rules = people()
      const person = rules.people.find((candidate) => candidate.name === name)
      const account = (person?.osUsernames ?? [name])
        .map((osUsername) => accountNamed(osUsername))
        .find((found) => found !== null)
      const uid = account?.uid ?? person?.osUids[0]
      if (uid !== undefined) {
        const groups = groupsAtLogin(uid)
        return resolve({ uid, gid: account?.gid ?? noUid, groups, pid: 0 })
      }
      // A person whose account is not there yet.
      const [osUser = null] = person?.osUsernames ?? []
      if (osUser === null) return null
      const credentials = { uid: noUid, gid: noUid, groups: [], pid: 0 }
      return { credentials, osUser, ...resolvePerson(rules, credentials, osUser) }
    },
    imagineUid(uid) {
      const osUser = nameOf(uid)
      const gid = osUser === null ? noUid : (accountNamed(osUser)?.gid ?? noUid)
      const credentials = { uid, gid, groups: groupsAtLogin(uid), pid: 0 }
      const isStranger = accounts.standingOf(uid, osUser).kind === 'stranger'
      return { caller: { credentials, osUser, ...resolvePerson(people(), credentials, osUser) }, isStranger }
    },
    explainAccount({ credentials: { uid }, osUser }) {
      const account = osUser === null ? `uid ${uid} has no account` : `uid ${uid} is the account ${osUser}`
      const standing = accounts.standingOf(uid, osUser)
      return [
        { step: 'account', says: `the system's user directory says that ${account}`, place: null },
        { step: 'binding', says: describeStanding(standing), place: null },
      ]
    },
  }
}

function namedUids({ people }: People): ReadonlySet<number> {
  return new Set(people.flatMap(({ osUids, osUsernames }) => [...osUids, ...osUsernames.flatMap(uidOf)]))
}

/** None where the accounts can't be looked up now: that they are named is then found out when they come. */
function uidOf(osUsername: string): readonly number[] {
  try {
    const uid = accountNamed(osUsername)?.uid
    return uid === undefined ? [] : [uid]
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    return []
  }
}

function describeStanding(standing: ReturnType<Accounts['standingOf']>): string {
  switch (standing.kind) {
    case 'bound':
      return `it is the account that it was when it was bound, on ${formatInstant(standing.account.boundAtUs)}`
    case 'new':
      return 'neither the uid nor the name has been used here before; the first use as somebody binds them together'
    case 'stranger':
      return "it is another account than the one that was bound, and has nothing of what was that one's"
  }
}

/** Whose it was before is for admins to know (`telec people ls`). */
function quarantine(uid: number, osUser: string | null, was: BoundAccount): Resolution {
  const now = osUser === null ? `uid ${uid}, which has no account now,` : `the account ${osUser} (uid ${uid})`
  const because = `${now} is not who was seen here before under that ${was.uid === uid ? 'uid' : 'name'}`
  return nobody(because, `${because}: an admin has to say whose it is (telec people rebind ${uid})`)
}

/** Groups are those of the login (credentials(7)): who was added to one later has it from the next login on, and is told so. */
function withLateGroup(rules: People, peer: PeerCredentials, osUser: string | null, found: Resolution): Resolution {
  const { rule } = found
  const isNamed = rule !== null && rule !== 'accounts' && !rule.startsWith('groups.')
  if (rules.groups.length === 0 || osUser === null || peer.uid === 0 || isNamed) return found
  const has = new Set([peer.gid, ...peer.groups])
  const first = rules.groups.findIndex(({ gid }) => has.has(gid))
  const better = first === -1 ? rules.groups : rules.groups.slice(0, first)
  if (better.length === 0) return found
  const groups = groupsAtLogin(peer.uid)
  const late = better.find(({ gid }) => groups.includes(gid))
  if (late === undefined) return found
  const hint = `group ${late.gid} makes you ${late.role}, but this login is older than your membership of it: log in again`
  const because = `${found.because}; ${hint}`
  return found.person === null ? nobody(because, hint) : { ...found, because }
}
