// The command line of `telec`: what there is, and how it ends. Each command's module is loaded when it is used.

import { AnswerError, ConnectionError } from '@teleclaude/client/client.ts'
import { type Action, actions } from '@teleclaude/core/policy.ts'
import { Command, CommanderError, Option } from 'commander'
import { defineAccessCommands } from './access-commands.ts'
import { defineAuditCommands } from './audit-commands.ts'
import { exitCodes, Failure } from './failure.ts'
import { startRecoveryIfNeeded } from './recovery/start.ts'
import { defineSessionCommands } from './session-commands.ts'

/** Returns the exit code. `argv` is that of the process, with the two words of Node. */
export async function main(argv: readonly string[]): Promise<number> {
  let exitCode = 0
  // Whoever reads us may have read enough (`| head`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(exitCode)
  })
  const program = defineProgram((code) => {
    exitCode = code
  })
  try {
    await program.parseAsync(argv)
    return exitCode
  } catch (error) {
    return explain(error)
  }
}

function defineProgram(finish: (exitCode: number) => void): Command {
  const program = new Command('telec')
    .description('Runs AI coding agents and other terminal programs as sessions that are yours, recorded and findable.')
    .enablePositionalOptions()
    .exitOverride()
    .addHelpCommand(true)
    .option('--socket <path>', 'socket of the service (default: your own, else the system service)')
    .hook('preAction', startRecoveryIfNeeded)
  const socket = () => program.opts<{ socket?: string }>()
  const json = () => new Option('--json', 'print one JSON object')

  defineSessionCommands(program, finish)
  defineAccessCommands(program, finish)
  defineAuditCommands(program, finish)
  program
    .command('whoami')
    .description('who the service takes you for')
    .option('--explain', 'step by step, with the file and line of the rule')
    .addOption(json())
    .action(async (options) => {
      const { whoami } = await import('./commands/whoami.ts')
      finish(await whoami({ ...options, ...socket() }))
    })
  program
    .command('can')
    .description('whether the service would let a person do something, and why; nothing is done')
    .argument('<person>', 'a person, or an account of this machine; yourself, or as an admin anybody')
    .addArgument(program.createArgument('<action>', 'what they would do').choices(actions))
    .argument('[session]', 'the session that it is about: an id, or the beginning of one')
    .addOption(json())
    .action(async (person: string, action: Action, session: string | undefined, options) => {
      const { can } = await import('./commands/can.ts')
      finish(await can({ person, action, session }, { ...options, ...socket() }))
    })
  definePeople(program, finish)
  program
    .command('doctor')
    .description('check the installation; says how to mend what is wrong')
    .option('--isolation', 'as root: become a user whom nobody knows, and show that they can do nothing')
    .addOption(json())
    .action(async ({ isolation = false, json = false }: { isolation?: boolean; json?: boolean }) => {
      const { doctor } = await import('./commands/doctor.ts')
      finish(await doctor({ isolation, json, ...socket() }))
    })
  defineConfig(program, finish)
  program
    .command('daemon')
    .description('the single-user service, in the foreground')
    .option('--ensure', 'start it in the background where it is not running')
    .option('--stop', 'stop the one in the background; sessions go on')
    .option('--new-audit-key', "where the audit log's key is lost for good: go on with a new one")
    .addOption(new Option('--report').hideHelp())
    .action(async (options) => {
      const { daemon } = await import('./commands/daemon.ts')
      finish(await daemon(options))
    })
  program
    .command('completion')
    .description('print a completion script: eval "$(telec completion bash)"')
    .addArgument(program.createArgument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('./commands/completion.ts')
      process.stdout.write(completionScript(shell, program))
    })
  program
    .command('version')
    .description('versions of telec, the service and Node')
    .addOption(json())
    .action(async (options) => {
      const { version } = await import('./commands/whoami.ts')
      finish(await version({ ...options, ...socket() }))
    })
  program
    .command('hook', { hidden: true })
    .argument('<agent>')
    .argument('[event]')
    .action(async (agent: string, event: string | undefined) => {
      const { hook } = await import('./commands/hook.ts')
      await hook(agent, event, socket().socket)
    })
  program.command('__complete-ids', { hidden: true }).action(async () => {
    const { completeIds } = await import('./commands/sessions.ts')
    finish(await completeIds(socket()))
  })
  return program
}

