import { type CommandNode, type CompletedOption, commandPaths, type Values, valueOptions } from './tree.ts'

/** In single quotes, fish reads `\'` and `\\` and nothing else. */
const quote = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`

export function fishScript(nodes: readonly CommandNode[]): string {
  const options = valueOptions(nodes).map(({ typed }) => quote(typed))
  const commands = commandPaths(nodes)
  return `# Completion of telec in fish.

# Prints the command that has been typed so far, the number of its arguments, the index of the word at which a command of
# somebody else's starts (0: none), and then the options that come before any command.
function __telec_typed
    set -l words (commandline -opc)
    set -l node telec
    set -l position 0
    set -l service
    set -l i 2
    while test $i -le (count $words)
        switch "$node $words[$i]"
            case ${options.join(' ') || "''"}
                test $node = telec; and set -a service $words[$i] $words[(math $i + 1)]
                set i (math $i + 1)
${nodes.flatMap(subcommandCases).join('\n')}
            case ${commands.map((path) => quote(`${path} --`)).join(' ') || "''"}
                printf '%s\\n' $node $position (math $i + 1) $service
                return
            case "$node -*"
            case '*'
                if contains -- $node ${commands.map(quote).join(' ')}
                    printf '%s\\n' $node $position $i $service
                    return
                end
                set position (math $position + 1)
        end
        set i (math $i + 1)
    end
    printf '%s\\n' $node $position 0 $service
end

function __telec_at --argument-names node position
    set -l typed (__telec_typed)
    test "$typed[1]" = "$node" -a "$typed[3]" = 0; or return 1
    test -z "$position" -o "$typed[2]" = "$position"
end

function __telec_ids
    set -l typed (__telec_typed)
    telec $typed[4..] __complete-ids 2>/dev/null | string match --regex '^[0-9a-f-]+\\t[^\\t]*$'
end

function __telec_in_command
    set -l typed (__telec_typed)
    test $typed[3] = 0; and string match --quiet -- '-*' (commandline -ct); and return 1
    contains -- $typed[1] ${commands.map(quote).join(' ')}
end

function __telec_command
    set -l typed (__telec_typed)
    set -l words (commandline -opc)
    set -l start $typed[3]
    test $start = 0; and set start (math (count $words) + 1)
    set -l before
    test $start -le (count $words); and set before (string escape -- $words[$start..])
    complete --do-complete=(string join ' ' -- $before (commandline -ct))
end

complete --command telec --erase
complete --command telec --no-files
complete --command telec --condition __telec_in_command --arguments '(__telec_command)'
${nodes.flatMap(nodeLines).join('\n')}
`
}

function subcommandCases(node: CommandNode): readonly string[] {
  return node.subcommands.map(({ names, path }) => {
    const typed = names.map((name) => quote(`${node.path} ${name}`))
    return `            case ${typed.join(' ')}\n                set node ${quote(path)}`
  })
}

function nodeLines(node: CommandNode): readonly string[] {
  const at = (position?: number) => {
    const condition = `__telec_at ${quote(node.path)}${position === undefined ? '' : ` ${position}`}`
    return `complete --command telec --condition ${quote(condition)}`
  }
  return [
    ...node.subcommands.flatMap(({ names, description }) =>
      names.map((name) => `${at(0)} --arguments ${quote(name)} --description ${quote(description)}`),
    ),
    ...node.options.map((option) => `${at()} ${optionSwitches(option)}`),
    ...node.arguments.flatMap(({ values, variadic }, index) => {
      const proposal = propose(values)
      return proposal === null ? [] : [`${variadic ? at() : at(index)} ${proposal}`]
    }),
  ]
}

function optionSwitches({ flags, description, value }: CompletedOption): string {
  const names = flags.map((flag) =>
    flag.startsWith('--') ? `--long-option ${quote(flag.slice(2))}` : `--short-option ${quote(flag.slice(1))}`,
  )
  const takes =
    value === null ? [] : [value.kind === 'files' ? '--require-parameter' : '--exclusive', propose(value) ?? '']
  return [...names, ...takes, `--description ${quote(description)}`].filter((part) => part !== '').join(' ')
}

/** Null where there is nothing to propose, or what there is has a line of its own. */
function propose(values: Values): string | null {
  switch (values.kind) {
    case 'text':
    case 'command':
      return null
    case 'choices':
      return `--arguments ${quote(values.choices.join(' '))}`
    case 'files':
      return '--force-files'
    case 'directories':
      return `--arguments ${quote('(__fish_complete_directories)')}`
    case 'session-id':
      return `--keep-order --arguments ${quote('(__telec_ids)')}`
  }
}
