// The file sink: one JSON line per entry, its canonical bytes and a newline, from entry 1 on. A line counts once it is
// synced to the disk. Complete lines are never taken away again.

import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { refuseShared } from '@teleclaude/config/directories.ts'
import { identifyAuditEntry, maxAuditEntryBytes } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/contract.ts'
import { AuditAlarm } from './alarm.ts'

const newline = 10
/** More than one batch, so that all that a crash could have torn is looked at. */
const tailBytes = 6 * 1024 * 1024
/** Room for the last line, and for a torn one after it. */
const glanceBytes = 4 * (maxAuditEntryBytes + 1)

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

type Opened = { readonly handle: FileHandle; readonly ino: number; size: number; last: StoredAuditEntry | null }

/** Written to by one process at a time: the holder of the auditor's lock. */
export class AuditFile {
  readonly path: string
  readonly #host: string
  #opened: Opened | null = null
  /** A write failed: what of it is in the file, and whether the disk has it, nobody knows. */
  #isUnsure = false

  constructor(directory: string, host: string) {
    this.path = auditFilePath(directory)
    this.#host = host
  }

  /** The last entry that is in the file, looked at anew where somebody else moved, cut or lengthened it.
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
    this.#opened ??= await openForAppending(this.path, this.#host, confirmedSeq)
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
    opened.last = entries.at(-1) ?? opened.last
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

async function openForAppending(path: string, host: string, confirmedSeq: number): Promise<Opened> {
  const directory = dirname(path)
  await mkdir(directory, { recursive: true, mode: 0o750 })
  // Whoever can write into the directory could put another file in the place of ours.
  refuseShared(directory, await lstat(directory))
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
  const handle = await open(path, flags, 0o640)
  try {
    const { end, last, rest } = await readTail(handle, host, tailBytes)
    const isUnconfirmed = (last?.seq ?? 0) >= confirmedSeq
    if (rest === 'torn' || (rest === 'broken' && isUnconfirmed)) await handle.truncate(end)
    else if (rest !== 'nothing') {
      throw new AuditAlarm(
        `cannot go on with ${path}: what follows ${last === null ? 'its beginning' : `entry ${last.seq}`} (byte ${end}) is not ` +
          `entry ${(last?.seq ?? 0) + 1} of ${host}; compare it with the database (auditor verify), and move it away: it is ` +
          'then written anew from the database',
      )
    }
    // Lines that a killed auditor wrote and did not sync, and the file's name.
    await handle.sync()
    await syncDirectory(directory)
    const { ino, size } = await handle.stat()
    return { handle, ino, size, last }
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The very end of the file at the path, without changing it; null where there is none. */
export async function readTailOf(path: string, host: string): Promise<Tail | null> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(nullIfAbsent)
  if (handle === null) return null
  try {
    return await readTail(handle, host, glanceBytes)
  } finally {
    await handle.close()
  }
}

async function readTail(handle: FileHandle, host: string, maxBytes: number): Promise<Tail> {
  const { size } = await handle.stat()
  const start = Math.max(0, size - maxBytes)
  const tail = Buffer.alloc(size - start)
  const { bytesRead } = await handle.read(tail, 0, tail.length, start)
  const found = tail.subarray(0, bytesRead)
  let offset = start === 0 ? 0 : found.indexOf(newline) + 1
  let last: StoredAuditEntry | null = null
  while (offset < found.length) {
    const end = found.indexOf(newline, offset)
    const line = found.subarray(offset, end === -1 ? found.length : end)
    const entry = end === -1 ? null : identifyAuditEntry(line)
    const isNext: boolean = last === null ? start > 0 || entry?.seq === 1 : entry?.seq === last.seq + 1
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
    if (identifyAuditEntry(rest.subarray(start, end)) !== null) return 'foreign'
    start = end + 1
  }
  return 'broken'
}

export function nullIfAbsent(error: unknown): null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
  throw error
}
