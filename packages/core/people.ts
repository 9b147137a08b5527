// From what the kernel says of a caller to a person and a role, by the rules of the system's configuration. Pure: the
// account name of the uid is looked up by whoever asks.

import type { Caller, PeerCredentials } from './caller.ts'
import type { Role } from './role.ts'

export type GrantedRole = Exclude<Role, 'public'>

/** A human whom the configuration names, with the OS users that are theirs. */
export type Person = {
  readonly name: string
  readonly role: GrantedRole
  readonly osUsernames: readonly string[]
  readonly osUids: readonly number[]
  /** The configuration's key that says so. */
  readonly rule: string
}

/** Everybody in a group of the kernel's is somebody, under the name of their account. */
export type GroupGrant = { readonly gid: number; readonly role: GrantedRole }

export type People = {
  readonly people: readonly Person[]
  /** In this order: the first that matches counts. */
  readonly groups: readonly GroupGrant[]
  /** Everybody with an account of this machine from `minUid` to `maxUid`, under its name. Null: nobody who is not named. */
  readonly accounts: { readonly role: GrantedRole; readonly minUid: number; readonly maxUid: number } | null
}

export type Resolution = Pick<Caller, 'person' | 'role' | 'because' | 'rule' | 'refusal'>

/** The key that names an admin outside of `people`. */
const adminRule = 'admin_uid'

const unknown = 'this service does not know you: an admin has to add you to its people'

export function nobody(because: string, refusal = unknown): Resolution {
  return { person: null, role: 'public', because, rule: null, refusal }
}

function somebody(person: string, role: GrantedRole, rule: string, because: string): Resolution {
  return { person, role, because, rule, refusal: unknown }
}

/** `osUser`: the account name of the credentials' uid, or null where it has none. Unknown is never more than `public`, and
 *  uid 0 is somebody only where `people` names it. */
export function resolvePerson(rules: People, peer: PeerCredentials, osUser: string | null): Resolution {
  for (const { name, role, osUsernames, osUids, rule } of rules.people) {
    if (osUids.includes(peer.uid)) {
      const key = rule === adminRule ? adminRule : 'people'
      return somebody(name, role, rule, `${key}: ${name} has os_uid ${peer.uid}`)
    }
    if (osUser !== null && osUsernames.includes(osUser)) {
      return somebody(name, role, rule, `people: ${name} has os_username ${osUser}`)
    }
  }
  if (osUser === null) return nobody(`no person has os_uid ${peer.uid}, and that uid has no account on this machine`)
  if (peer.uid === 0) return nobody('no person has root as os_username or os_uid 0')
  // An account whose name is also some other human's would be taken for that human.
  if (rules.people.some(({ name }) => name === osUser)) {
    return nobody(`the account ${osUser} is called like a person whom it does not belong to`)
  }
  for (const { gid, role } of rules.groups) {
    if (peer.gid === gid || peer.groups.includes(gid)) {
      return somebody(osUser, role, `groups.${gid}`, `groups: everybody in group ${gid}`)
    }
  }
  if (rules.accounts !== null && peer.uid >= rules.accounts.minUid && peer.uid <= rules.accounts.maxUid) {
    const because = `accounts: every account with a uid from ${rules.accounts.minUid} to ${rules.accounts.maxUid}`
    return somebody(osUser, rules.accounts.role, 'accounts', because)
  }
  return nobody(`no rule of people, groups or accounts names ${osUser} (uid ${peer.uid})`)
}

/** The rules with the uid's person as an admin. Where a person of theirs has that uid or account already, they stay as they
 *  are. `account`: the name of the uid's account, or null where it has none. */
export function withAdmin(rules: People, uid: number, account: string | null): People {
  const { people } = rules
  const isNamed = people.some(
    ({ osUids, osUsernames }) => osUids.includes(uid) || (account !== null && osUsernames.includes(account)),
  )
  if (isNamed) return rules
  // A person of that name who does not have this uid is another human.
  const isFree = account !== null && !people.some(({ name }) => name === account)
  const name = isFree ? account : `uid-${uid}`
  return { ...rules, people: [...people, { name, role: 'admin', osUsernames: [], osUids: [uid], rule: adminRule }] }
}
