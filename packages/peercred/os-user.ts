// uid -> account name by the system's own resolution (nsswitch, Open Directory), not by reading files.

import { closeSync, openSync, statSync } from 'node:fs'
import { constants, userInfo } from 'node:os'
import { libc, type OsAccount } from './libc.ts'
import { PeerError } from './peer-error.ts'

/** How long an answer is good for: a directory service can be slow, and the call blocks. */
const freshMs = 30_000
/** Accounts of this machine itself come and go with these files: then nothing that was answered before counts. */
const accountFiles = ['/etc/passwd', '/etc/group']
/** How often that they are looked at. */
const lookMs = 250
const maxRemembered = 1024
const maxEntryBytes = 1024 * 1024
/** NGROUPS_MAX, include/uapi/linux/limits.h */
const maxGroups = 65_536
const usualGroups = 256

type Remembered<Value> = Map<number, { readonly value: Value; readonly untilMs: number }>
const names: Remembered<string | null> = new Map()
const groupLists: Remembered<readonly number[]> = new Map()
let lookedAtMs = -lookMs
let accountsState = ''

/** The account name of a uid, or null where it has none. As old as 30 seconds, and no older than the last change of the
 *  machine's own accounts.
 *  @throws PeerError 'lookup-failed' where the system can't say. */
export function osUserOf(uid: number): string | null {
  return remember(names, uid, () => (uid === process.getuid?.() ? ownName(uid) : (lookUp(uid)?.name ?? null)))
}

/** The account of that name, or null where there is none. @throws PeerError 'lookup-failed' */
export function osAccountOf(name: string): OsAccount | null {
  // A NUL would end the name early, in the C library.
  return name === '' || name.includes('\0') ? null : lookUp(name)
}

/** The groups that a new login of the uid would have, none where it has no account; as old as `osUserOf`'s answers.
 *  @throws PeerError 'lookup-failed' */
export function loginGroupsOf(uid: number): readonly number[] {
  return remember(groupLists, uid, () => {
    const user = lookUp(uid)
    if (user === null) return []
    let groups = new Uint32Array(usualGroups)
    let count = libc().getGroupList(user.name, user.gid, groups)
    if (count > groups.length) {
      groups = new Uint32Array(Math.min(count, maxGroups))
      count = libc().getGroupList(user.name, user.gid, groups)
    }
    return [...groups.subarray(0, Math.min(count, groups.length))]
  })
}

function remember<Value>(remembered: Remembered<Value>, uid: number, find: () => Value): Value {
  const nowMs = performance.now()
  forgetWhereAccountsChanged(nowMs)
  const known = remembered.get(uid)
  if (known !== undefined && nowMs < known.untilMs) return known.value
  const value = find()
  if (remembered.size >= maxRemembered) remembered.clear()
  remembered.set(uid, { value, untilMs: nowMs + freshMs })
  return value
}

/** A uid that is given to another account would be the former one's for that long otherwise. */
function forgetWhereAccountsChanged(nowMs: number): void {
  if (nowMs - lookedAtMs < lookMs) return
  lookedAtMs = nowMs
  const state = accountFiles.map(fingerprint).join(' ')
  if (state === accountsState) return
  accountsState = state
  names.clear()
  groupLists.clear()
}

function fingerprint(file: string): string {
  const { ino, mtimeNs, size } = statSync(file, { bigint: true, throwIfNoEntry: false }) ?? {}
  return `${ino} ${mtimeNs} ${size}`
}

/** Without koffi, which the command line can do without. */
function ownName(uid: number): string | null {
  try {
    return userInfo().username
  } catch (error) {
    // Thrown with ENOENT where the uid has no account, as is usual in containers.
    if (error instanceof Error && 'code' in error && error.code === 'ERR_SYSTEM_ERROR') return lookUp(uid)?.name ?? null
    throw error
  }
}

function lookUp(key: number | string): OsAccount | null {
  if (typeof key === 'number' && (!Number.isInteger(key) || key < 0 || key >= 0xffff_ffff)) {
    throw new PeerError('lookup-failed', `cannot look up a user: ${key} is no uid`)
  }
  const { ERANGE, ENOENT, ESRCH } = constants.errno
  const who = typeof key === 'number' ? `uid ${key}` : 'an account by its name'
  for (let size = 1024; size <= maxEntryBytes; size *= 4) {
    const { errno, user } = libc().getUser(key, new Uint8Array(size))
    // getpwuid_r(3): some resolvers say "no such user" by an error.
    if (errno === 0 || errno === ENOENT || errno === ESRCH) {
      if (user === null) requireOpenable(who)
      return user
    }
    if (errno !== ERANGE) {
      const message = `cannot look up ${who}: the system's user directory failed (error ${errno})`
      throw new PeerError('lookup-failed', message)
    }
  }
  throw new PeerError('lookup-failed', `cannot look up ${who}: its entry is larger than ${maxEntryBytes} bytes`)
}

/** Where a source has no descriptor left to open its file with, the C library goes on to the next (nsswitch.conf(5)), which has
 *  not heard of the account: that is no answer. @throws PeerError 'lookup-failed' */
function requireOpenable(who: string): void {
  try {
    closeSync(openSync('/etc/passwd', 'r'))
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null
    if (code !== 'EMFILE' && code !== 'ENFILE') return
    throw new PeerError('lookup-failed', `cannot look up ${who}: no more files can be opened (${code})`, { cause })
  }
}
