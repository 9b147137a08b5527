// Compares the audit file with the database, entry by entry and byte for byte. Changes nothing, and needs the memory of one
// batch, however long the log is.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { identifyAuditEntry } from '@teleclaude/core/audit.ts'
import type { Store, StoredAuditEntry } from '@teleclaude/store/contract.ts'
import { entries } from './alarm.ts'
import { nullIfAbsent } from './audit-file.ts'
import { findFault, sinkName } from './shipping.ts'

const batchEntries = 5000
const newline = 10

export type Verification = {
  readonly host: string
  readonly holds: boolean
  /** Entries that are in both, byte for byte the same. */
  readonly same: number
  /** Entries of the database that were not shipped yet. */
  readonly notShipped: number
  /** What does not hold, in order, for a person. */
  readonly faults: readonly string[]
  /** More than are listed. */
  readonly furtherFaults: number
}

const maxFaults = 100

/** Both sides are read up to where they were at the start: a running auditor goes on meanwhile. */
export async function verifyFile(store: Store, host: string, path: string): Promise<Verification> {
  // In this order: what the file has by then is in the database, and what the cursor says is in the file.
  const cursor = await store.audit.readCursor(host, sinkName)
  const findings = new Findings()
  const file = readLines(path, host, cursor, findings)
  const firstLine = await file.next()
  const head = await store.audit.headSeq(host)
  const log = readLog(store, host, head, findings)

  let same = 0
  let notShipped = 0
  let [line, stored] = [firstLine.value ?? null, (await log.next()).value ?? null]
  while (line !== null || stored !== null) {
    if (stored === null || (line !== null && line.seq < stored.seq)) {
      if (line !== null) findings.add('in the file and not in the database', line.seq)
      line = (await file.next()).value ?? null
    } else if (line === null || stored.seq < line.seq) {
      if (line !== null || stored.seq <= cursor) findings.add('in the database and not in the file', stored.seq)
      else notShipped += 1
      stored = (await log.next()).value ?? null
    } else {
      if (Buffer.compare(line.bytes, stored.bytes) === 0) same += 1
      else findings.add('not the same in the file and in the database', line.seq)
      line = (await file.next()).value ?? null
      stored = (await log.next()).value ?? null
    }
  }
  const { faults, further } = findings.list()
  return { host, holds: faults.length === 0, same, notShipped, faults, furtherFaults: further }
}

/** Faults in the order they were found; neighbours that have the same fault are one. */
class Findings {
  readonly #found: { readonly what: string; readonly from: number; to: number }[] = []
  #further = 0

  add(what: string, seq: number): void {
    const last = this.#found.findLast((found) => found.what === what)
    if (last?.to === seq - 1) last.to = seq
    else if (this.#found.length < maxFaults) this.#found.push({ what, from: seq, to: seq })
    else this.#further += 1
  }

  /** @param text names what it is about by itself */
  say(text: string): void {
    if (this.#found.length < maxFaults) this.#found.push({ what: text, from: 0, to: 0 })
    else this.#further += 1
  }

  list(): { readonly faults: readonly string[]; readonly further: number } {
    const faults = this.#found.map(({ what, from, to }) => (from === 0 ? what : `${what}: ${entries(from, to)}`))
    return { faults, further: this.#further }
  }
}

/** The file's entries, in order; lines that are none are faults and passed over. */
async function* readLines(
  path: string,
  host: string,
  cursor: number,
  findings: Findings,
): AsyncGenerator<StoredAuditEntry> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(nullIfAbsent)
  if (handle === null) return
  try {
    const { size } = await handle.stat()
    let lastSeq = 0
    let offset = 0
    let rest: Buffer = Buffer.alloc(0)
    if (size === 0) return
    for await (const chunk of handle.createReadStream({
      end: size - 1,
      autoClose: false,
      highWaterMark: 1024 * 1024,
    })) {
      const bytes: Buffer = Buffer.concat([rest, chunk])
      let start = 0
      for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
        const line = bytes.subarray(start, end)
        const entry = identifyAuditEntry(line)
        if (entry === null) findings.say(`the line at byte ${offset + start} of ${path} is no entry`)
        else if (entry.host !== host) findings.say(`the line at byte ${offset + start} is an entry of ${entry.host}`)
        else if (entry.seq <= lastSeq) findings.say(`entry ${entry.seq} comes after entry ${lastSeq} in the file`)
        else {
          lastSeq = entry.seq
          yield { seq: entry.seq, bytes: line }
        }
        start = end + 1
      }
      rest = bytes.subarray(start)
      offset += start
    }
    // Beyond the cursor a running auditor may be writing it at this moment.
    if (rest.length > 0 && lastSeq < cursor) findings.say(`the file ends in the middle of a line (byte ${offset})`)
  } finally {
    await handle.close()
  }
}

async function* readLog(
  store: Store,
  host: string,
  head: number,
  findings: Findings,
): AsyncGenerator<StoredAuditEntry> {
  let lastSeq = 0
  while (lastSeq < head) {
    const batch = await store.audit.read(host, { afterSeq: lastSeq, limit: Math.min(batchEntries, head - lastSeq) })
    if (batch.length === 0) {
      findings.say(`${entries(lastSeq + 1, head)} should be in the database, and are not`)
      return
    }
    for (const entry of batch) {
      const fault = findFault(host, lastSeq + 1, entry.seq, entry.bytes)
      if (fault !== null) findings.say(fault)
      lastSeq = entry.seq
      yield entry
    }
  }
}

export function renderVerification(found: Verification): string {
  const lines = [`${found.same} entries of ${found.host} are the same in the file and in the database, byte for byte`]
  if (found.notShipped > 0) lines.push(`${found.notShipped} entries are in the database alone: not shipped yet`)
  lines.push(...found.faults.map((fault) => `DOES NOT HOLD: ${fault}`))
  if (found.furtherFaults > 0) lines.push(`and ${found.furtherFaults} more`)
  return [...lines, found.holds ? 'everything holds' : 'the audit log does not hold'].join('\n')
}
