// How the auditor is, seen from outside of it: its word, its file and the database. Changes nothing.

import { auditEntryTimeMs } from '@teleclaude/core/audit.ts'
import { type Store, StoreError, type StoreTarget } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { entries } from './alarm.ts'
import { auditFilePath, readTailOf } from './audit-file.ts'
import { type AuditorState, readHeartbeat } from './heartbeat.ts'
import { sinkName } from './shipping.ts'

/** A running auditor gives its word every two seconds. */
const staleAfterSeconds = 15

export type Status = {
  readonly host: string
  readonly healthy: boolean
  /** Everything that keeps it from being healthy, for a person. */
  readonly problems: readonly string[]
  /** As the auditor itself said last; `not running` where that is too long ago. */
  readonly state: AuditorState | 'not running'
  readonly pid: number | null
  /** Number of the newest entry in the database; null where it can't be asked. */
  readonly head: number | null
  /** Up to which entry the sink has confirmed everything. */
  readonly cursor: number | null
  /** Entries that are not shipped yet. */
  readonly lag: number | null
  /** Since the oldest entry that is not shipped; 0 where all are. */
  readonly exposureSeconds: number | null
  readonly file: string
  /** Number of the file's last entry, 0 for none; null where it can't be read. */
  readonly fileEntry: number | null
}

type Asked = { readonly target: StoreTarget; readonly host: string; readonly directory: string }

export async function readStatus({ target, host, directory }: Asked): Promise<Status> {
  const problems: string[] = []
  const file = auditFilePath(directory)
  const [word, tail, log] = await Promise.all([
    orProblem(problems, () => readHeartbeat(directory)),
    orProblem(problems, () => readTailOf(file, host)),
    orProblem(problems, () => readLog(target, host)),
  ])
  const ageSeconds = word ? Math.abs(Date.now() - Date.parse(word.at)) / 1000 : Number.POSITIVE_INFINITY
  const isRunning = word !== null && word !== undefined && word.state !== 'stopped' && ageSeconds <= staleAfterSeconds
  const state = isRunning ? word.state : 'not running'
  if (!isRunning) {
    const since = word
      ? `its last word in ${directory} is ${Math.round(ageSeconds)} s old (${word.state})`
      : 'it has left no word'
    problems.push(`the auditor of ${host} is not running, or can't write: ${since}`)
  } else if (word.host !== host) problems.push(`the auditor that writes to ${directory} is that of ${word.host}`)
  else if (state !== 'shipping') problems.push(word.message ?? `the auditor is ${state}`)
  const fileEntry = tail === undefined ? null : (tail?.last?.seq ?? 0)
  const cursor = log?.cursor ?? null
  if (fileEntry !== null && cursor !== null && fileEntry < cursor)
    problems.push(`${file} lacks ${entries(fileEntry + 1, cursor)}, which it had`)
  return {
    host,
    healthy: problems.length === 0,
    problems,
    state,
    pid: isRunning ? word.pid : null,
    head: log?.head ?? null,
    cursor,
    lag: log === undefined ? null : Math.max(0, log.head - log.cursor),
    exposureSeconds: log?.exposureSeconds ?? null,
    file,
    fileEntry,
  }
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

async function readLog(target: StoreTarget, host: string) {
  const store = await openStore(target)
  try {
    const [cursor, head] = await Promise.all([store.audit.readCursor(host, sinkName), store.audit.headSeq(host)])
    return { cursor, head, exposureSeconds: head > cursor ? await readExposure(store, host, cursor) : 0 }
  } finally {
    await store.close()
  }
}

/** By the clocks of whoever wrote the entry and of this machine; never less than 0. Null where the entry says no time. */
async function readExposure(store: Store, host: string, cursor: number): Promise<number | null> {
  const [oldest] = await store.audit.read(host, { afterSeq: cursor, limit: 1 })
  const atMs = oldest === undefined ? null : auditEntryTimeMs(oldest.bytes)
  return atMs === null ? null : Math.max(0, Date.now() - atMs) / 1000
}

export function renderStatus(status: Status): string {
  const known = (value: number | null) => (value === null ? 'unknown' : String(value))
  const rows = [
    ['host', status.host],
    ['state', status.pid === null ? status.state : `${status.state} (pid ${status.pid})`],
    ['newest entry', known(status.head)],
    ['shipped up to', known(status.cursor)],
    ['not shipped', known(status.lag)],
    ['exposure', status.exposureSeconds === null ? 'unknown' : `${status.exposureSeconds.toFixed(1)} s`],
    ['file', status.file],
    ['last in the file', known(status.fileEntry)],
    ['healthy', status.healthy ? 'yes' : 'no'],
    ...status.problems.map((problem) => ['problem', problem]),
  ]
  return rows.map(([name = '', value = '']) => `${name.padEnd(18)}${value}`).join('\n')
}
