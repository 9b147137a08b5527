// What the auditor's commands do, and the exit codes that they end with.

import { systemLayout } from '@teleclaude/config/layout.ts'
import { loadDeployment } from '@teleclaude/config/load.ts'
import type { LogLevel } from '@teleclaude/config/log-level.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { InvalidArgumentError } from 'commander'
import { print } from './ending.ts'
import type { AuditorOptions } from './options.ts'

type Json = { readonly json?: boolean }

const maxReasonLength = 500

export async function run(): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop.abort())
  const { runAuditor } = await import('./run.ts')
  await runAuditor(await withLog(readOptions(), 1), stop.signal)
}

export async function once(): Promise<void> {
  const { shipOnce } = await import('./run.ts')
  print(`shipped ${await shipOnce(await withLog(readOptions(), 2))} entries: all there are`)
}

export async function verify(options: Json): Promise<void> {
  const { target, host, directory, sinks } = readOptions()
  const [{ renderVerification, verifyLog }, { readState }, { readAuditorKey }, { fileSinkOf }] = await Promise.all([
    import('./verify.ts'),
    import('./state.ts'),
    import('./auditor-key.ts'),
    import('./sinks.ts'),
  ])
  // Before the database is asked for anything: what is remembered is of what was there.
  const state = await readState(directory, host)
  const key = readAuditorKey(directory, host)
  const store = await openStore(target)
  try {
    const { alarm: _, ...found } = await verifyLog({ store, host, directory, state, key, files: fileSinkOf(sinks) })
    print(options.json ? JSON.stringify(found) : renderVerification(found))
    process.exitCode = found.holds ? 0 : 1
  } finally {
    await store.close()
  }
}

export async function status(options: Json): Promise<void> {
  const { readStatus, renderStatus } = await import('./status.ts')
  const found = await readStatus(readOptions())
  print(options.json ? JSON.stringify(found) : renderStatus(found))
  process.exitCode = found.healthy ? 0 : 1
}

export async function accept({ reason, json }: Json & { readonly reason: string }): Promise<void> {
  const why = reason.trim()
  if (why === '' || why.length > maxReasonLength || /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(why))
    throw new InvalidArgumentError(`--reason must be one line of 1 to ${maxReasonLength} characters`)
  const { acceptLog } = await import('./accept.ts')
  const found = await acceptLog(await withLog(readOptions(), 2), why)
  if (json) return print(JSON.stringify(found))
  const lines = [
    `the log of ${found.size} entries is accepted as it is now; it is signed by ${found.vkey ?? 'no key yet'}`,
    ...(found.fault === null
      ? []
      : [`with what is wrong with it: ${found.fault}`, 'sinks get what comes from here on; nothing of before']),
    ...(found.keptState === null ? [] : [`what was remembered before is in ${found.keptState}`]),
    ...(found.keptFiles === null ? [] : [`files that are not of this log are in ${found.keptFiles}`]),
  ]
  print(lines.join('\n'))
}

export async function parked({ sink, json }: Json & { readonly sink?: string }): Promise<void> {
  const { target, host } = readOptions()
  const { listAllParked } = await import('./parked.ts')
  const store = await openStore(target)
  try {
    const found = await Array.fromAsync(listAllParked(store, host, sink ?? null))
    const time = (us: number) => new Date(us / 1000).toISOString()
    if (json) {
      const shown = found.map(({ parkedAtUs, triedAtUs, ...rest }) => ({
        ...rest,
        parkedAt: time(parkedAtUs),
        triedAt: time(triedAtUs),
      }))
      return print(JSON.stringify({ parked: shown }))
    }
    if (found.length === 0) return print('no entry is parked')
    const lines = found.map(
      ({ sink: name, seq, attempts, triedAtUs, reason }) =>
        `${name}  entry ${seq}  tried ${attempts} times, last ${time(triedAtUs)}: ${reason}`,
    )
    print(lines.join('\n'))
  } finally {
    await store.close()
  }
}

export async function retry(
  written: readonly string[],
  { sink, json }: Json & { readonly sink?: string },
): Promise<void> {
  const seqs = written.map((text) => {
    if (!/^[1-9]\d{0,15}$/.test(text)) throw new InvalidArgumentError(`${text} is no number of an entry`)
    return Number(text)
  })
  const { retryOnce } = await import('./retry.ts')
  const options = await withLog(readOptions(), 2)
  if (sink !== undefined && !options.sinks.some(({ name }) => name === sink))
    throw new InvalidArgumentError(`there is no sink ${sink}`)
  const { refused, failures, ...rest } = await retryOnce(options, {
    ...(sink !== undefined && { sink }),
    ...(seqs.length > 0 && { seqs }),
  })
  if (json) print(JSON.stringify({ ...rest, refused, failures }))
  else
    print([`tried ${rest.tried} entries: ${rest.taken} were taken, ${refused} refused again`, ...failures].join('\n'))
  process.exitCode = failures.length > 0 ? 69 : refused > 0 ? 1 : 0
}

type Options = Omit<AuditorOptions, 'log'> & { readonly logLevel: LogLevel }

function readOptions(): Options {
  const layout = systemLayout(process.platform)
  const sources = { ...layout, env: process.env }
  const { databaseUrl, host, logLevel, auditDirectory, sinks } = loadDeployment(sources, { withSinks: true }).config
  const target = { engine: 'postgres', url: databaseUrl.reveal() } as const
  return { target, host, directory: auditDirectory ?? layout.auditDir, logLevel, sinks }
}

async function withLog({ logLevel, ...options }: Options, descriptor: number): Promise<AuditorOptions> {
  const { pino } = await import('pino')
  const base = { host: options.host, service: 'auditor' }
  const form = { level: logLevel, base, timestamp: pino.stdTimeFunctions.isoTime }
  return { ...options, log: pino(form, pino.destination({ fd: descriptor, sync: true })) }
}
