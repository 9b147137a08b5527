// What can be completed, read off the definition of the command line: so that no script knows a command that is not there.

import type { Argument, Command, Option } from 'commander'

export type Values =
  /** Free text: nothing to propose. */
  | { readonly kind: 'text' }
  | { readonly kind: 'choices'; readonly choices: readonly string[] }
  | { readonly kind: 'files' }
  | { readonly kind: 'directories' }
  | { readonly kind: 'session-id' }
  /** Another command with its arguments: everything from here on is its own. */
  | { readonly kind: 'command' }

export type CompletedOption = {
  /** `-n`, `--limit` */
  readonly flags: readonly string[]
  readonly description: string
  /** Null where it takes none. */
  readonly value: Values | null
}

/** A command that has been typed so far. */
export type CommandNode = {
  /** Its words: `telec`, `telec access`, `telec access open`. */
  readonly path: string
  readonly subcommands: readonly {
    readonly names: readonly string[]
    readonly description: string
    readonly path: string
  }[]
  readonly options: readonly CompletedOption[]
  readonly arguments: readonly { readonly values: Values; readonly variadic: boolean }[]
}

/** The command and all below it, hidden ones left out. */
export function readTree(command: Command, path = command.name()): readonly CommandNode[] {
  const help = command.createHelp()
  const subcommands = help.visibleCommands(command)
  const names = subcommands.map((subcommand) => subcommand.name())
  const node: CommandNode = {
    path,
    subcommands: subcommands.map((subcommand) => ({
      names: [subcommand.name(), ...subcommand.aliases()],
      description: help.subcommandDescription(subcommand),
      path: `${path} ${subcommand.name()}`,
    })),
    options: help.visibleOptions(command).map(readOption),
    arguments: command.registeredArguments.map(readArgument),
  }
  const below = subcommands.flatMap((subcommand) => {
    const subpath = `${path} ${subcommand.name()}`
    // Commander's own `help [command]` takes what stands beside it.
    if (subcommand.name() !== 'help') return readTree(subcommand, subpath)
    const values: Values = { kind: 'choices', choices: names }
    return [{ path: subpath, subcommands: [], options: [], arguments: [{ values, variadic: false }] }]
  })
  return [node, ...below]
}

function readOption(option: Option): CompletedOption {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined)
  const [, placeholder = ''] = /[<[]([^\]>.]+)/.exec(option.flags) ?? []
  const value = option.required || option.optional ? readValues(placeholder, option.argChoices) : null
  return { flags, description: option.description, value }
}

function readArgument(argument: Argument): CommandNode['arguments'][number] {
  return { values: readValues(argument.name(), argument.argChoices), variadic: argument.variadic }
}

/** By the name of the placeholder, as the help shows it. */
function readValues(placeholder: string, choices: readonly string[] | undefined): Values {
  if (choices !== undefined) return { kind: 'choices', choices }
  switch (placeholder) {
    case 'id':
    case 'session':
      return { kind: 'session-id' }
    case 'file':
    case 'path':
      return { kind: 'files' }
    case 'directory':
      return { kind: 'directories' }
    case 'command':
      return { kind: 'command' }
    default:
      return { kind: 'text' }
  }
}

/** `telec run --title`: every option that takes a value, by what has been typed when it stands there. */
export function valueOptions(
  nodes: readonly CommandNode[],
): readonly { readonly typed: string; readonly value: Values }[] {
  return nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flags, value }) =>
      value === null ? [] : flags.map((flag) => ({ typed: `${path} ${flag}`, value })),
    ),
  )
}

/** Commands whose arguments are another command. */
export function commandPaths(nodes: readonly CommandNode[]): readonly string[] {
  return nodes.filter((node) => node.arguments[0]?.values.kind === 'command').map((node) => node.path)
}
