// `telec completion`: a script for a shell, made from the definition of the command line. Session ids are asked for when they
// are needed, through the hidden `telec __complete-ids` (lines of id, tab, title).

import type { Command } from 'commander'
import { bashScript } from '../completion/bash.ts'
import { fishScript } from '../completion/fish.ts'
import { readTree } from '../completion/tree.ts'
import { zshScript } from '../completion/zsh.ts'

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const

export function completionScript(shell: keyof typeof scripts, program: Command): string {
  return scripts[shell](readTree(program))
}
