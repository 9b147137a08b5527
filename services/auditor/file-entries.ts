// The entries that the file sink's files hold, in order. What is none is a finding, and passed over.

import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { entries } from './alarm.ts'
import { auditFilePath, listClosedFiles, nullIfAbsent } from './audit-file.ts'
import type { Findings } from './findings.ts'

const newline = 10

/** @param cursor up to which entry the files are complete: beyond it, an auditor may be writing at this moment
 *  @param startAfter which entry the first of them has to follow; null for any */
export async function* readFileEntries(
  directory: string,
  host: string,
  cursor: number,
  startAfter: number | null,
  findings: Findings,
): AsyncGenerator<StoredAuditEntry> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW
  // First, since it may be closed and get another name meanwhile.
  const active = await open(auditFilePath(directory), flags).catch(nullIfAbsent)
  const reader = new FileReader(host, findings)
  try {
    const activeStats = await active?.stat({ bigint: true })
    for (const { path } of await listClosedFiles(directory)) {
      const handle = await open(path, flags).catch(nullIfAbsent)
      if (handle === null) continue
      try {
        if ((await handle.stat({ bigint: true })).ino === activeStats?.ino) continue
        yield* reader.read(path, handle, startAfter, true)
      } finally {
        await handle.close()
      }
    }
    const isWhole = () => reader.lastSeq < cursor
    if (active !== null) yield* reader.read(auditFilePath(directory), active, startAfter, isWhole)
  } finally {
    await active?.close()
  }
}

class FileReader {
  readonly #host: string
  readonly #findings: Findings
  lastSeq = 0

  constructor(host: string, findings: Findings) {
    this.#host = host
    this.#findings = findings
  }

  /** @param mustBeWhole whether a piece of a line at its end is a fault */
  async *read(
    path: string,
    handle: FileHandle,
    startAfter: number | null,
    mustBeWhole: boolean | (() => boolean),
  ): AsyncGenerator<StoredAuditEntry> {
    const { size } = await handle.stat()
    if (size === 0) return
    let offset = 0
    let rest: Buffer = Buffer.alloc(0)
    const stream = handle.createReadStream({ end: size - 1, autoClose: false, highWaterMark: 1024 * 1024 })
    for await (const chunk of stream) {
      const bytes: Buffer = Buffer.concat([rest, chunk])
      let start = 0
      for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
        const entry = this.#take(
          bytes.subarray(start, end),
          `the line at byte ${offset + start} of ${path}`,
          startAfter,
        )
        if (entry !== null) yield entry
        start = end + 1
      }
      rest = bytes.subarray(start)
      offset += start
    }
    const isFault = typeof mustBeWhole === 'function' ? mustBeWhole() : mustBeWhole
    if (rest.length > 0 && isFault)
      this.#findings.say('sink', null, `the file ${path} ends in the middle of a line (byte ${offset})`)
  }

  #take(line: Buffer, where: string, startAfter: number | null): StoredAuditEntry | null {
    const entry = parseAuditEntry(line)
    const say = (what: string) => this.#findings.say('sink', null, what)
    if (entry === null) say(`${where} is no entry`)
    else if (entry.host !== this.#host) say(`${where} is an entry of ${entry.host}`)
    else if (entry.seq <= this.lastSeq) say(`${where} is entry ${entry.seq}, and comes after entry ${this.lastSeq}`)
    else {
      if (this.lastSeq === 0 && startAfter !== null && entry.seq > startAfter + 1)
        say(`the files begin with entry ${entry.seq}: they lack ${entries(startAfter + 1, entry.seq - 1)}`)
      this.lastSeq = entry.seq
      return { seq: entry.seq, bytes: line }
    }
    return null
  }
}
