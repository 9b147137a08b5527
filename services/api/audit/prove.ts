// `GET /v1/audit/checkpoint` and `/v1/audit/proof`: what lets somebody show, without this service, that an entry is in the log. An owner
// gets it for what was done with their sessions under a grant.

import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { auditProofQuerySchema, CheckpointView } from '@teleclaude/core/audit-api.ts'
import { makeProofFile, type ProofFile } from '@teleclaude/core/audit-proof.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { inclusionProof } from '@teleclaude/core/merkle.ts'
import { decide, visibleOwner } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { StoredAuditEntry, StoredCheckpoint } from '@teleclaude/store/audit-contract.ts'
import type { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { cosignedNote, listLogKeys } from './checkpoints.ts'

type Asked = { readonly service: Service; readonly caller: Caller }

export async function readCheckpoint({ service }: Asked): Promise<Answer> {
  const { store, host, auditor } = service
  const [newest, cosigned, keys, word, size] = await Promise.all([
    store.audit.findCheckpoint(host, 'newest'),
    store.audit.findCheckpoint(host, 'cosigned'),
    listLogKeys(store, host),
    store.auditor.lastWord(host),
    store.audit.headSeq(host),
  ])
  const json: CheckpointView = {
    host,
    note: newest === null ? null : cosignedNote(newest),
    cosigned: cosigned === null ? null : cosignedNote(cosigned),
    keys: {
      log: keys.map(({ epoch, vkey, fromSeq }) => ({ epoch, vkey, fromSeq })),
      auditor: auditor.trustedKey ?? word?.vkey ?? null,
    },
    size,
  }
  return { status: 200, json }
}

export async function proveEntries({
  service,
  caller,
  query,
}: Asked & { readonly query: z.output<typeof auditProofQuerySchema> }): Promise<Answer> {
  if ('grant' in query) return { status: 200, json: { proofs: await proveGrant(service, caller, query.grant) } }
  // Who may read all; others are told no numbers.
  const decision = decide(caller, 'audit.export', { kind: 'service' })
  if (!decision.allow) {
    throw new ProblemError(
      'not-permitted',
      'cannot prove an entry by its number: this is for admins; ask for those of a grant',
    )
  }
  const [entry] = await service.store.audit.read(service.host, { afterSeq: query.seq - 1, limit: 1 })
  if (entry === undefined || entry.seq !== query.seq) {
    throw new ProblemError('not-found', 'cannot prove the entry: the log has none of this number')
  }
  const [json] = await prove(service, service.host, [entry])
  return { status: 200, json }
}

const noSuchGrant = 'cannot prove what was done under the grant: none that you may see has this id'
const entriesAtOnce = 200
/** Of one grant: two for each time that something was opened. */
const maxEntries = 10_000

async function proveGrant(service: Service, caller: Caller, id: string): Promise<readonly ProofFile[]> {
  const { store } = service
  const grant = await store.access.find(id.toLowerCase())
  const visible = visibleOwner(caller)
  if (grant === null || (visible.kind === 'person' && grant.owner !== visible.person)) {
    throw new ProblemError('not-found', noSuchGrant)
  }
  const entries: StoredAuditEntry[] = []
  // Newest first, and none is older than the one that says that it was opened.
  for (let beforeSeq: number | undefined, isOpened = false; !isOpened; ) {
    const before = beforeSeq === undefined ? {} : { beforeSeq }
    const asked = { scope: { kind: 'all' }, sessionId: grant.sessionId, ...before, limit: entriesAtOnce } as const
    const page = await store.audit.find(grant.host, asked)
    for (const stored of page) {
      const entry = parseAuditEntry(stored.bytes)
      if (entry?.detail.grant !== grant.id) continue
      entries.push(stored)
      isOpened ||= entry.action === 'access.opened'
    }
    beforeSeq = page.at(-1)?.seq
    if (page.length < entriesAtOnce) break
    if (entries.length > maxEntries) throw tooMany()
  }
  return prove(service, grant.host, entries.reverse())
}

function tooMany(): ProblemError {
  const why = `it has over ${maxEntries} entries`
  return new ProblemError(
    'limit-reached',
    `cannot prove what was done under the grant: ${why}; prove them by their numbers`,
  )
}

async function prove(
  { store, signer, host: ownHost }: Service,
  host: string,
  entries: readonly StoredAuditEntry[],
): Promise<readonly ProofFile[]> {
  const last = entries.at(-1)
  if (last === undefined) return []
  // Of another host's log, its own service signs.
  if (host === ownHost) await signer.sign()
  const checkpoint = await findCovering({ store }, host, last.seq)
  const texts = await readTexts({ store }, host, entries)
  const proofs: ProofFile[] = []
  for (const { seq, bytes } of entries) {
    const proof = await inclusionProof(seq - 1, checkpoint.size, (wanted) => store.audit.readSubtrees(host, wanted))
    const own = texts.filter((text) => text.seq === seq)
    proofs.push(
      makeProofFile({
        entry: bytes,
        seq,
        size: checkpoint.size,
        proof,
        checkpoint: cosignedNote(checkpoint),
        texts: own,
      }),
    )
  }
  return proofs
}

const textsAtOnce = 1_000

async function readTexts({ store }: Pick<Service, 'store'>, host: string, entries: readonly StoredAuditEntry[]) {
  const seqs = entries.map(({ seq }) => seq)
  const texts = []
  for (let from = 0; from < seqs.length; from += textsAtOnce) {
    texts.push(...(await store.audit.readTexts(host, seqs.slice(from, from + textsAtOnce))))
  }
  return texts
}

/** A cosigned one that has the entry in it, where there is one; else the newest. */
async function findCovering({ store }: Pick<Service, 'store'>, host: string, seq: number): Promise<StoredCheckpoint> {
  const cosigned = await store.audit.findCheckpoint(host, 'cosigned')
  if (cosigned !== null && cosigned.size >= seq) return cosigned
  const newest = await store.audit.findCheckpoint(host, 'newest')
  if (newest !== null && newest.size >= seq) return newest
  throw new ProblemError(
    'unavailable',
    'cannot prove the entry: the log is not signed up to there; see telec audit state',
  )
}
