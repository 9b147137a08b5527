// `GET /v1/audit/state`: how the log is kept, by this service, its auditor, and the sinks that that one ships to.

import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import type { AlarmView, AuditState } from '@teleclaude/core/audit-api.ts'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import type { Alarm, AuditorWord, SinkProgress } from '@teleclaude/store/audit-contract.ts'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { staleAfterMs } from './auditor-watch.ts'

const usPerMs = 1_000

export async function readAuditState({ service }: { readonly service: Service }): Promise<Answer> {
  const { store, host, signer, auditor, config } = service
  const [word, alarms, progress] = await Promise.all([
    store.auditor.lastWord(host),
    store.auditor.listAlarms(host, { unacknowledged: false }),
    readProgress(service),
  ])
  const json: AuditState = {
    host,
    size: progress.size,
    signed: signer.signed.size,
    cosigned: auditor.cosignedSize,
    fault: signer.fault ?? auditor.fault,
    exposureSeconds: progress.exposureSeconds,
    require: config.current.auditPolicy.require,
    auditor: word === null ? null : viewWord(word),
    sinks: progress.sinks.map((sink) => ({
      sink: sink.sink,
      seq: sink.seq,
      completeThrough: completeThrough(sink),
      movedAt: formatInstant(sink.movedAtUs),
      parked: sink.parked,
    })),
    alarms: alarms.map(viewAlarm),
  }
  return { status: 200, json }
}

/** Everything up to this entry is there. */
function completeThrough({ seq, firstParkedSeq }: SinkProgress): number {
  return firstParkedSeq === null ? seq : Math.min(seq, firstParkedSeq - 1)
}

export type Progress = {
  readonly size: number
  readonly sinks: readonly SinkProgress[]
  /** Of the oldest entry that no sink has, as far as sinks say so themselves; null where none that does ever shipped anything. */
  readonly exposureSeconds: number | null
}

export async function readProgress({
  store,
  host,
  config,
}: Pick<Service, 'store' | 'host' | 'config'>): Promise<Progress> {
  const sinks = await store.auditor.listSinks(host)
  const size = await store.audit.headSeq(host)
  const confirming = sinks.filter(({ sink }) => !config.current.unconfirmedSinks.includes(sink))
  if (confirming.length === 0) return { size, sinks, exposureSeconds: null }
  const shipped = Math.max(...confirming.map(completeThrough))
  if (shipped >= size) return { size, sinks, exposureSeconds: 0 }
  const [oldest] = await store.audit.read(host, { afterSeq: shipped, limit: 1 })
  const entry = oldest === undefined ? null : parseAuditEntry(oldest.bytes)
  // What can't be dated is as old as it may be.
  const atMs = entry === null ? 0 : Date.parse(entry.at)
  return { size, sinks, exposureSeconds: Math.max(0, (Date.now() - atMs) / 1000) }
}

function viewWord({ vkey, state, message, atUs, verifiedSeq }: AuditorWord): AuditState['auditor'] {
  const stale = nowUs() - atUs > staleAfterMs * usPerMs
  return { vkey, state, message, at: formatInstant(atUs), stale, verifiedSeq }
}

export function viewAlarm({ id, kind, atUs, fromSeq, toSeq, message, acknowledged }: Alarm): AlarmView {
  return {
    id,
    kind,
    at: formatInstant(atUs),
    fromSeq,
    toSeq,
    message,
    acknowledgedBy: acknowledged?.by ?? null,
    acknowledgedAt: acknowledged === null ? null : formatInstant(acknowledged.atUs),
  }
}
