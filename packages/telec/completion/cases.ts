// What bash and zsh write alike: quoting, and the branches of their `case`.

import type { CommandNode, Values } from './tree.ts'

/** In single quotes always: what looks plain to one of the two may be a pattern to the other. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** Matches any of the texts; nothing where there are none. */
export function anyOf(texts: readonly string[]): string {
  return texts.length === 0 ? "''" : texts.map(quote).join('|')
}

/** Branches on what has been typed, which follow a word into the subcommand that it names. */
export function subcommandCases(nodes: readonly CommandNode[]): string {
  const cases = nodes.flatMap((node) =>
    node.subcommands.map(({ names, path }) => {
      const typed = names.map((name) => `${node.path} ${name}`)
      return `      ${anyOf(typed)}) node=${quote(path)} ;;`
    }),
  )
  return cases.join('\n')
}

/** Branches on a command and the index of its argument. */
export function argumentCases(nodes: readonly CommandNode[], propose: (values: Values) => string): string {
  const cases = nodes.flatMap((node) =>
    node.arguments.map(({ values, variadic }, index) => {
      const pattern = variadic ? `${quote(`${node.path}:`)}*` : quote(`${node.path}:${index}`)
      return `    ${pattern}) ${propose(values)} ;;`
    }),
  )
  return cases.join('\n')
}
