// How the auditor is, seen from outside of it: its word, what it remembers, its files, its sinks and the database. Changes nothing.

import type { SinkConfig } from '@teleclaude/config/sinks.ts'
import { parseAuditEntry } from '@teleclaude/core/audit.ts'
import { type Store, StoreError, type StoreTarget } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { entries } from './alarm.ts'
import { auditFilePath, readLastEntry } from './audit-file.ts'
import { readAuditorKey } from './auditor-key.ts'
import { type AuditorState, type Heartbeat, readHeartbeat } from './heartbeat.ts'
import { confirms, fileSinkOf } from './sinks.ts'
import { readState } from './state.ts'

/** A running auditor gives its word every two seconds. */
const staleAfterSeconds = 15

export type SinkStatus = {
  readonly name: string
  readonly kind: SinkConfig['kind']
  readonly format: SinkConfig['format']
  /** As the auditor itself said last; null where it is not running. */
  readonly state: 'shipping' | 'waiting' | 'alarm' | null
  readonly message: string | null
  /** Up to which entry it was shipped everything, but for what is parked; null where the database can't be asked. */
  readonly shipped: number | null
  /** Nothing up to this entry is parked. */
  readonly completeThrough: number | null
  readonly parked: number | null
  /** False where what was sent is never confirmed. */
  readonly confirms: boolean
}

export type Status = {
  readonly host: string
  /** What it signs with, as others know it (C2SP signed-note); null where it has none yet. */
  readonly key: string | null
  readonly healthy: boolean
  /** Everything that keeps it from being healthy, for a person. */
  readonly problems: readonly string[]
  /** As the auditor itself said last; `not running` where that is too long ago. */
  readonly state: AuditorState | 'not running'
  readonly pid: number | null
  /** Number of the newest entry in the database; null where it can't be asked. */
  readonly head: number | null
  /** Entries that it has checked, and that it has cosigned, as it has written down. */
  readonly verified: number | null
  readonly cosigned: number | null
  /** Entries that no sink has confirmed. */
  readonly lag: number | null
  /** Since the oldest entry that no sink has confirmed; 0 where all are. */
  readonly exposureSeconds: number | null
  readonly sinks: readonly SinkStatus[]
  /** Those that no admin has accepted yet. */
  readonly alarms: readonly {
    readonly id: string
    readonly kind: string
    readonly at: string
    readonly message: string
  }[]
  readonly file: string
  /** Number of the files' last entry, 0 for none; null where they can't be read. */
  readonly fileEntry: number | null
}

type Asked = {
  readonly target: StoreTarget
  readonly host: string
  readonly directory: string
  readonly sinks: readonly SinkConfig[]
}

export async function readStatus({ target, host, directory, sinks: configured }: Asked): Promise<Status> {
  const problems: string[] = []
  const [key, word, own, last, log] = await Promise.all([
    orProblem(problems, async () => readAuditorKey(directory, host)),
    orProblem(problems, () => readHeartbeat(directory)),
    orProblem(problems, () => readState(directory, host)),
    orProblem(problems, () => readLastEntry(directory, host)),
    orProblem(problems, () => readLog(target, host, configured)),
  ])
  const running = judgeWord(word ?? null, host, directory, problems)
  const alarms = (own?.alarms ?? []).map(({ id, kind, atUs, message }) => ({
    id,
    kind,
    at: new Date(atUs / 1000).toISOString(),
    message,
  }))
  for (const { at, message } of alarms) {
    const text = `an alarm of ${at} was not accepted (auditor accept): ${message}`
    // The same is what the auditor says of its state.
    if (running?.message !== message) problems.push(text)
  }
  const sinks = configured.map((config) => describeSink(config, running, log?.progress ?? null))
  for (const { name, parked } of sinks) {
    if (parked !== null && parked > 0)
      problems.push(`the sink ${name} would not take ${parked} entries: auditor parked`)
  }
  const fileEntry = last === undefined ? null : (last?.seq ?? 0)
  const file = fileSinkOf(configured)
  const shipped = sinks.find(({ name }) => name === file?.name)?.shipped ?? null
  if (fileEntry !== null && shipped !== null && fileEntry < shipped)
    problems.push(`${auditFilePath(directory)} lacks ${entries(fileEntry + 1, shipped)}, which it had`)
  return {
    host,
    key: key?.vkey ?? null,
    healthy: problems.length === 0,
    problems,
    state: running?.state ?? 'not running',
    pid: running?.pid ?? null,
    head: log?.head ?? null,
    verified: own?.verified.frontier.size ?? null,
    cosigned: own ? (own.cosigned?.size ?? 0) : null,
    lag: log === undefined ? null : Math.max(0, log.head - log.confirmed),
    exposureSeconds: log?.exposureSeconds ?? null,
    sinks,
    alarms,
    file: auditFilePath(directory),
    fileEntry,
  }
}

