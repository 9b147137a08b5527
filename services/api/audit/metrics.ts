// `GET /metrics`, for Prometheus and what reads its format. No label names a person or a session.

import type { Counter, Gauge, Registry } from 'prom-client'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { readProgress } from './state.ts'

type Metrics = {
  readonly registry: Registry
  readonly entries: Gauge
  readonly signed: Gauge
  readonly cosigned: Gauge
  readonly fault: Gauge
  readonly exposure: Gauge
  readonly sinkLag: Gauge<'sink'>
  readonly sinkParked: Gauge<'sink'>
  readonly alarms: Gauge<'kind'>
  readonly liveSessions: Gauge
  readonly requests: Counter<'action' | 'code'>
}

const made = new WeakMap<Service['requests'], Promise<Metrics>>()

export async function readMetrics({ service }: { readonly service: Service }): Promise<Answer> {
  let making = made.get(service.requests)
  if (making === undefined) {
    making = makeMetrics()
    made.set(service.requests, making)
  }
  const metrics = await making
  await measure(service, metrics)
  const text = await metrics.registry.metrics()
  return { status: 200, contentType: metrics.registry.contentType, stream: once(text) }
}

async function* once(text: string): AsyncGenerator<string> {
  yield text
}

/** Loaded when somebody asks for the first time: a service that nobody measures does not pay for it. */
async function makeMetrics(): Promise<Metrics> {
  const { collectDefaultMetrics, Counter, Gauge, Registry } = await import('prom-client')
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const gauge = (name: string, help: string) => new Gauge({ name: `teleclaude_${name}`, help, registers })
  return {
    registry,
    entries: gauge('audit_entries', "Entries of this host's audit log"),
    signed: gauge('audit_signed_entries', 'Those that a checkpoint of the service is over'),
    cosigned: gauge('audit_cosigned_entries', 'Those that a checkpoint is over which the auditor has cosigned'),
    fault: gauge('audit_signer_fault', 'Whether the service refuses to sign the log as it is'),
    exposure: gauge('audit_exposure_seconds', 'Age of the oldest entry that no sink has; NaN without any sink'),
    sinkLag: new Gauge({
      name: 'teleclaude_audit_sink_lag_entries',
      help: 'Entries that a sink has not confirmed',
      labelNames: ['sink'],
      registers,
    }),
    sinkParked: new Gauge({
      name: 'teleclaude_audit_sink_parked_entries',
      help: 'Entries that a sink would not take',
      labelNames: ['sink'],
      registers,
    }),
    alarms: new Gauge({
      name: 'teleclaude_audit_alarms',
      help: 'Alarms of the auditor that nobody has acknowledged',
      labelNames: ['kind'],
      registers,
    }),
    liveSessions: gauge('live_sessions', 'Sessions of this host that are starting or running'),
    requests: new Counter({
      name: 'teleclaude_requests_total',
      help: 'Requests that were answered, by the action of the policy and the status',
      labelNames: ['action', 'code'],
      registers,
    }),
  }
}

async function measure(service: Service, metrics: Metrics): Promise<void> {
  const { store, host, signer, auditor, requests } = service
  const [progress, live] = await Promise.all([readProgress(service), store.sessions.listLive(host)])
  // From here on nothing is awaited, so that two that ask at once get whole answers.
  metrics.entries.set(progress.size)
  metrics.signed.set(signer.signed.size)
  metrics.cosigned.set(auditor.cosignedSize)
  metrics.fault.set(signer.fault === null ? 0 : 1)
  metrics.exposure.set(progress.exposureSeconds ?? Number.NaN)
  metrics.sinkLag.reset()
  metrics.sinkParked.reset()
  for (const { sink, seq, parked } of progress.sinks) {
    metrics.sinkLag.set({ sink }, Math.max(0, progress.size - seq))
    metrics.sinkParked.set({ sink }, parked)
  }
  metrics.alarms.reset()
  for (const { kind } of auditor.alarms) metrics.alarms.inc({ kind })
  metrics.liveSessions.set(live.length)
  metrics.requests.reset()
  for (const { action, code, count } of requests.list()) metrics.requests.inc({ action, code }, count)
}