function definePeople(program: Command, finish: (exitCode: number) => void): void {
  const socket = () => program.opts<{ socket?: string }>()
  const json = () => new Option('--json', 'print one JSON object')
  const people = program.command('people').description('the accounts that use the service, for admins')
  people
    .command('ls')
    .description('accounts by uid: whose they are, and which are quarantined because they became others')
    .addOption(json())
    .action(async (options) => {
      const { listPeople } = await import('./commands/people.ts')
      finish(await listPeople({ ...options, ...socket() }))
    })
  people
    .command('rebind')
    .description('say that a quarantined account is whom the configuration says: it then has all that is that person’s')
    .argument('<account>', 'the name of an account of this machine, or a uid')
    .option('-y, --yes', 'do not ask')
    .addOption(json())
    .action(async (account: string, options) => {
      const { rebind } = await import('./commands/people.ts')
      finish(await rebind(account, { ...options, ...socket() }))
    })
}

function defineConfig(program: Command, finish: (exitCode: number) => void): void {
  const socket = () => program.opts<{ socket?: string }>()
  const json = () => new Option('--json', 'print one JSON object')
  const config = program.command('config').description('what is configured, by whom, and whether it is right')
  config
    .command('check')
    .description('every problem of the configuration, each with its place and what to do')
    .argument('[file...]', 'files to check (default: those of this machine that you can read)')
    .addOption(
      new Option('--as <kind>', 'what the files are').choices(['system', 'single-user', 'personal', 'secrets', 'env']),
    )
    .addOption(json())
    .action(async (files: string[], options) => {
      const { check } = await import('./commands/config.ts')
      finish(await check(files, { ...options, ...socket() }))
    })
  config
    .command('show')
    .description('the values that count')
    .argument('[key]', 'one key, or those below it')
    .option('--origin', 'with the layer and the line that each is from, what it hides, and when a change counts')
    .addOption(json())
    .action(async (key: string | undefined, options) => {
      const { show } = await import('./commands/config.ts')
      finish(await show(key, { ...options, ...socket() }))
    })
  config
    .command('reload')
    .description('have the service read its configuration again: all of it, or none where anything is wrong')
    .addOption(json())
    .action(async (options) => {
      const { reload } = await import('./commands/config.ts')
      finish(await reload({ ...options, ...socket() }))
    })
  config
    .command('split')
    .description('make system, secrets and personal files out of an older installation, whose files stay as they are')
    .requiredOption('--from <file>', 'its config.yml')
    .option('--env <file>', 'its .env')
    .option('--people <file>', 'its teleclaude.yml, with the people')
    .requiredOption('--to <directory>', 'where the files go')
    .option('--dry-run', 'say what would be written, and write nothing')
    .addOption(json())
    .action(async (options) => {
      const { configSplit } = await import('./commands/config-split.ts')
      finish(configSplit(options))
    })
  config
    .command('schema')
    .description('print JSON Schema, for editors')
    .addArgument(
      config
        .createArgument('[kind]', 'of which file')
        .choices(['system', 'single-user', 'personal', 'secrets'])
        .default('system'),
    )
    .action(async (kind: 'system' | 'single-user' | 'personal' | 'secrets') => {
      const { schema } = await import('./commands/config.ts')
      finish(schema(kind))
    })
}

/** What a start of the daemon, or the look at a directory or a socket, fails with: their messages are for a person. */
const expectedErrors = new Set(['StoreError', 'DirectoryError', 'SocketError', 'PeerError'])

/** Says what went wrong on standard error, and returns the exit code of sysexits.h that says it to a program. */
function explain(error: unknown): number {
  // Commander has said it itself, with a suggestion.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage
  const exitCode = exitCodeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(`telec: ${message}\n`)
  if (exitCode === exitCodes.software && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`)
  return exitCode
}

function exitCodeOf(error: unknown): number {
  if (error instanceof Failure) return error.exitCode
  if (error instanceof ConnectionError)
    return error.code === 'not-permitted' ? exitCodes.notPermitted : exitCodes.unavailable
  if (error instanceof AnswerError) {
    switch (error.problem.code) {
      case 'not-permitted':
      // What an admin's rule does not allow: neither other input nor another try changes that.
      case 'limit-reached':
        return exitCodes.notPermitted
      case 'unavailable':
      case 'not-recorded':
      case 'audit-alarm':
      case 'too-many-requests':
        return exitCodes.unavailable
      case 'config':
        return exitCodes.config
      case 'internal':
        return exitCodes.software
      default:
        return exitCodes.data
    }
  }
  // By name, so that the modules that these come from (databases, the FFI) are not loaded for it.
  if (error instanceof Error && (error.name === 'ConfigError' || error.name === 'AuditKeyError'))
    return exitCodes.config
  if (error instanceof Error && expectedErrors.has(error.name)) return exitCodes.unavailable
  return exitCodes.software
}
