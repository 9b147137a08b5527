// The auditor: reads the audit log of its host, checks it, signs for it, and ships it to where the database's owner has no say.

import { Command } from 'commander'
import { explain } from './ending.ts'

// What only some commands need is loaded by them: status is asked every few seconds.
const commands = () => import('./commands.ts')

const program = new Command('auditor')
  .exitOverride()
  .description('Checks the audit log of this host, cosigns it, ships it, and verifies it.')
const json = ['--json', 'print one JSON object'] as const

program
  .command('run', { isDefault: true })
  .description('check, cosign and ship entries as they come, until SIGTERM')
  .action(async () => (await commands()).run())
program
  .command('once')
  .description('check, cosign and ship all there are; exit 0 only where that is done')
  .action(async () => (await commands()).once())
program
  .command('verify')
  .description('look over the whole log, and compare files and database; exit 1 where anything does not hold')
  .option(...json)
  .action(async (options) => (await commands()).verify(options))
program
  .command('status')
  .description('say how it is; exit 0 only where all is well')
  .option(...json)
  .action(async (options) => (await commands()).status(options))
program
  .command('accept')
  .description('after an alarm that an admin has looked at: go on with the log as it is now')
  .requiredOption('--reason <text>', 'why, which is kept')
  .option(...json)
  .action(async (options) => (await commands()).accept(options))
program
  .command('parked')
  .description('list the entries that sinks would not take')
  .option('--sink <name>', 'of that sink alone')
  .option(...json)
  .action(async (options) => (await commands()).parked(options))
program
  .command('retry')
  .description('send parked entries again; exit 0 only where none of them is parked any more')
  .argument('[seq...]', 'these entries alone')
  .option('--sink <name>', 'to that sink alone')
  .option(...json)
  .action(async (seqs, options) => (await commands()).retry(seqs, options))

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = explain(error)
}
