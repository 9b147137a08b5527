// `GET /v1/audit/export`: the whole log as it was when it was asked for, for whoever verifies it without believing this service
// (audit-verify.ts). What the database finds entries by is compared with what they say.

import { setImmediate } from 'node:timers/promises'
import { type AuditIndex, auditIndexOf, parseAuditEntry } from '@teleclaude/core/audit.ts'
import { type ExportLine, formatExportLine } from '@teleclaude/core/audit-export.ts'
import { encodeBase64 } from '@teleclaude/core/base64.ts'
import { TreeBuilder } from '@teleclaude/core/merkle.ts'
import type { IndexedAuditEntry, StoredCheckpoint } from '@teleclaude/store/audit-contract.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import type { AuditorWatch } from './auditor-watch.ts'
import { type LogKeyEntry, listLogKeys } from './checkpoints.ts'
import type { Tree } from './log-signer.ts'

/** Some milliseconds of this thread, which others wait for. */
const entriesAtOnce = 200
const checkpointsAtOnce = 200

export async function exportAudit({ service }: { readonly service: Service }): Promise<Answer> {
  return { status: 200, contentType: 'application/jsonl', stream: writeExport(service) }
}

export type Exported = Pick<Service, 'store' | 'host' | 'signer'> & {
  readonly auditor: Pick<AuditorWatch, 'trustedKey'>
}

export async function* writeExport(service: Exported): AsyncGenerator<string> {
  const { store, host } = service
  await service.signer.sign()
  // Looked for before the end is known: those that come later may be over more.
  const newest = await store.audit.findCheckpoint(host, 'newest')
  const { size, root } = await readEnd(service)
  const word = await store.auditor.lastWord(host)
  const keys = (await readKeys(service)).filter(({ fromSeq }) => fromSeq <= size)
  yield line({
    type: 'log',
    v: 1,
    host,
    keys: {
      log: keys.map(({ epoch, vkey, fromSeq }) => ({ epoch, vkey, fromSeq })),
      auditor: service.auditor.trustedKey ?? word?.vkey ?? null,
    },
  })
  const checkpoints = readCheckpoints(service, Math.max(size, newest?.size ?? 0))
  let checkpoint = await checkpoints.next()
  for (let seq = 0; seq < size; ) {
    const page = await store.audit.read(host, { afterSeq: seq, limit: entriesAtOnce })
    if (page.length === 0) break
    const lines: string[] = []
    for (const entry of page) {
      if (entry.seq > size) break
      lines.push(...describeEntry(entry))
      for (; !checkpoint.done && checkpoint.value.size <= entry.seq; checkpoint = await checkpoints.next()) {
        lines.push(describeCheckpoint(checkpoint.value))
      }
    }
    seq = page.at(-1)?.seq ?? size
    yield lines.join('')
    await setImmediate()
  }
  // Over what is not there: whoever verifies has to hear of it.
  for (; !checkpoint.done; checkpoint = await checkpoints.next()) yield describeCheckpoint(checkpoint.value)
  yield line({ type: 'end', size, root: encodeBase64(root) })
}

/** What is signed, or else what there is: somebody has to be able to see what is wrong. */
async function readEnd({ store, host, signer }: Exported): Promise<Tree> {
  if (signer.fault === null) return signer.signed
  const { frontier } = await store.audit.readHead(host)
  return { size: frontier.size, root: TreeBuilder.from(frontier).root() }
}

/** Entries that name none are found where they stand. */
async function readKeys({ store, host }: Exported): Promise<readonly LogKeyEntry[]> {
  try {
    return await listLogKeys(store, host)
  } catch (error) {
    if (!(error instanceof StoreError && error.code === 'audit-broken')) throw error
    return []
  }
}

async function* readCheckpoints({ store, host }: Exported, upTo: number): AsyncGenerator<StoredCheckpoint> {
  for (let afterSize = 0; ; ) {
    const page = await store.audit.listCheckpoints(host, { afterSize, limit: checkpointsAtOnce })
    for (const checkpoint of page) {
      if (checkpoint.size > upTo) return
      yield checkpoint
    }
    afterSize = page.at(-1)?.size ?? afterSize
    if (page.length < checkpointsAtOnce) return
  }
}

function describeCheckpoint({ note, cosignatures }: StoredCheckpoint): string {
  return line({ type: 'checkpoint', note, cosignatures: cosignatures.map((cosignature) => cosignature.line) })
}

function describeEntry({ seq, bytes, index }: IndexedAuditEntry): readonly string[] {
  const entry = line({ type: 'entry', seq, entry: encodeBase64(bytes) })
  const parsed = parseAuditEntry(bytes)
  // What is no entry is found by whoever verifies.
  const other = parsed === null ? [] : differences(index, auditIndexOf(parsed))
  return other.length === 0 ? [entry] : [entry, line({ type: 'fault', seq, what: other.join(', ') })]
}

function differences(found: AuditIndex, said: AuditIndex): readonly string[] {
  return (['action', 'actor', 'owner', 'sessionId'] as const).filter((name) => found[name] !== said[name])
}

function line(exported: ExportLine): string {
  return `${formatExportLine(exported)}\n`
}
