// The commands of `telec` that are about others' content: access grants and what their owners are told of them. Each command's module is
// loaded when it is used.

import { defaultAccessMinutes, maxAccessMinutes } from '@teleclaude/core/access.ts'
import { type Command, Option } from 'commander'
import { parseCount } from './session-commands.ts'

type Finish = (exitCode: number) => void

const howLong = `for how long, up to ${maxAccessMinutes} (default: ${defaultAccessMinutes})`

export function defineAccessCommands(program: Command, finish: Finish): void {
  const socket = () => program.opts<{ socket?: string }>()
  const json = () => new Option('--json', 'print one JSON object')
  const access = program
    .command('access')
    .description(
      'open sessions of others, for admins: with a reason, for a time, on the record, and their owners are told',
    )
  access
    .command('open')
    .description('let yourself look at a session of somebody else for some time')
    .argument('<session>', 'a session id, or the beginning of one')
    .requiredOption('--reason <text>', 'why: one line, which the owner and every auditor can read')
    .addOption(new Option('--minutes <number>', howLong).argParser(parseCount))
    .option('--drive', 'also to type')
    .addOption(json())
    .action(async (session: string, options) => {
      const { openGrant } = await import('./commands/access.ts')
      finish(await openGrant(session, { ...options, ...socket() }))
    })
  access
    .command('ls')
    .description('who opened what, when, until when, why, and how much was delivered, newest first')
    .option('--session <id>', 'only of this session')
    .option('--active', 'only those that hold now')
    .addOption(new Option('-n, --limit <number>', 'at most this many').argParser(parseCount))
    .option('--all', 'all there are')
    .addOption(json())
    .action(async (options) => {
      const { listGrants } = await import('./commands/access.ts')
      finish(await listGrants({ ...options, ...socket() }))
    })
  access
    .command('end')
    .description('end an access grant before its time; what is looked at under it is cut off')
    .argument('<grant>', 'the id of a grant that holds, or the beginning of one')
    .addOption(json())
    .action(async (grant: string, options) => {
      const { endGrant } = await import('./commands/access.ts')
      finish(await endGrant(grant, { ...options, ...socket() }))
    })
  program
    .command('notices')
    .description('what others did with your sessions: opened, stopped, renamed, typed into')
    .option('--unseen', 'only those that you have not seen')
    .option('--keep', 'do not mark them as seen')
    .addOption(new Option('-n, --limit <number>', 'at most this many that you have seen').argParser(parseCount))
    .addOption(json())
    .action(async (options) => {
      const { listNotices } = await import('./commands/notices.ts')
      finish(await listNotices({ ...options, ...socket() }))
    })
}
