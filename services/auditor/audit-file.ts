// The file sink's files: one JSON line per entry, its canonical bytes and a newline, from entry 1 on. A line counts once it is
// synced to the disk. Complete lines are never taken away again; a file that is large enough is closed, and gets the number of its
// first entry into its name. Names sort as the entries do.

import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { refuseShared } from '@teleclaude/config/directories.ts'
import { maxAuditEntryBytes, parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { AuditAlarm } from './alarm.ts'
import { syncDirectory } from './durable-file.ts'

const newline = 10
/** More than one batch, so that all that a crash could have torn is looked at. */
const tailBytes = 6 * 1024 * 1024
/** Room for the last line, and for a torn one after it. */
const glanceBytes = 4 * (maxAuditEntryBytes + 1)
/** Of what `append` is given at once: less than what is looked at for a tear. */
export const maxFileBatchBytes = 4 * 1024 * 1024

export type Tail = {
  /** Of the last line that is complete and an entry; null for a file that has none. */
  readonly last: StoredAuditEntry | null
  /** Where that line ends. */
  readonly end: number
  /** What comes after it: a piece of a line, lines that are no entries, or entries among them that do not follow. */
  readonly rest: 'nothing' | 'torn' | 'broken' | 'foreign'
}

export function auditFilePath(directory: string): string {
  return join(directory, 'audit.jsonl')
}

const closedForm = /^audit-(\d{16})\.jsonl$/

export type ClosedFile = { readonly path: string; readonly firstSeq: number }

/** In the order of their entries. */
export async function listClosedFiles(directory: string): Promise<readonly ClosedFile[]> {
  const names = await readdir(directory).catch(nullIfAbsent)
  return (names ?? []).toSorted().flatMap((name) => {
    const digits = closedForm.exec(name)?.[1]
    return digits === undefined ? [] : [{ path: join(directory, name), firstSeq: Number(digits) }]
  })
}

type Opened = {
  readonly handle: FileHandle
  readonly ino: number
  size: number
  /** Number of its first entry; null while it has none. */
  firstSeq: number | null
  last: StoredAuditEntry | null
}

export type RotationRule = {
  readonly maxBytes: number
  /** Closed files that stay; null for all. */
  readonly keepFiles: number | null
  /** Of a new file: its first entry is the one after this. */
  readonly startAfter: number
}

/** Written to by one process at a time: the holder of the auditor's lock. */
export class AuditFile {
  readonly path: string
  readonly #directory: string
  readonly #host: string
  readonly #rule: RotationRule
  #opened: Opened | null = null
  /** A write failed: what of it is in the file, and whether the disk has it, nobody knows. */
  #isUnsure = false

  constructor(directory: string, host: string, rule: RotationRule) {
    this.path = auditFilePath(directory)
    this.#directory = directory
    this.#host = host
    this.#rule = rule
  }

  /** The last entry that is in the files, looked at anew where somebody else moved, cut or lengthened it.
   *  @param confirmedSeq up to which entry the file was synced before: what is torn lies beyond
   *  @throws AuditAlarm where the file holds what no auditor of this host wrote */
  async lastEntry(confirmedSeq: number): Promise<StoredAuditEntry | null> {
    if (this.#opened !== null && this.#isUnsure) {
      // Before the size is compared. Lines that a failed sync leaves behind may look written and not be (fsync(2), EIO).
      await this.#opened.handle.truncate(this.#opened.size)
      await this.#opened.handle.sync()
      this.#isUnsure = false
    }
    if (this.#opened !== null && !(await this.#isUnchanged(this.#opened))) await this.close()
    this.#opened ??= await openForAppending(this.#directory, this.#host, confirmedSeq, this.#rule.startAfter)
    return this.#opened.last
  }

  /** Resolves when the disk has them. After an error nothing of them counts. */
  async append(entries: readonly StoredAuditEntry[]): Promise<void> {
    const opened = this.#opened
    if (opened === null) throw new TypeError('cannot append to a file whose last entry nobody asked for')
    const lines = Buffer.concat(entries.flatMap(({ bytes }) => [bytes, Buffer.of(newline)]))
    this.#isUnsure = true
    await opened.handle.appendFile(lines)
    await opened.handle.datasync()
    this.#isUnsure = false
    opened.size += lines.length
    opened.firstSeq ??= entries[0]?.seq ?? null
    opened.last = entries.at(-1) ?? opened.last
    if (opened.size >= this.#rule.maxBytes && opened.firstSeq !== null) await this.#closeAs(opened.firstSeq)
  }

  /** The next `lastEntry` begins another one. */
  async #closeAs(firstSeq: number): Promise<void> {
    const path = join(this.#directory, `audit-${String(firstSeq).padStart(16, '0')}.jsonl`)
    if ((await lstat(path).catch(nullIfAbsent)) !== null) {
      throw new AuditAlarm(
        'sink',
        null,
        `cannot close ${this.path}: ${path} is there already; find out whose it is, and move it away`,
      )
    }
    await this.close()
    await rename(this.path, path)
    await syncDirectory(this.#directory)
  }

  /** Takes away the oldest closed files that are more than are kept, and hold nothing after that entry.
   *  @returns their paths */
  async removeOldest(throughSeq: number): Promise<readonly string[]> {
    const { keepFiles } = this.#rule
    if (keepFiles === null) return []
    const closed = await listClosedFiles(this.#directory)
    const surplus = closed.slice(0, Math.max(0, closed.length - keepFiles))
    // A closed file ends where the next one begins.
    const removable = surplus.filter(
      (_, index) => (closed[index + 1]?.firstSeq ?? Number.POSITIVE_INFINITY) - 1 <= throughSeq,
    )
    for (const { path } of removable) await unlink(path)
    return removable.map(({ path }) => path)
  }

  async close(): Promise<void> {
    const opened = this.#opened
    this.#opened = null
    this.#isUnsure = false
    await opened?.handle.close()
  }

  async #isUnchanged(opened: Opened): Promise<boolean> {
    const found = await lstat(this.path).catch(nullIfAbsent)
    return found !== null && found.ino === opened.ino && found.size === opened.size
  }
}

export async function makeAuditDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o750 })
  // Whoever can write into the directory could put another file in the place of ours.
  refuseShared(directory, await lstat(directory))
}

async function openForAppending(
  directory: string,
  host: string,
  confirmedSeq: number,
  startAfter: number,
): Promise<Opened> {
  await makeAuditDirectory(directory)
  const before = await readLastClosed(directory, host)
  const path = auditFilePath(directory)
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
  const handle = await open(path, flags, 0o640)
  try {
    const { end, last, rest } = await readTail(handle, host, tailBytes, before ?? startAfter)
    const isUnconfirmed = (last?.seq ?? 0) >= confirmedSeq
    if (rest === 'torn' || (rest === 'broken' && isUnconfirmed)) await handle.truncate(end)
    else if (rest !== 'nothing') throw foreignRest(path, host, last, end)
    // Lines that a killed auditor wrote and did not sync, and the file's name.
    await handle.sync()
    await syncDirectory(directory)
    const { ino, size } = await handle.stat()
    return { handle, ino, size, firstSeq: size === 0 ? null : await readFirstSeq(handle), last }
  } catch (error) {
    await handle.close()
    throw error
  }
}

function foreignRest(path: string, host: string, last: StoredAuditEntry | null, end: number): AuditAlarm {
  const seq = (last?.seq ?? 0) + 1
  return new AuditAlarm(
    'sink',
    { from: seq, to: seq },
    `cannot go on with ${path}: what follows ${last === null ? 'its beginning' : `entry ${last.seq}`} (byte ${end}) is not ` +
      `entry ${seq} of ${host}; compare it with the database (auditor verify), and move all audit*.jsonl away: they are then ` +
      'written anew from the database',
  )
}

/** The last entry of the newest closed file; null where there is none.
 *  @throws AuditAlarm where it does not end with one */
async function readLastClosed(directory: string, host: string): Promise<StoredAuditEntry | null> {
  const newest = (await listClosedFiles(directory)).at(-1)
  if (newest === undefined) return null
  const handle = await open(newest.path, constants.O_RDONLY | constants.O_NOFOLLOW)
  try {
    const { last, end, rest } = await readTail(handle, host, glanceBytes, 'unknown')
    if (last === null || rest !== 'nothing') throw foreignRest(newest.path, host, last, end)
    return last
  } finally {
    await handle.close()
  }
}

async function readFirstSeq(handle: FileHandle): Promise<number | null> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(maxAuditEntryBytes + 1), 0, maxAuditEntryBytes + 1, 0)
  const end = buffer.subarray(0, bytesRead).indexOf(newline)
  return end === -1 ? null : (parseAuditEntry(buffer.subarray(0, end))?.seq ?? null)
}

