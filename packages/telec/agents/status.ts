// Has an agent say how it is: what `telec run` adds to the arguments that it was asked to start it with.

import { fileURLToPath } from 'node:url'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { agentToHook } from './arguments.ts'
import type { HookedAgent } from './events.ts'
import { claudeSettings, codexOptions } from './hooks.ts'
import { writeSettingsFile } from './settings-file.ts'

const hookProgram = fileURLToPath(new URL('../bin/hook.mjs', import.meta.url))

type Session = { readonly sessionId: string; readonly socketPath: string }

/** The arguments for the program: ours first, for what was typed may end in a list of any length.
 *  @param words the command as it was typed
 *  @throws DirectoryError, or what the file system says, where the settings can't be written */
export function statusArguments(words: readonly [string, ...string[]], session: Session): readonly string[] {
  const typed = words.slice(1)
  const agent = agentToHook(words)
  if (agent === null) return typed
  const command = hookCommand(agent, session.socketPath)
  // No format here has them, and hardly any path.
  if (/\p{Cc}/u.test(command)) return typed
  if (agent === 'codex') return [...codexOptions(command), ...typed]
  return ['--settings', writeSettingsFile(session.sessionId, claudeSettings(command)), ...typed]
}

/** For a shell, and with absolute paths: nobody knows what PATH is in there. Whatever becomes of it, also where this telec was taken
 *  away meanwhile, the agent hears nothing of it. */
function hookCommand(agent: HookedAgent, socketPath: string): string {
  return `${[process.execPath, hookProgram, agent, socketPath].map(shellQuote).join(' ')} 2>/dev/null || :`
}
