// A file that holds secrets: fit for use where nobody but root and the service can have set it, and where nobody else can read
// it. Judged is the descriptor that was opened and every directory that led to it, never a path that may lead elsewhere a moment
// later. No message holds anything of the contents.

import { type BigIntStats, closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import type { ConfigFault } from './config-error.ts'
import type { Mode } from './layout.ts'
import { shellQuote } from './shell-quote.ts'

const maxBytes = 1024 * 1024
/** As many as the kernel follows (path_resolution(7)). */
const maxLinks = 40

export type SecureFileReader = {
  readonly mode: Mode
  /** Whom the file is for: this process where they are left out. */
  readonly serviceUid?: number
  readonly serviceGid?: number
}

export type SecureFile = {
  /** Null where nothing is there, or nothing that can be read. Not to be used where there are faults: it is here so that all
   *  that is wrong with it can be said at once. */
  readonly text: string | null
  readonly faults: readonly ConfigFault[]
  readonly warnings: readonly ConfigFault[]
}

type Finding = { readonly problem: string; readonly mend: string }
type Service = {
  readonly isSystem: boolean
  readonly uid: number
  readonly gid: number
  readonly groups: readonly number[]
}

/** What can't be the path of anything is not there either. */
const absent: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'])

export function readSecureFile(path: string, { mode, serviceUid, serviceGid }: SecureFileReader): SecureFile {
  const file = resolve(path)
  const uid = serviceUid ?? process.geteuid?.() ?? -1
  const gid = serviceGid ?? process.getegid?.() ?? -1
  const groups = [gid, ...(uid === process.geteuid?.() ? (process.getgroups?.() ?? []) : [])]
  const service = { isSystem: mode === 'system', uid, gid, groups }
  const answer = (text: string | null, faults: readonly Finding[], warnings: readonly Finding[] = []): SecureFile => {
    const placed = (finding: Finding) => ({ file, line: 1, column: 1, key: '', ...finding })
    return { text, faults: faults.map(placed), warnings: warnings.map(placed) }
  }

  let descriptor: number
  try {
    // A FIFO would keep an open(2) waiting for its writer.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const code = errorCode(error)
    return absent.has(code) ? answer(null, []) : answer(null, explainClosed(file, code, service))
  }
  try {
    const stats = fstatSync(descriptor, { bigint: true })
    if (!stats.isFile()) return answer(null, [notAFile(file, service)])
    const { text, problem } = readText(descriptor)
    const owner = judgeOwner(file, stats, service)
    const { faults, warnings } = judgeMode(file, stats, service)
    return answer(text, [...owner, ...faults, ...problem, ...judgeWay(file, stats, service)], warnings)
  } finally {
    closeSync(descriptor)
  }
}

function readText(descriptor: number): { readonly text: string | null; readonly problem: readonly Finding[] } {
  const bytes = Buffer.alloc(maxBytes + 1)
  let length = 0
  try {
    let more: number
    do {
      more = readSync(descriptor, bytes, length, bytes.length - length, null)
      length += more
    } while (more > 0)
  } catch (error) {
    return { text: null, problem: [unreadable(errorCode(error))] }
  }
  if (length > maxBytes) {
    return { text: null, problem: [{ problem: `is longer than ${maxBytes} bytes`, mend: 'shorten it' }] }
  }
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length)), problem: [] }
  } catch {
    return { text: null, problem: [{ problem: 'is not text in UTF-8', mend: 'write it anew in UTF-8' }] }
  }
}

function judgeOwner(file: string, stats: BigIntStats, service: Service): readonly Finding[] {
  if (isTrusted(stats, service)) return []
  const problem = `belongs to uid ${stats.uid}, who can set it; that is for root and uid ${service.uid} alone`
  return [{ problem, mend: `look at what it says, then take it over: ${takeOver(file, stats, service)}` }]
}

/** The first that holds is said: the command closes the others, too. */
const openings = [
  { bits: 0o002, says: 'can be changed by everybody' },
  { bits: 0o020, says: 'can be changed by its group' },
  { bits: 0o004, says: 'can be read by everybody' },
  { bits: 0o040, says: 'can be read by its group' },
] as const

function judgeMode(
  file: string,
  stats: BigIntStats,
  service: Service,
): { readonly faults: readonly Finding[]; readonly warnings: readonly Finding[] } {
  const mode = Number(stats.mode & 0o7777n)
  const opening = openings.find(({ bits }) => (mode & bits) !== 0)
  if (opening === undefined) return { faults: [], warnings: [] }
  const who = opening.says.endsWith('group') ? `${opening.says}, ${stats.gid}` : opening.says
  const finding = {
    problem: `${who} (mode ${mode.toString(8).padStart(4, '0')})`,
    mend: `close it: ${takeOver(file, stats, service)}`,
  }
  if (!service.isSystem) return { faults: [], warnings: [finding] }
  if (opening.bits !== 0o040) return { faults: [finding], warnings: [] }
  // Root's group reads nothing that root can't. systemd lets a service read its credentials by an access control list, whose mask
  // shows as rights of that group (acl(5)).
  const isOwn = stats.gid === 0n || service.groups.includes(Number(stats.gid))
  return { faults: [], warnings: isOwn ? [] : [finding] }
}

/** The command after which the service can read the file and nobody else but root. */
function takeOver(file: string, stats: BigIntStats, { isSystem, uid, gid }: Service): string {
  const quoted = shellQuote(file)
  if (Number(stats.uid) === uid) return `${isSystem ? 'sudo ' : ''}chmod 600 ${quoted}`
  if (isSystem) return `sudo chown root:${gid} ${quoted} && sudo chmod 640 ${quoted}`
  return `sudo chown ${uid} ${quoted} && sudo chmod 600 ${quoted}`
}

