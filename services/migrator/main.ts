// The migrator: the database's schema, its roles and their rights. Runs to completion before the other services start.

import { systemLayout } from '@teleclaude/config/layout.ts'
import { loadDeployment } from '@teleclaude/config/load.ts'
import { Command, InvalidArgumentError } from 'commander'
import { type Answer, type Deployment, explain, print } from './answer.ts'
import { plan } from './plan.ts'
import { readStatus } from './status.ts'
import { up } from './up.ts'
import { verify } from './verify.ts'

type Options = { readonly json?: true }

const program = new Command('migrator')
  .description("Brings the database's schema, roles and rights up to date, and proves them.")
  .exitOverride()
const json = ['--json', 'print one JSON object'] as const

program
  .command('up', { isDefault: true })
  .description('apply what is pending, then set roles and rights; exit 0 only where all of it holds')
  .option('--wait <seconds>', 'how long to wait for a database that does not answer', parseSeconds, 60)
  .option(...json)
  .action(async (options: Options & { readonly wait: number }) => {
    // The answer is alone on standard output.
    const say = (line: string) => print(options.json ? process.stderr : process.stdout, line)
    answer(options, await up(readDeployment(), { waitMs: options.wait * 1_000, say }))
  })
program
  .command('status')
  .description('which migrations are applied and which roles are as they should be; exit 1 where anything is not')
  .option(...json)
  .action(async (options: Options) => answer(options, await readStatus(readDeployment())))
program
  .command('plan')
  .description('what up would do; changes nothing')
  .option(...json)
  .action(async (options: Options) => answer(options, await plan(readDeployment())))
program
  .command('verify')
  .description('compare everything with what this program declares, and really try; exit 1 where anything differs')
  .option(...json)
  .action(async (options: Options) => answer(options, await verify(readDeployment())))

function readDeployment(): Deployment {
  const { config } = loadDeployment({ ...systemLayout(process.platform), env: process.env })
  return { target: { engine: 'postgres', url: config.databaseUrl.reveal() }, host: config.host }
}

function answer(options: Options, { exitCode, text, facts }: Answer): void {
  print(process.stdout, options.json ? JSON.stringify(facts) : text)
  process.exitCode = exitCode
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (/^\d{1,6}$/.test(text)) return seconds
  throw new InvalidArgumentError('It has to be a whole number of seconds.')
}

try {
  await program.parseAsync()
} catch (error) {
  process.exitCode = explain(error)
}
