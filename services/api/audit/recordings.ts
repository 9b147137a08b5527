// `GET /v1/audit/recordings`: whether transcripts are what the log says of them. Their hashes are made anew from what the database
// has; nothing of what was said leaves.

import { setImmediate } from 'node:timers/promises'
import { type ParsedAuditEntry, parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { RecordingCheck } from '@teleclaude/core/audit-api.ts'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { RangeHash, type SealedRange } from './range-hash.ts'

const sessionsAtOnce = 100
const entriesAtOnce = 200
const pageBytes = 1024 * 1024

type Checked = { readonly store: Pick<Store, 'audit' | 'sessions' | 'transcripts'>; readonly host: string }

export async function checkRecordings({ service }: { readonly service: Service }): Promise<Answer> {
  return { status: 200, contentType: 'application/jsonl', stream: writeChecks(service) }
}

async function* writeChecks(checked: Checked): AsyncGenerator<string> {
  for await (const check of checkAll(checked)) yield `${JSON.stringify(check)}\n`
}

/** Of every session that has something to check; first of those that the database knows, then of those that only the log does. */
export async function* checkAll(checked: Checked): AsyncGenerator<RecordingCheck> {
  const { store, host } = checked
  for (let beforeOrdinal: number | undefined; ; ) {
    const before = beforeOrdinal === undefined ? {} : { beforeOrdinal }
    const page = await store.sessions.list({ scope: { kind: 'all' }, ...before, limit: sessionsAtOnce })
    for (const session of page) {
      const check = session.host === host ? await checkRecording(checked, session) : null
      if (check !== null) yield check
    }
    beforeOrdinal = page.at(-1)?.ordinal
    if (page.length < sessionsAtOnce) break
    await setImmediate()
  }
  yield* findForgotten(checked)
}

/** Sessions that were started, as the log says, and that the database does not know. */
async function* findForgotten({ store, host }: Checked): AsyncGenerator<RecordingCheck> {
  for (let beforeSeq: number | undefined; ; ) {
    const before = beforeSeq === undefined ? {} : { beforeSeq }
    const asked = { scope: { kind: 'all' }, action: 'session.started', ...before, limit: entriesAtOnce } as const
    const page = await store.audit.find(host, asked)
    for (const { bytes } of page) {
      const id = parseAuditEntry(bytes)?.session?.id as SessionId | undefined
      if (id === undefined || (await store.sessions.find(id)) !== null) continue
      yield {
        session: id,
        state: 'missing',
        boundSeq: 0,
        bytes: 0,
        fault: 'the database does not know the session any more',
      }
    }
    beforeSeq = page.at(-1)?.seq
    if (page.length < entriesAtOnce) return
    await setImmediate()
  }
}

/** Null where there is nothing to check: nothing was recorded, as far as anybody knows. */
async function checkRecording(checked: Checked, session: Session): Promise<RecordingCheck | null> {
  const said = await readSaid(checked, session.id)
  const check = await compare(checked, session, said)
  if (check?.fault == null) return check
  // It may have been removed meanwhile.
  const now = await checked.store.sessions.find(session.id)
  if (now === null || now.transcriptRemovedAtUs === session.transcriptRemovedAtUs) return check
  return compare(checked, now, await readSaid(checked, session.id))
}

async function compare(checked: Checked, session: Session, said: Said): Promise<RecordingCheck | null> {
  const found = { session: session.id, boundSeq: said.boundSeq, bytes: 0, fault: null }
  if (session.transcriptRemovedAtUs !== null) {
    if (said.isRemoved) return { ...found, state: 'removed' }
    return { ...found, state: 'missing', fault: 'its transcript was removed, and that is not on the record' }
  }
  const { lastSeq, bytes, changed, isDamaged } = await readRecorded(checked, session.id, said.ranges)
  if (!isDamaged && lastSeq === 0 && said.ranges.length === 0) return null
  const whole = { ...found, bytes }
  if (isDamaged) return { ...whole, state: 'changed', fault: `chunks from ${lastSeq + 1} on are damaged` }
  if (lastSeq === 0) return { ...whole, state: 'missing', fault: 'nothing of its transcript is there' }
  if (changed !== null) {
    return {
      ...whole,
      state: 'changed',
      fault: `chunks ${changed.fromSeq} to ${changed.toSeq} are not those that were recorded`,
    }
  }
  if (lastSeq < said.lastSeq) {
    return { ...whole, state: 'shortened', fault: `chunks ${lastSeq + 1} to ${said.lastSeq} are missing` }
  }
  if (said.boundSeq === 0) return { ...whole, state: isOver(session) ? 'unbound' : 'partly' }
  if (lastSeq === said.boundSeq) return { ...whole, state: 'bound' }
  // A session that was lost may come back; one that has ended gets nothing more.
  if (!said.hasEnded) return { ...whole, state: 'partly' }
  return { ...whole, state: 'changed', fault: `chunks from ${said.boundSeq + 1} on were added after its end` }
}

function isOver({ status }: Session): boolean {
  return status === 'ended' || status === 'lost'
}

/** What the log says of a transcript. */
type Said = {
  /** In the order of their beginnings. */
  readonly ranges: readonly SealedRange[]
  /** Without a gap from the first chunk. */
  readonly boundSeq: number
  /** The last chunk that there was, at least. */
  readonly lastSeq: number
  readonly isRemoved: boolean
  readonly hasEnded: boolean
}

const sealed = z.looseObject({ fromSeq: z.int(), toSeq: z.int(), bytes: z.int(), sha256: z.string() })
const sealedEnd = z.looseObject({
  sealedFrom: z.int(),
  sealedTo: z.int(),
  sealedBytes: z.int(),
  sealedSha256: z.string(),
})

async function readSaid({ store, host }: Checked, id: SessionId): Promise<Said> {
  const ranges: SealedRange[] = []
  let isRemoved = false
  let hasEnded = false
  for (let beforeSeq: number | undefined; ; ) {
    const before = beforeSeq === undefined ? {} : { beforeSeq }
    const asked = { scope: { kind: 'all' }, sessionId: id, ...before, limit: entriesAtOnce } as const
    const page = await store.audit.find(host, asked)
    for (const { bytes } of page) {
      const entry = parseAuditEntry(bytes)
      if (entry === null) continue
      const range = rangeOf(entry)
      if (range !== null) ranges.push(range)
      isRemoved ||= entry.action === 'transcript.removed'
      // Entries of before transcripts were bound do not say it.
      hasEnded ||= entry.action === 'session.ended' && 'sealedTo' in entry.detail
    }
    beforeSeq = page.at(-1)?.seq
    if (page.length < entriesAtOnce) break
  }
  ranges.sort((one, other) => one.fromSeq - other.fromSeq || one.toSeq - other.toSeq)
  let boundSeq = 0
  for (const { fromSeq, toSeq } of ranges) if (fromSeq <= boundSeq + 1) boundSeq = Math.max(boundSeq, toSeq)
  return { ranges, boundSeq, lastSeq: Math.max(0, ...ranges.map(({ toSeq }) => toSeq)), isRemoved, hasEnded }
}

function rangeOf({ action, detail }: ParsedAuditEntry): SealedRange | null {
  if (action === 'transcript.sealed') return sealed.safeParse(detail).data ?? null
  if (action !== 'session.ended' && action !== 'session.lost') return null
  const end = sealedEnd.safeParse(detail).data
  if (end === undefined) return null
  return { fromSeq: end.sealedFrom, toSeq: end.sealedTo, bytes: end.sealedBytes, sha256: end.sealedSha256 }
}

type Recorded = {
  readonly lastSeq: number
  /** Of output. */
  readonly bytes: number
  /** The first range that is not what was said of it; what is not there at all is none. */
  readonly changed: SealedRange | null
  /** The chunk after the last one can't be read. */
  readonly isDamaged: boolean
}

/** Reads it once. Ranges may overlap: what could not be told to be on the record was put there again. */
async function readRecorded({ store }: Checked, id: SessionId, ranges: readonly SealedRange[]): Promise<Recorded> {
  const waiting = [...ranges]
  let open: { readonly range: SealedRange; readonly hash: RangeHash }[] = []
  let changed: SealedRange | null = null
  let lastSeq = 0
  let bytes = 0
  for (;;) {
    const page = await readPage(store, id, lastSeq)
    if (page === null || page.length === 0) return { lastSeq, bytes, changed, isDamaged: page === null }
    for (const chunk of page) {
      // The first is not the first that there was, or one between is gone.
      if (chunk.seq !== lastSeq + 1) changed ??= { fromSeq: lastSeq + 1, toSeq: chunk.seq - 1, bytes: 0, sha256: '' }
      lastSeq = chunk.seq
      if (chunk.kind === 'output') bytes += chunk.bytes.length
      while (waiting[0] !== undefined && waiting[0].fromSeq <= chunk.seq) {
        const [range] = waiting.splice(0, 1)
        if (range !== undefined) open.push({ range, hash: new RangeHash(range.fromSeq) })
      }
      for (const { hash } of open) hash.add(chunk)
      for (const { range, hash } of open) {
        if (range.toSeq > chunk.seq) continue
        const found = hash.finish()
        if (found.sha256 !== range.sha256 || found.bytes !== range.bytes) changed ??= range
      }
      open = open.filter(({ range }) => range.toSeq > chunk.seq)
    }
    await setImmediate()
  }
}

/** Null where what is there was never written so. */
async function readPage(
  store: Checked['store'],
  id: SessionId,
  afterSeq: number,
): Promise<readonly TranscriptChunk[] | null> {
  try {
    return await store.transcripts.read(id, { afterSeq, maxBytes: pageBytes })
  } catch (error) {
    if (error instanceof StoreError) throw error
    return null
  }
}
