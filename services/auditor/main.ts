// The auditor: reads the audit log of its host, checks it, and ships it to where the database's owner has no say.

import { systemLayout } from '@teleclaude/config/layout.ts'
import { loadDeployment } from '@teleclaude/config/load.ts'
import type { LogLevel } from '@teleclaude/config/log-level.ts'
import type { StoreTarget } from '@teleclaude/store/contract.ts'
import { openStore } from '@teleclaude/store/open.ts'
import { Command } from 'commander'
import { auditFilePath } from './audit-file.ts'
import { explain, print } from './ending.ts'

const program = new Command('auditor').exitOverride().description('Ships the audit log of this host, and verifies it.')
const json = ['--json', 'print one JSON object'] as const
program.command('run', { isDefault: true }).description('ship entries as they come, until SIGTERM').action(run)
program.command('once').description('ship all there are; exit 0 only where that is done').action(once)
program
  .command('verify')
  .description('compare file and database; exit 1 where they differ')
  .option(...json)
  .action(verify)
program
  .command('status')
  .description('say how it is; exit 0 only where all is well')
  .option(...json)
  .action(status)

// What only some commands need is loaded by them: status is asked every few seconds.

async function run(): Promise<void> {
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => stop.abort())
  const { runAuditor } = await import('./run.ts')
  await runAuditor(await withLog(readOptions(), 1), stop.signal)
}

async function once(): Promise<void> {
  const { shipOnce } = await import('./run.ts')
  print(`shipped ${await shipOnce(await withLog(readOptions(), 2))} entries: all there are`)
}

async function verify(options: { readonly json?: boolean }): Promise<void> {
  const { target, host, directory } = readOptions()
  const { renderVerification, verifyFile } = await import('./verify.ts')
  const store = await openStore(target)
  try {
    const found = await verifyFile(store, host, auditFilePath(directory))
    print(options.json ? JSON.stringify(found) : renderVerification(found))
    process.exitCode = found.holds ? 0 : 1
  } finally {
    await store.close()
  }
}

async function status(options: { readonly json?: boolean }): Promise<void> {
  const { readStatus, renderStatus } = await import('./status.ts')
  const found = await readStatus(readOptions())
  print(options.json ? JSON.stringify(found) : renderStatus(found))
  process.exitCode = found.healthy ? 0 : 1
}

type Options = { target: StoreTarget; host: string; directory: string; logLevel: LogLevel }

function readOptions(): Options {
  const layout = systemLayout(process.platform)
  const { databaseUrl, host, logLevel, auditDirectory } = loadDeployment({ ...layout, env: process.env }).config
  const target = { engine: 'postgres', url: databaseUrl.reveal() } as const
  return { target, host, directory: auditDirectory ?? layout.auditDir, logLevel }
}

async function withLog({ logLevel, ...options }: Options, descriptor: number) {
  const { pino } = await import('pino')
  const base = { host: options.host, service: 'auditor' }
  const form = { level: logLevel, base, timestamp: pino.stdTimeFunctions.isoTime }
  return { ...options, log: pino(form, pino.destination({ fd: descriptor, sync: true })) }
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = explain(error)
}
