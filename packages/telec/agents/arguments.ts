// Which runs of an agent get our hooks, and with which arguments. Whatever is not plainly a person at the agent's prompt is left
// exactly as it was typed.

import { basename } from 'node:path'
import type { HookedAgent } from './events.ts'

/** `words` is the command as it was typed. Null where it is left alone. */
export function agentToHook(words: readonly [string, ...string[]]): HookedAgent | null {
  const [program, ...typed] = words
  const end = typed.indexOf('--')
  const given = end === -1 ? typed : typed.slice(0, end)
  switch (basename(program)) {
    case 'claude':
      return given.some(isOtherUseOfClaude) ? null : 'claude-code'
    case 'codex':
      return given.some(isOtherUseOfCodex) ? null : 'codex'
    default:
      return null
  }
}

// A prompt of one such word is taken for the command: it costs no more than the status.
const claudeCommands = new Set(
  'agents attach auth auto-mode config daemon doctor gateway install kill logs mcp migrate-installer plugin plugins project purge rc remote-control respawn rm setup-token stop ultrareview update upgrade'.split(
    ' ',
  ),
)
/** All but `resume` and `fork`, which go on with a conversation. */
const codexCommands = new Set(
  'a agents app app-server apply archive cloud cloud-tasks completion debug delete doctor e exec exec-server execpolicy features help login logout mcp mcp-server migrate-nfs-db migrate-rollouts plugin queue remote-control responses-api-proxy review sandbox stdio-to-uds unarchive update'.split(
    ' ',
  ),
)

/** Claude Code takes only one `--settings`: the person's own, where they give it. */
function isOtherUseOfClaude(word: string): boolean {
  return (
    claudeCommands.has(word) ||
    /^--(settings|print|background|bg|help|version)(=|$)/.test(word) ||
    /^-[a-z]*[phv]/.test(word)
  )
}

/** Hooks that are given on the command line would take the place of ours, or ours of them. */
function isOtherUseOfCodex(word: string): boolean {
  return (
    codexCommands.has(word) ||
    /^--(help|version|remote)(=|$)/.test(word) ||
    /^-[hV]/.test(word) ||
    /^(-c=?|--config=)?\s*"?hooks\b/.test(word)
  )
}
