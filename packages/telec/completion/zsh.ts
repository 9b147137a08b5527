import { anyOf, argumentCases, quote, subcommandCases } from './cases.ts'
import { type CommandNode, commandPaths, type Values, valueOptions } from './tree.ts'

/** An item of `_describe`: a name, a colon, and what it is. */
const item = (name: string, description: string) => quote(`${name.replaceAll(':', '\\:')}:${description}`)

export function zshScript(nodes: readonly CommandNode[]): string {
  const options = valueOptions(nodes)
  const commands = commandPaths(nodes)
  return `#compdef telec
# Completion of telec in zsh.

_telec_ids() {
  local id title
  local -a sessions
  while IFS=$'\\t' read -r id title; do
    if [[ $id =~ ^[0-9a-f-]+$ ]]; then sessions+=("$id:\${title//[^[:print:]]/?}"); fi
  done < <(telec $service __complete-ids 2>/dev/null)
  _describe -V session sessions
}

# The words from the given one on are a command of its own.
_telec_command() {
  shift $(($1 - 1)) words
  ((CURRENT -= $1 - 1))
  _normal
}

_telec_value() {
  case $1 in
${options.map(({ typed, value }) => `    ${quote(typed)}) ${propose(value)} ;;`).join('\n')}
  esac
}

_telec() {
  local node=telec word i
  local -i position=0
  local -a service items
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    case "$node $word" in
      ${anyOf(options.map(({ typed }) => typed))})
        if ((i + 1 == CURRENT)); then _telec_value "$node $word"; return; fi
        if [[ $node == telec ]]; then service+=($word "$words[i + 1]"); fi
        ((i++))
        ;;
${subcommandCases(nodes)}
      ${anyOf(commands.map((path) => `${path} --`))}) _telec_command $((i + 1)); return ;;
      "$node "-*) ;;
      *)
        case $node in
          ${anyOf(commands)}) _telec_command $i; return ;;
        esac
        ((position++))
        ;;
    esac
  done
  if [[ $PREFIX == --*=* ]]; then
    word=\${PREFIX%%=*}
    compset -P '*='
    _telec_value "$node $word"
    return
  fi
  if [[ $PREFIX == -* ]]; then
    case $node in
${nodes.map(optionItems).join('\n')}
    esac
    _describe -o option items
    return
  fi
  case $node in
${nodes.flatMap(subcommandItems).join('\n')}
  esac
  case "$node:$position" in
${argumentCases(nodes, propose)}
  esac
}

# Loaded from a directory in fpath this file is the function itself; by eval it has to be made known.
if [[ $funcstack[1] == _telec ]]; then
  _telec "$@"
else
  compdef _telec telec
fi
`
}

function propose(values: Values): string {
  switch (values.kind) {
    case 'text':
      return '_message text'
    case 'choices':
      return `items=(${values.choices.map(quote).join(' ')}); _describe value items`
    case 'files':
      return '_files'
    case 'directories':
      return '_files -/'
    case 'session-id':
      return '_telec_ids'
    case 'command':
      return '_telec_command $CURRENT'
  }
}

function subcommandItems(node: CommandNode): readonly string[] {
  if (node.subcommands.length === 0) return []
  const items = node.subcommands.flatMap(({ names, description }) => names.map((name) => item(name, description)))
  return [`    ${quote(node.path)}) items=(${items.join(' ')}); _describe command items ;;`]
}

function optionItems(node: CommandNode): string {
  const items = node.options.flatMap(({ flags, description }) => flags.map((flag) => item(flag, description)))
  return `      ${quote(node.path)}) items=(${items.join(' ')}) ;;`
}
