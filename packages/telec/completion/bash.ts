// For bash 3.2 (macOS) and newer. Nothing that comes from outside, such as an id, ever passes through `compgen -W`: that
// expands `$(...)` in its words.

import { anyOf, argumentCases, quote, subcommandCases } from './cases.ts'
import { type CommandNode, commandPaths, type Values, valueOptions } from './tree.ts'

export function bashScript(nodes: readonly CommandNode[]): string {
  const options = valueOptions(nodes)
  const commands = commandPaths(nodes)
  return `# Completion of telec in bash.

_telec_words() {
  local word
  for word in "$@"; do
    if [[ $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi
  done
}

_telec_lines() {
  local line
  while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen "$1" -- "$cur")
}

_telec_files() {
  compopt -o filenames 2>/dev/null
  _telec_lines "$1"
}

_telec_ids() {
  local id
  while IFS=$'\\t' read -r id _; do
    if [[ $id =~ ^[0-9a-f-]+$ ]]; then _telec_words "$id"; fi
  done < <(telec \${service[@]+"\${service[@]}"} __complete-ids 2>/dev/null)
}

_telec_command() {
  if declare -F _command_offset >/dev/null; then
    _command_offset "$1"
  elif (($1 == COMP_CWORD)); then
    _telec_lines -c
  else
    _telec_files -f
  fi
}

_telec_value() {
  case $1 in
${options.map(({ typed, value }) => `    ${quote(typed)}) ${propose(value)} ;;`).join('\n')}
  esac
}

_telec_argument() {
  case $1 in
${argumentCases(nodes, propose)}
  esac
}

_telec() {
  local cur=\${COMP_WORDS[COMP_CWORD]} node=telec position=0 word i
  local -a service=()
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    case "$node $word" in
      ${anyOf(options.map(({ typed }) => typed))})
        # readline makes a word of its own out of the sign in --option=value.
        if [[ \${COMP_WORDS[i + 1]} == = ]]; then ((i++)); fi
        if ((i + 1 >= COMP_CWORD)); then
          if [[ $cur == = ]]; then cur=; fi
          _telec_value "$node $word"
          return
        fi
        if [[ $node == telec ]]; then service+=("$word" "\${COMP_WORDS[i + 1]}"); fi
        ((i++))
        ;;
${subcommandCases(nodes)}
      ${anyOf(commands.map((path) => `${path} --`))}) _telec_command $((i + 1)); return ;;
      "$node "-*) ;;
      *)
        case $node in
          ${anyOf(commands)}) _telec_command "$i"; return ;;
        esac
        ((position++))
        ;;
    esac
  done
  if [[ $cur == -* ]]; then
    case $node in
${nodes.map((node) => `      ${quote(node.path)}) _telec_words ${node.options.flatMap((option) => option.flags).join(' ')} ;;`).join('\n')}
    esac
    return
  fi
  case $node in
${nodes.flatMap(subcommandNames).join('\n')}
  esac
  _telec_argument "$node:$position"
}

complete -F _telec telec
`
}

function propose(values: Values): string {
  switch (values.kind) {
    case 'text':
      return ':'
    case 'choices':
      return `_telec_words ${values.choices.map(quote).join(' ')}`
    case 'files':
      return '_telec_files -f'
    case 'directories':
      return '_telec_files -d'
    case 'session-id':
      return '_telec_ids'
    case 'command':
      return '_telec_command "$COMP_CWORD"'
  }
}

function subcommandNames(node: CommandNode): readonly string[] {
  if (node.subcommands.length === 0) return []
  return [
    `    ${quote(node.path)}) _telec_words ${node.subcommands
      .flatMap(({ names }) => names)
      .map(quote)
      .join(' ')} ;;`,
  ]
}