/** Null where no auditor of this host runs there. */
function judgeWord(word: Heartbeat | null, host: string, directory: string, problems: string[]): Heartbeat | null {
  const ageSeconds = word === null ? Number.POSITIVE_INFINITY : Math.abs(Date.now() - Date.parse(word.at)) / 1000
  if (word === null || word.state === 'stopped' || ageSeconds > staleAfterSeconds) {
    const since = word
      ? `its last word in ${directory} is ${Math.round(ageSeconds)} s old (${word.state})`
      : 'it has left no word'
    problems.push(`the auditor of ${host} is not running, or can't write: ${since}`)
    return null
  }
  if (word.host !== host) problems.push(`the auditor that writes to ${directory} is that of ${word.host}`)
  else if (word.state !== 'shipping') problems.push(word.message ?? `the auditor is ${word.state}`)
  for (const { name, state, message } of word.sinks) {
    if (state !== 'shipping' && message !== word.message) problems.push(message ?? `the sink ${name} is ${state}`)
  }
  return word
}

type Progress = {
  readonly sink: string
  readonly seq: number
  readonly parked: number
  readonly firstParkedSeq: number | null
}

function describeSink(config: SinkConfig, word: Heartbeat | null, progress: readonly Progress[] | null): SinkStatus {
  const { name, kind, format } = config
  const said = word?.sinks.find((sink) => sink.name === name)
  const { seq, parked } = progressOf(name, progress ?? [])
  return {
    name,
    kind,
    format,
    state: said?.state ?? null,
    message: said?.message ?? null,
    shipped: progress && seq,
    completeThrough: progress && completeThrough(name, progress),
    parked: progress && parked,
    confirms: confirms(config),
  }
}

function progressOf(name: string, progress: readonly Progress[]): Progress {
  return progress.find(({ sink }) => sink === name) ?? { sink: name, seq: 0, parked: 0, firstParkedSeq: null }
}

function completeThrough(name: string, progress: readonly Progress[]): number {
  const { seq, firstParkedSeq } = progressOf(name, progress)
  return Math.min(seq, (firstParkedSeq ?? Number.POSITIVE_INFINITY) - 1)
}

/** Undefined where it failed; why is among the problems then. */
async function orProblem<T>(problems: string[], ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    const isExpected = error instanceof StoreError || (error instanceof Error && !(error instanceof TypeError))
    if (!isExpected) throw error
    problems.push(error.message)
    return undefined
  }
}

async function readLog(target: StoreTarget, host: string, configured: readonly SinkConfig[]) {
  const store = await openStore(target)
  try {
    const [progress, head] = await Promise.all([store.auditor.listSinks(host), store.audit.headSeq(host)])
    const marks = configured.filter(confirms).map(({ name }) => completeThrough(name, progress))
    const confirmed = Math.max(0, ...marks)
    const exposureSeconds = head > confirmed ? await readExposure(store, host, confirmed) : 0
    return { progress, head, confirmed, exposureSeconds }
  } finally {
    await store.close()
  }
}

/** By the clocks of whoever wrote the entry and of this machine; never less than 0. Null where the entry says no time. */
async function readExposure(store: Store, host: string, confirmed: number): Promise<number | null> {
  const [oldest] = await store.audit.read(host, { afterSeq: confirmed, limit: 1 })
  const entry = oldest === undefined ? null : parseAuditEntry(oldest.bytes)
  return entry === null ? null : Math.max(0, Date.now() - Date.parse(entry.at)) / 1000
}

export function renderStatus(status: Status): string {
  const known = (value: number | null) => (value === null ? 'unknown' : String(value))
  const rows = [
    ['host', status.host],
    ['key', status.key ?? 'unknown'],
    ['state', status.pid === null ? status.state : `${status.state} (pid ${status.pid})`],
    ['newest entry', known(status.head)],
    ['checked up to', known(status.verified)],
    ['cosigned up to', known(status.cosigned)],
    ['not confirmed', known(status.lag)],
    ['exposure', status.exposureSeconds === null ? 'unknown' : `${status.exposureSeconds.toFixed(1)} s`],
    ...status.sinks.map((sink) => [`sink ${sink.name}`, renderSink(sink)]),
    ['file', status.file],
    ['last in the files', known(status.fileEntry)],
    ['healthy', status.healthy ? 'yes' : 'no'],
    ...status.problems.map((problem) => ['problem', problem]),
  ]
  const width = Math.max(...rows.map(([name = '']) => name.length)) + 2
  return rows.map(([name = '', value = '']) => `${name.padEnd(width)}${value}`).join('\n')
}

function renderSink({ kind, format, state, shipped, completeThrough, parked, confirms }: SinkStatus): string {
  const how = confirms ? 'confirmed' : 'sent, not confirmed,'
  const up = shipped === null ? 'unknown' : `${how} up to ${shipped}`
  const left = parked !== null && parked > 0 ? `; ${parked} parked, complete through ${completeThrough}` : ''
  return `${kind}, ${format}: ${up}${left}${state === null ? '' : ` (${state})`}`
}
