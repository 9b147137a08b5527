// The commands of `telec` that are about sessions, and their other names. Each command's module is loaded when it is used.

import { type Command, InvalidArgumentError, Option } from 'commander'

/** More does not fit into a timer of Node: 24 days. */
const maxSeconds = 2_147_483
const usualLines = 10
const usualMatches = 10
/** One more is asked for, to know whether there are others. */
const maxMatches = 9_999

type Program = {
  readonly finish: (exitCode: number) => void
  /** The options that come before any command. */
  readonly socket: () => { socket?: string }
}
/** Gives a command that has its name all the rest. */
type Definition = (command: Command, program: Program) => void

export function defineSessionCommands(program: Command, finish: (exitCode: number) => void): void {
  const context: Program = { finish, socket: () => program.opts<{ socket?: string }>() }
  const define = (parent: Command, definitions: Readonly<Record<string, Definition>>): void => {
    for (const [name, definition] of Object.entries(definitions)) definition(parent.command(name), context)
  }
  define(program, { run, attach, ls, show, send, interrupt, stop, wait, tail, transcript, search, events })
  const sessions = program
    .command('sessions')
    .description('the same under the names that users of the original TeleClaude know')
    .enablePositionalOptions()
  define(sessions, { list: ls, start: run, send, tail, end: stop })
}

const json = () => new Option('--json', 'print one JSON object')
const theSession = ['<id>', 'a session id, or the beginning of one'] as const
/** Of commands that show or touch content. */
const reasons = (command: Command): Command =>
  command
    .option('--reason <text>', 'of somebody else’s session, for admins: open it first, on the record, with this reason')
    .addOption(new Option('--minutes <number>', 'with --reason: for how long').argParser(parseCount))

const run: Definition = (command, { finish, socket }) => {
  command
    .description('start a session: a command, or your default agent, or your login shell')
    .argument('[command...]', 'the program and its arguments')
    .passThroughOptions()
    .option('-d, --detach', 'do not join this terminal to it; print its id')
    .option('--title <text>', 'what lists call it (default: the name of the program)')
    .option('--project <directory>', 'the project it belongs to (default: the enclosing git work tree)')
    .option('--agent <name>', 'the agent it is; without a command, the agent to start')
    .option('--mode <name>', 'the mode to start the agent in, one of those in your ~/.teleclaude/config.yml')
    .action(async (words: string[], options) => {
      const { run } = await import('./commands/run.ts')
      finish(await run(words, { ...options, ...socket() }))
    })
}

const attach: Definition = (command, { finish, socket }) => {
  command
    .description('join this terminal to a session: see its screen, and type where nobody else drives')
    .argument(...theSession)
    .addOption(new Option('--take', 'drive, whoever does now').conflicts('view'))
    .addOption(new Option('--drive', 'also somebody else’s, where nobody else drives').conflicts('view'))
    .option('--view', 'look only')
  reasons(command).action(async (id: string, options) => {
    const { attach } = await import('./commands/attach.ts')
    finish(await attach(id, { ...options, ...socket() }))
  })
}

const ls: Definition = (command, { finish, socket }) => {
  command
    .description('list sessions, by project: those that wait for you first, then newest first')
    .option('--live', 'only those that are starting or running')
    .option('--project <directory>', 'only those of this project')
    .option('--person <name>', 'only those of this person; others than you for admins')
    .option('-n, --limit <number>', 'at most this many', parseCount)
    .option('--all', 'all there are')
    .addOption(json())
    .action(async (options) => {
      const { list } = await import('./commands/sessions.ts')
      finish(await list({ ...options, ...socket() }))
    })
}

const show: Definition = (command, { finish, socket }) => {
  command
    .description('what is known of a session, and what it was sent')
    .argument(...theSession)
    .addOption(json())
    .action(async (id: string, options) => {
      const { show } = await import('./commands/sessions.ts')
      finish(await show(id, { ...options, ...socket() }))
    })
}

