// `auditor accept`: an admin has looked at what was wrong, and takes the log as it is now. What the auditor remembered is kept
// beside, with its date; from here on it goes on with what it found.

import { mkdir, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import { equalHashes, type Frontier, leafHash, TreeBuilder } from '@teleclaude/core/merkle.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { type AcceptedLog, requestAccept } from './accept-request.ts'
import { AuditAlarm, missing } from './alarm.ts'
import { auditFilePath, listClosedFiles, makeAuditDirectory, nullIfAbsent } from './audit-file.ts'
import { makeAuditorKey, readAuditorKey } from './auditor-key.ts'
import { syncDirectory } from './durable-file.ts'
import { acquireAuditorLock } from './lock.ts'
import { type Anchor, emptyAnchor, LogCheck } from './log-check.ts'
import type { AuditorOptions } from './options.ts'
import { fileSinkOf } from './sinks.ts'
import { type AuditorState, beginState, readState, StateError, statePath, writeState } from './state.ts'
import { verifyLog } from './verify.ts'

const batchEntries = 2000

/** By this process, or by the auditor of the host that runs.
 *  @throws AuditAlarm where there is nothing that could be gone on with; StateError where the one that runs refuses */
export async function acceptLog(options: AuditorOptions, reason: string): Promise<AcceptedLog> {
  await using scope = new AsyncDisposableStack()
  const lock = await acquireAuditorLock(options).catch(nullIfHeld)
  if (lock === null) return await requestAccept(options.directory, reason)
  scope.defer(() => lock.release())
  const store = await openStore(options.target, { lock })
  scope.defer(() => store.close())
  return await acceptHeld(store, options, reason)
}

function nullIfHeld(error: unknown): null {
  if (error instanceof StoreError && error.code === 'lock-held') return null
  throw error
}

/** By whoever holds the auditor's lock, and does nothing else meanwhile. */
export async function acceptHeld(store: Store, options: AuditorOptions, reason: string): Promise<AcceptedLog> {
  const { directory, host, sinks } = options
  await makeAuditDirectory(directory)
  const old = await readOldState(directory, host)
  const { anchor, fault, common } = await walk(store, host, old)
  const at = formatInstant(nowUs())
  const suffix = at.replaceAll(/[-:]/g, '').replace(/\..*/, 'Z')
  const keptState = await keepState(directory, suffix)
  const size = anchor.frontier.size
  const newest = await store.audit.findCheckpoint(host, 'newest')
  const state: AuditorState = {
    ...beginState(host),
    verified: anchor,
    accepted: {
      at,
      reason,
      size: Math.max(size, newest?.size ?? 0),
      anchor: fault === null ? null : anchor,
      resend: await resendAfter(store, host, common),
    },
  }
  await writeState(directory, state)
  const key = readAuditorKey(directory, host) ?? (await makeAuditorKey(directory, host))
  const files = fileSinkOf(sinks)
  const found = files && (await verifyLog({ store, host, directory, state, key, files }))
  // After what does not hold, files begin anew: nothing can be said to follow what is in them.
  const isOther = files !== null && (fault !== null || found?.alarm !== null)
  const keptFiles = isOther ? await keepFiles(directory, suffix) : null
  return { size, vkey: anchor.keys.at(-1)?.vkey ?? null, fault: fault?.message ?? null, keptState, keptFiles }
}

async function readOldState(directory: string, host: string): Promise<AuditorState | null> {
  try {
    return await readState(directory, host)
  } catch (error) {
    // One that can't be used is among what is accepted.
    if (error instanceof StateError) return null
    throw error
  }
}

/** The whole log as it is now. Where something is wrong with its entries, the head says where it goes on. */
async function walk(store: Store, host: string, old: AuditorState | null) {
  const check = new LogCheck(host, emptyAnchor, { trusts: () => true })
  const before = new CommonPart(old?.verified.frontier ?? { size: 0, hashes: [] })
  const head = await store.audit.readHead(host)
  let fault: AuditAlarm | null = null
  while (check.size < head.frontier.size && fault === null) {
    const limit = Math.min(batchEntries, head.frontier.size - check.size)
    const batch = await store.audit.read(host, { afterSeq: check.size, limit })
    if (batch.length === 0) fault = missing(check.size + 1, head.frontier.size)
    for (const entry of batch) {
      fault ??= check.add(entry)
      if (fault === null) before.compare(entry.seq, () => check.anchor().frontier)
    }
  }
  const checkpoint = await store.audit.findCheckpoint(host, 'newest')
  const headRoot = TreeBuilder.from(head.frontier).root()
  if (fault === null && !equalHashes(check.root, headRoot)) {
    fault = new AuditAlarm(
      'fork',
      { from: 1, to: check.size },
      'the entries are not those that the head of the log is made of',
    )
  }
  const anchor: Anchor = {
    ...check.anchor(),
    hasSigned: false,
    announced: [],
    checkedSize: Math.min(checkpoint?.size ?? 0, head.frontier.size),
    ...(fault !== null && (await headOf(store, host, head))),
  }
  return { anchor, fault, common: before.size }
}

/** As the service says it: what its entries were can't be told any more. */
async function headOf(
  store: Store,
  host: string,
  { epoch, frontier }: { readonly epoch: number; readonly frontier: Frontier },
): Promise<Pick<Anchor, 'frontier' | 'epoch' | 'lastLeaf' | 'keys'>> {
  const { size } = frontier
  const [named] = await store.audit.find(host, { scope: { kind: 'all' }, action: 'key.changed', limit: 1 })
  const vkey = named === undefined ? null : parseAuditEntry(named.bytes)?.detail.publicKey
  const keys = typeof vkey === 'string' && named !== undefined ? [{ epoch, vkey, fromSeq: named.seq }] : []
  const [last] = await store.audit.read(host, { afterSeq: size - 1, limit: 1 })
  if (last?.seq !== size) throw missing(size, size)
  return { frontier, epoch, lastLeaf: leafHash(last.bytes), keys }
}

/** How much of the log is as it was: at least this, as far as the old tree's own parts tell. */
class CommonPart {
  readonly #old: Frontier
  readonly #ends: readonly number[]
  #isSame = true
  size = 0

  constructor(old: Frontier) {
    this.#old = old
    let end = 0
    // Its perfect subtrees, largest first.
    this.#ends = old.hashes.map(() => {
      end += 2 ** Math.floor(Math.log2(old.size - end))
      return end
    })
  }

  compare(seq: number, frontier: () => Frontier): void {
    const index = this.#ends.indexOf(seq)
    if (index === -1 || !this.#isSame) return
    const { hashes } = frontier()
    this.#isSame = this.#old.hashes
      .slice(0, index + 1)
      .every((hash, at) => equalHashes(hash, hashes[at] ?? new Uint8Array()))
    if (this.#isSame) this.size = seq
  }
}

async function resendAfter(store: Store, host: string, common: number) {
  const cursors = (await store.auditor.listSinks(host)).map(({ seq }) => seq)
  const until = Math.max(0, ...cursors)
  return until > common ? { from: common, until } : null
}

async function keepState(directory: string, suffix: string): Promise<string | null> {
  const kept = join(directory, `auditor-state.${suffix}.json`)
  const moved = await rename(statePath(directory), kept).then(() => true, nullIfAbsent)
  if (moved === null) return null
  await syncDirectory(directory)
  return kept
}

async function keepFiles(directory: string, suffix: string): Promise<string> {
  const kept = join(directory, `before-${suffix}`)
  await mkdir(kept, { mode: 0o750 })
  const paths = [...(await listClosedFiles(directory)).map(({ path }) => path), auditFilePath(directory)]
  for (const path of paths) await rename(path, join(kept, basename(path))).catch(nullIfAbsent)
  await syncDirectory(kept)
  await syncDirectory(directory)
  return kept
}
