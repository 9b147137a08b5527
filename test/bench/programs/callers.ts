// The users of the machine that the bench of identity connects as, and what its server's rules say of them.

export type Kind = 'person' | 'group' | 'stranger' | 'new'
export type User = {
  readonly kind: Kind
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

const ownUid = process.getuid?.() ?? 0
const isRoot = ownUid === 0

/** Named by uid, and an account of the machine by its group: the system's own user `daemon`, which has uid 1 everywhere. */
export const person: User = isRoot
  ? { kind: 'person', uid: 54_050, gid: 54_050, groups: manyGroups(30_000) }
  : { kind: 'person', uid: ownUid, gid: ownUid, groups: [] }
export const group: User = { kind: 'group', uid: 1, gid: 1, groups: manyGroups(31_000) }
const stranger: User = { kind: 'stranger', uid: 54_051, gid: 54_051, groups: manyGroups(32_000) }

/** Only root can be others. */
export const users: readonly User[] = isRoot ? [person, group, stranger] : [person]
export const grantedGid = group.groups.at(-1) ?? 0

/** Each connects once. */
const firstNewUid = 56_000
export const newUsers = { first: firstNewUid, last: firstNewUid + 3_999 }

export function kindOf(uid: number): Kind {
  if (uid >= newUsers.first && uid <= newUsers.last) return 'new'
  return users.find((user) => user.uid === uid)?.kind ?? 'person'
}

function manyGroups(first: number): number[] {
  return Array.from({ length: 16 }, (_, index) => first + index)
}