/** The last entry that the files hold, without changing them; null for none. */
export async function readLastEntry(directory: string, host: string): Promise<StoredAuditEntry | null> {
  const tail = await readTailOf(auditFilePath(directory), host)
  return tail?.last ?? (await readLastClosed(directory, host))
}

/** The very end of the file at the path, without changing it; null where there is none. */
async function readTailOf(path: string, host: string): Promise<Tail | null> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(nullIfAbsent)
  if (handle === null) return null
  try {
    return await readTail(handle, host, glanceBytes, 'unknown')
  } finally {
    await handle.close()
  }
}

/** @param before the entry that its first one has to follow, or its number; unknown for any */
async function readTail(
  handle: FileHandle,
  host: string,
  maxBytes: number,
  before: StoredAuditEntry | number | 'unknown',
): Promise<Tail> {
  const { size } = await handle.stat()
  const start = Math.max(0, size - maxBytes)
  const tail = Buffer.alloc(size - start)
  const { bytesRead } = await handle.read(tail, 0, tail.length, start)
  const found = tail.subarray(0, bytesRead)
  let offset = start === 0 ? 0 : found.indexOf(newline) + 1
  let last = start === 0 && typeof before === 'object' ? before : null
  const first = start === 0 && typeof before === 'number' ? before + 1 : null
  while (offset < found.length) {
    const end = found.indexOf(newline, offset)
    const line = found.subarray(offset, end === -1 ? found.length : end)
    const entry = end === -1 ? null : parseAuditEntry(line)
    const isNext: boolean = last === null ? first === null || entry?.seq === first : entry?.seq === last.seq + 1
    if (entry === null || entry.host !== host || !isNext) break
    last = { seq: entry.seq, bytes: Buffer.from(line) }
    offset = end + 1
  }
  return { last, end: start + offset, rest: describeRest(found.subarray(offset)) }
}

function describeRest(rest: Buffer): Tail['rest'] {
  if (rest.length === 0) return 'nothing'
  if (!rest.includes(newline)) return 'torn'
  let start = 0
  for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline, start)) {
    if (parseAuditEntry(rest.subarray(start, end)) !== null) return 'foreign'
    start = end + 1
  }
  return 'broken'
}

export function nullIfAbsent(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
  throw error
}
