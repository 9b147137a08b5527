// What the record adds to reading a transcript: an admin who has opened it, beside its owner, whose reading is not recorded.

import { encodeAuditEntry } from '@teleclaude/core/audit.ts'
import { type ExportLine, formatExportLine } from '@teleclaude/core/audit-export.ts'
import { verifyAuditExport } from '@teleclaude/core/audit-verify.ts'
import { encodeBase64 } from '@teleclaude/core/base64.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { z } from 'zod'
import { newSession } from '../../packages/store/test-engines.ts'
import type { Run } from './bench.ts'
import { findCores } from './cores.ts'
import { type Finding, limit, median, quantile } from './finding.ts'
import { Program } from './program.ts'
import { serveMachine } from './served.ts'

const rounds = 5
const limitMs = 2
const turn = 10
const admin = 54_014
const owner = 54_011
const config = `people:
  - { name: ada, role: admin, os_uid: ${admin} }
  - { name: nora, role: member, os_uid: ${owner} }
limits: { requests_per_second: 10000 }
`
/** As a screen or two. */
const transcriptBytes = 4096

export async function benchAuditedRead({ scope, isQuick, say }: Run): Promise<readonly Finding[]> {
  const verified = await measureVerify(isQuick ? 20_000 : 100_000)
  // Nobody else to be: there is no content of others to open.
  if (process.getuid?.() !== 0) return [verified]
  const cores = findCores()
  const { socket, databaseUrl } = await serveMachine(scope, cores, config)
  const id = await recordSession(databaseUrl)
  const [own, audited] = await Promise.all(
    [owner, admin].map((uid) => Program.start(scope, 'reader', { args: [String(uid)], core: cores?.load })),
  )
  if (own === undefined || audited === undefined) throw new Error('a reader is missing')
  const body = { session: id, reason: 'a bench', minutes: 60 }
  await audited.ask(z.string(), { kind: 'post', socket, path: '/v1/access-grants', body })
  const read = (reader: Program, times: number) =>
    reader.ask(z.array(z.number()), { kind: 'read', socket, path: `/v1/sessions/${id}/transcript?format=raw`, times })

  const times = isQuick ? 100 : 300
  for (const reader of [own, audited]) await read(reader, times)
  const found: { readonly own: readonly number[]; readonly audited: readonly number[] }[] = []
  for (let round = 1; round <= rounds; round++) {
    say(`round ${round} of ${rounds}`)
    const took = { own: [] as number[], audited: [] as number[] }
    // In short turns, so that what else the machine does slows both.
    for (let done = 0; done < times; done += turn) {
      took.own.push(...(await read(own, turn)))
      took.audited.push(...(await read(audited, turn)))
    }
    found.push(took)
  }
  const values = (of: (round: (typeof found)[number]) => number) => found.map(of)
  return [
    {
      what: 'audited read: what the record adds, p50',
      unit: 'ms',
      rounds: values((round) => median(round.audited) - median(round.own)),
      ...limit(limitMs),
    },
    {
      what: 'audited read, p99',
      unit: 'ms',
      rounds: values((round) => quantile(round.audited, 0.99)),
      beside: { kind: 'peer', what: 'own read', rounds: values((round) => quantile(round.own, 0.99)) },
      budget: null,
    },
    verified,
  ]
}

async function recordSession(url: string): Promise<string> {
  const store = await openStore({ engine: 'postgres', url })
  try {
    const { id } = await store.sessions.create(
      newSession({ host: 'h', owner: { person: 'nora', uid: owner, osUser: 'nora' } }),
    )
    const bytes = Buffer.alloc(transcriptBytes, 'some output of a program\r\n')
    const chunk = { seq: 1, kind: 'output', offsetUs: 1, bytes } as const
    await store.transcripts.append([{ sessionId: id, chunks: [chunk], atUs: 1_700_000_000_000_000 }])
    return id
  } finally {
    await store.close()
  }
}

/** Of a log of entries like those that open content. */
async function measureVerify(count: number): Promise<Finding> {
  const session = { id: crypto.randomUUID(), owner: 'nora' }
  const actor = { kind: 'caller', person: 'ada', osUser: 'ada', uid: admin, pid: 4711 } as const
  const detail = { view: crypto.randomUUID(), grant: crypto.randomUUID(), kind: 'transcript' }
  const line = (exported: ExportLine) => formatExportLine(exported)
  const lines = [line({ type: 'log', v: 1, host: 'h', keys: { log: [], auditor: null } })]
  for (let seq = 1; seq <= count; seq++) {
    const entry = { host: 'h', epoch: 0, seq, atUs: seq, action: 'content.opened', actor, session, detail } as const
    lines.push(line({ type: 'entry', seq, entry: encodeBase64(encodeAuditEntry(entry)) }))
  }
  const perSecond: number[] = []
  for (let round = 1; round <= rounds; round++) {
    const startMs = performance.now()
    const { size, faults } = await verifyAuditExport(lines, { keys: [], since: null })
    if (size !== count || faults.some(({ kind }) => kind === 'entry')) throw new Error('the log does not verify')
    perSecond.push(count / ((performance.now() - startMs) / 1000))
  }
  return { what: 'audit verify: entries', unit: 'per s', rounds: perSecond, beside: null, budget: null }
}
