// The auditor as a process of its own beside a real PostgreSQL: how long after its commit an entry was checked, and is in the synced
// file and written down as such; and how many it gets there in a second when there are many.

import { setTimeout as delay } from 'node:timers/promises'
import type { AuditEvent } from '@teleclaude/core/audit.ts'
import { host, Site } from '../../services/auditor/test-site.ts'
import { startPostgres } from '../support/postgres-server.ts'
import type { Run } from './bench.ts'
import { type Finding, limit, quantile } from './finding.ts'

const limitMs = 50
const leastPerSecond = 20_000
const rounds = 3
const perAppend = 500
const pollMs = 20

export async function benchAuditor({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  const entries = isQuick ? 20_000 : 100_000
  const postgres = scope.use(await startPostgres({ own: true }))
  const latencies: number[] = []
  const rates: number[] = []
  for (let round = 1; round <= rounds; round++) {
    await using site = await Site.make(postgres)
    say(`round ${round}: ${entries} entries`)
    rates.push(await measureRate(site, entries))
    say(`round ${round}: one after the other`)
    latencies.push(await measureLatency(site, entries, isQuick ? 100 : 300))
  }
  return [
    { what: 'commit -> checked -> file, p95', unit: 'ms', rounds: latencies, ...limit(limitMs) },
    {
      what: 'entries checked and in the file',
      unit: 'per s',
      rounds: rates,
      beside: { kind: 'limit', value: leastPerSecond },
      budget: { kind: 'at least', ratio: 1 },
    },
  ]
}

async function fill(site: Site, entries: number): Promise<void> {
  const event: AuditEvent = {
    action: 'session.started',
    actor: { kind: 'caller', person: 'alice', osUser: 'alice', uid: 1000, pid: 4242 },
    session: { id: '0b9f1f2e-5f3c-4c1a-9d55-0a2b8f6d1c11', owner: 'alice' },
    detail: { project: 'teleclaude', agent: 'claude' },
  }
  const events: [AuditEvent, ...AuditEvent[]] = [event, ...Array.from({ length: perAppend - 1 }, () => event)]
  for (let made = 0; made < entries; made += perAppend) await site.store.audit.append(host, events, made)
}

async function untilShipped(site: Site, seq: number): Promise<void> {
  while ((await site.store.audit.readCursor(host, 'file')) < seq);
}

/** From the first batch that is there to the last: what a start takes is not counted. */
async function measureRate(site: Site, entries: number): Promise<number> {
  await fill(site, entries)
  site.run()
  await untilShipped(site, 1)
  const first = await site.store.audit.readCursor(host, 'file')
  const startMs = performance.now()
  // Asked now and then: who asks all the time takes a core from the two that work.
  while ((await site.store.audit.readCursor(host, 'file')) < entries) await delay(pollMs)
  return (entries - first) / ((performance.now() - startMs) / 1000)
}

async function measureLatency(site: Site, before: number, count: number): Promise<number> {
  const times: number[] = []
  for (let made = 1; made <= count; made++) {
    await site.append(1)
    const startMs = performance.now()
    await untilShipped(site, before + made)
    times.push(performance.now() - startMs)
  }
  return quantile(times, 0.95)
}