const send: Definition = (command, { finish, socket }) => {
  command
    .description('type a text into a session, once, and after all that was sent before')
    .argument(...theSession)
    .argument('[text]', 'what to type')
    .option('--enter', 'and then the Enter key')
    .option('--stdin', 'type what comes on standard input')
    .addOption(json())
  reasons(command).action(async (id: string, text: string | undefined, options) => {
    const { send } = await import('./commands/send.ts')
    finish(await send(id, text, { ...options, ...socket() }))
  })
}

const interrupt: Definition = (command, { finish, socket }) => {
  command
    .description('interrupt what a session does, as Ctrl-C does')
    .argument(...theSession)
    .addOption(json())
  reasons(command).action(async (id: string, options) => {
    const { interrupt } = await import('./commands/send.ts')
    finish(await interrupt(id, { ...options, ...socket() }))
  })
}

const stop: Definition = (command, { finish, socket }) => {
  command
    .description('end a session: hang up its terminal, and kill what ignores that')
    .argument(...theSession)
    .option('--force', 'kill at once')
    .addOption(json())
    .action(async (id: string, options) => {
      const { stop } = await import('./commands/stop.ts')
      finish(await stop(id, { ...options, ...socket() }))
    })
}

const wait: Definition = (command, { finish, socket }) => {
  command
    .description('wait until a session has ended, and exit as its program did')
    .argument(...theSession)
    .option('--timeout <seconds>', 'give up after so long, and exit with 124', parseSeconds)
    .action(async (id: string, options) => {
      const { wait } = await import('./commands/wait.ts')
      finish(await wait(id, { ...options, ...socket() }))
    })
}

const tail: Definition = (command, { finish, socket }) => {
  command
    .description('the last lines that a session showed, and those to come')
    .argument(...theSession)
    .addOption(
      new Option('-n, --lines <number>', 'so many of the last lines').argParser(parseCount).default(usualLines),
    )
  reasons(command).action(async (id: string, options) => {
    const { tail } = await import('./commands/transcript.ts')
    finish(await tail(id, { ...options, ...socket() }))
  })
}

const transcript: Definition = (command, { finish, socket }) => {
  command
    .description('what a session showed: as text, as the raw bytes, or as an asciicast recording')
    .argument(...theSession)
    .addOption(
      new Option('--format <format>', 'form of the transcript').choices(['text', 'raw', 'cast']).default('text'),
    )
    .addOption(
      new Option('--cast-version <version>', 'version of the asciicast format').choices(['2', '3']).default('3'),
    )
    .option('--follow', 'go on with what comes, to the end of the session')
  reasons(command).action(async (id: string, options) => {
    const { transcript } = await import('./commands/transcript.ts')
    finish(await transcript(id, { ...options, ...socket() }))
  })
}

const search: Definition = (command, { finish, socket }) => {
  command
    .description('in which sessions a text stood on the screen, and in which lines; exit 1 where in none')
    .argument('<text>', 'what to look for, as it stood there')
    .argument('[id...]', 'in these sessions alone (default: all of yours)')
    .option('-i, --ignore-case', 'small letters and capitals are the same')
    .addOption(
      new Option('-n, --limit <number>', 'of each session, at most so many lines')
        .argParser(parseLimit)
        .default(usualMatches),
    )
    .addOption(json())
  reasons(command).action(async (text: string, ids: string[], options) => {
    const { search } = await import('./commands/search.ts')
    finish(await search(text, ids, { ...options, ...socket() }))
  })
}

const events: Definition = (command, { finish, socket }) => {
  command
    .description('what happens to sessions, as it does, a line each')
    .option('--json', 'print one JSON object a line')
    .action(async (options) => {
      const { events } = await import('./commands/events.ts')
      finish(await events({ ...options, ...socket() }))
    })
}

export function parseCount(text: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new InvalidArgumentError('It has to be a whole number above 0.')
}

function parseLimit(text: string): number {
  const limit = parseCount(text)
  if (limit <= maxMatches) return limit
  throw new InvalidArgumentError(`It has to be at most ${maxMatches}.`)
}

function parseSeconds(text: string): number {
  const seconds = Number(text)
  if (seconds > 0 && seconds <= maxSeconds) return seconds
  throw new InvalidArgumentError(`It has to be a number above 0 and up to ${maxSeconds}.`)
}
