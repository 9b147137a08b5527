// `GET /v1/audit`: the log as people read it. Admins see all of it; others what they did, and what was done with their sessions.

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { type ParsedAuditEntry, parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { AuditEntryView, AuditPage, auditListQuerySchema } from '@teleclaude/core/audit-api.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { commitmentHolds, isCommitment } from '@teleclaude/core/commitment.ts'
import { parseInstant } from '@teleclaude/core/instant.ts'
import { visibleOwner } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { AuditQuery, AuditText, StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import type { SessionScope } from '@teleclaude/store/contract.ts'
import type { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'

type Asked = {
  readonly service: Service
  readonly caller: Caller
  readonly query: z.output<typeof auditListQuerySchema>
}

export async function listAudit({ service, caller, query }: Asked): Promise<Answer> {
  const visible = visibleOwner(caller)
  const isFull = visible.kind === 'all'
  const scope = query.mine === 'true' && caller.person !== null ? personScope(caller.person) : visible
  const beforeSeq = query.cursor === undefined ? undefined : readCursor(query.cursor, isFull)
  const mayList = (stored: StoredAuditEntry) => isFull || isAboutOwn(stored, caller)
  // One more than asked for, to know whether there is a next page.
  const found = await findListed(service, filterOf(query, scope), mayList, beforeSeq, query.limit + 1)
  const page = found.slice(0, query.limit)
  const texts = Map.groupBy(
    page.length === 0
      ? []
      : await service.store.audit.readTexts(
          service.host,
          page.map(({ seq }) => seq),
        ),
    ({ seq }) => seq,
  )
  const last = page.at(-1)
  const json: AuditPage = {
    entries: page.map((stored) => viewEntry(stored, texts.get(stored.seq) ?? [], isFull)),
    nextCursor: found.length > query.limit && last !== undefined ? writeCursor(last.seq, isFull) : null,
  }
  return { status: 200, json }
}

/** What somebody was denied of a session of somebody else would tell them that there is one, and whose. */
function isAboutOwn({ bytes }: StoredAuditEntry, { person }: Caller): boolean {
  const owner = parseAuditEntry(bytes)?.session?.owner
  return owner === undefined || owner === person
}

/** Also where many are left out, a page is as long as it can be: it tells nobody how many those are. */
async function findListed(
  { store, host }: Service,
  filter: Omit<AuditQuery, 'beforeSeq' | 'limit'>,
  mayList: (stored: StoredAuditEntry) => boolean,
  beforeSeq: number | undefined,
  wanted: number,
): Promise<readonly StoredAuditEntry[]> {
  const found: StoredAuditEntry[] = []
  for (let before = beforeSeq; found.length < wanted; ) {
    const page = await store.audit.find(host, {
      ...filter,
      ...(before === undefined ? {} : { beforeSeq: before }),
      limit: wanted,
    })
    found.push(...page.filter(mayList))
    before = page.at(-1)?.seq
    if (page.length < wanted) break
  }
  return found.slice(0, wanted)
}

function personScope(person: string): SessionScope {
  return { kind: 'person', person }
}

function filterOf(query: Asked['query'], scope: SessionScope): Omit<AuditQuery, 'beforeSeq' | 'limit'> {
  const { session, actor, owner, action, since, until } = query
  return {
    scope,
    ...(session === undefined ? {} : { sessionId: session as SessionId }),
    ...(actor === undefined ? {} : { actor }),
    ...(owner === undefined ? {} : { owner }),
    ...(action === undefined ? {} : { action }),
    ...(since === undefined ? {} : { sinceUs: Math.max(0, parseInstant(since)) }),
    ...(until === undefined ? {} : { untilUs: Math.max(0, parseInstant(until)) }),
  }
}

function viewEntry({ seq, bytes }: StoredAuditEntry, texts: readonly AuditText[], isFull: boolean): AuditEntryView {
  const entry = parseAuditEntry(bytes)
  // Somebody has been at the database: verify says what is wrong.
  if (entry === null) {
    const detail = { broken: 'what is stored here is no entry: see telec audit verify' }
    return {
      seq: isFull ? seq : null,
      at: '1970-01-01T00:00:00.000000Z',
      action: 'broken',
      actor: 'unknown',
      session: null,
      detail,
    }
  }
  return {
    seq: isFull ? seq : null,
    at: entry.at,
    action: entry.action,
    actor: nameActor(entry.actor),
    session: entry.session === null ? null : { id: entry.session.id, owner: entry.session.owner },
    detail: viewDetail(entry.detail, texts, isFull),
  }
}

function nameActor(actor: ParsedAuditEntry['actor']): string {
  if (typeof actor.person === 'string') return actor.person
  if (typeof actor.name === 'string') return actor.name
  return typeof actor.uid === 'number' ? `uid ${actor.uid}` : actor.kind
}

/** What counts what others do. */
const countsOthers = ['leftOut']

function viewDetail(detail: ParsedAuditEntry['detail'], texts: readonly AuditText[], isFull: boolean) {
  const shown = Object.entries(detail).filter(([name]) => isFull || !countsOthers.includes(name))
  return Object.fromEntries(shown.map(([name, value]) => [name, viewValue(name, value, texts)]))
}

function viewValue(name: string, value: ParsedAuditEntry['detail'][string], texts: readonly AuditText[]) {
  if (typeof value !== 'string' || !isCommitment(value)) return value
  const kept = texts.find((text) => text.name === name)
  if (kept === undefined) return '(erased)'
  return commitmentHolds(value, kept.salt, kept.text) ? kept.text : '(not what was recorded: see telec audit verify)'
}

/** Who may not read all is not told how many entries there are: their cursors say nothing, and are this process's own. */
const cursorKey = randomBytes(32)
const cipher = 'aes-256-gcm'
const nonceBytes = 12
const seqBytes = 8
const tagBytes = 16

function writeCursor(seq: number, isFull: boolean): string {
  if (isFull) return String(seq)
  const nonce = randomBytes(nonceBytes)
  const plain = Buffer.alloc(seqBytes)
  plain.writeBigUInt64BE(BigInt(seq))
  const sealing = createCipheriv(cipher, cursorKey, nonce)
  const sealed = Buffer.concat([sealing.update(plain), sealing.final()])
  return Buffer.concat([nonce, sealed, sealing.getAuthTag()]).toString('base64url')
}

/** @throws ProblemError 'invalid' for one that was not given out */
function readCursor(cursor: string, isFull: boolean): number {
  const seq = isFull ? (/^[1-9]\d{0,15}$/.test(cursor) ? Number(cursor) : null) : openCursor(cursor)
  if (seq !== null && Number.isSafeInteger(seq)) return seq
  const why = '/cursor is not one that this service gave out since its start'
  throw new ProblemError('invalid', `cannot use the query: ${why}; begin again without it`)
}

function openCursor(cursor: string): number | null {
  const bytes = Buffer.from(cursor, 'base64url')
  if (bytes.length !== nonceBytes + seqBytes + tagBytes) return null
  const opening = createDecipheriv(cipher, cursorKey, bytes.subarray(0, nonceBytes))
  opening.setAuthTag(bytes.subarray(nonceBytes + seqBytes))
  try {
    const plain = opening.update(bytes.subarray(nonceBytes, nonceBytes + seqBytes))
    opening.final()
    return Number(plain.readBigUInt64BE(0))
  } catch {
    // Not of this key.
    return null
  }
}