/** Whoever can change a directory on the way can put another file in the place of this one. */
function judgeWay(file: string, opened: BigIntStats, service: Service): readonly Finding[] {
  const findings = new Map<string, Finding>()
  try {
    const end = follow(file, (path, stats) => {
      const finding = judgeStep(path, stats, service)
      if (finding !== null) findings.set(path, finding)
    })
    const { dev, ino } = lstatSync(end, { bigint: true })
    if (dev === opened.dev && ino === opened.ino) return [...findings.values()]
  } catch (error) {
    if (errorCode(error) === undefined) throw error
  }
  // Led elsewhere, or nowhere: what was opened is not what is there.
  const exchanged = { problem: 'was exchanged while it was read', mend: 'try again once nobody changes it or its path' }
  return [...findings.values(), exchanged]
}

function judgeStep(path: string, stats: BigIntStats, service: Service): Finding | null {
  const quoted = shellQuote(path)
  const owner = service.isSystem ? 'root' : service.uid
  if (stats.isSymbolicLink()) {
    if (isTrusted(stats, service)) return null
    return {
      problem: `is reached by the symbolic link ${path} of uid ${stats.uid}, who can turn it elsewhere`,
      mend: `name the file without the link, or take the link over: sudo chown -h ${owner} ${quoted}`,
    }
  }
  if (!isTrusted(stats, service)) {
    return {
      problem: `is in ${path}, which belongs to uid ${stats.uid}, who can put another in its place`,
      mend: `move it elsewhere, or take the directory over: sudo chown ${owner} ${quoted}`,
    }
  }
  // Where it is sticky, only its own owner can take an entry away (inode(7)); whose the entry is, is looked at next.
  const isSticky = (stats.mode & 0o1000n) !== 0n
  if ((stats.mode & 0o022n) === 0n || isSticky) return null
  const sudo = !service.isSystem && Number(stats.uid) === service.uid ? '' : 'sudo '
  const mode = (stats.mode & 0o7777n).toString(8).padStart(4, '0')
  return {
    problem: `is in ${path}, which others can write into (mode ${mode}), and so put another in its place`,
    mend: `close the directory: ${sudo}chmod go-w ${quoted}`,
  }
}

/** Goes to where the path leads as the kernel does, one name at a time from the root on, and shows each directory and each link
 *  on the way. Gives the path without links; the last name is not looked at. */
function follow(file: string, show: (path: string, stats: BigIntStats) => void): string {
  const names = dirname(file).split('/')
  let at = '/'
  let links = 0
  show(at, lstatSync(at, { bigint: true }))
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    const next = join(at, name)
    const stats = lstatSync(next, { bigint: true })
    if (next !== at) show(next, stats)
    if (!stats.isSymbolicLink()) {
      at = next
      continue
    }
    links++
    if (links > maxLinks) throw Object.assign(new Error(`too many links on the way to ${file}`), { code: 'ELOOP' })
    const target = readlinkSync(next)
    if (isAbsolute(target)) at = '/'
    names.unshift(...target.split('/'))
  }
  return join(at, basename(file))
}

/** Why the file could not be opened. */
function explainClosed(file: string, code: unknown, service: Service): readonly Finding[] {
  const quoted = shellQuote(file)
  // open(2): of a socket; macOS has another code for it.
  if (code === 'ENXIO' || code === 'EOPNOTSUPP') return [notAFile(file, service)]
  if (code === 'ELOOP' && isLink(file)) {
    const sudo = service.isSystem ? 'sudo ' : ''
    const mend = `name the file that it leads to, or move that here: ${sudo}mv "$(${sudo}readlink -f ${quoted})" ${quoted}`
    return [{ problem: 'is a symbolic link, and what it leads to can change', mend }]
  }
  if (code !== 'EACCES') return [unreadable(code)]
  const problem = `can't be read by uid ${service.uid}`
  let closed = { path: '/', stats: lstatSync('/', { bigint: true }) }
  try {
    const end = follow(file, (path, stats) => {
      if (stats.isDirectory()) closed = { path, stats }
    })
    return [{ problem, mend: `let it: ${takeOver(file, lstatSync(end, { bigint: true }), service)}` }]
  } catch (error) {
    if (errorCode(error) !== 'EACCES') return [unreadable(code)]
  }
  // What is beyond a directory could not be looked at.
  const { path, stats } = closed
  const whose = Number(stats.uid) === service.uid ? 'u' : service.groups.includes(Number(stats.gid)) ? 'g' : 'o'
  const sudo = whose === 'u' && !service.isSystem ? '' : 'sudo '
  return [
    {
      problem: `${problem}, to whom ${path} is closed`,
      mend: `let it through: ${sudo}chmod ${whose}+x ${shellQuote(path)}`,
    },
  ]
}

function isTrusted(stats: BigIntStats, { uid }: Service): boolean {
  return stats.uid === 0n || Number(stats.uid) === uid
}

function isLink(file: string): boolean {
  try {
    return lstatSync(file).isSymbolicLink()
  } catch (error) {
    if (errorCode(error) === undefined) throw error
    return false
  }
}

function notAFile(file: string, { isSystem }: Service): Finding {
  const mend = `move it out of the way: ${isSystem ? 'sudo ' : ''}mv ${shellQuote(file)} ${shellQuote(`${file}.old`)}`
  return { problem: 'is not a file', mend }
}

function unreadable(code: unknown): Finding {
  return { problem: `can't be read (${code})`, mend: 'find out what stands in the way, or name another file' }
}

function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
