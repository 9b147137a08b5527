// What an agent's own events say of it, as Claude Code (code.claude.com/docs, Hooks reference) and Codex (developers.openai.com/codex,
// Hooks) name them. Of an event nothing goes any further than the state.

import type { AgentState } from '@teleclaude/core/session.ts'

export type HookedAgent = 'claude-code' | 'codex'

export type Rule = {
  readonly event: string
  /** It counts only where this member of the event has one of these values. */
  readonly only?: { readonly member: string; readonly values: readonly string[] }
  readonly state: AgentState
}

/** Questions that a tool puts to a human: the tool has started, and the agent waits. */
const asking = (...tools: readonly string[]) => ({ member: 'tool_name', values: tools })
const notifications = (...types: readonly string[]) => ({ member: 'notification_type', values: types })
/** A start in the middle of a turn, after a compaction, says nothing. */
const beginnings = { member: 'source', values: ['startup', 'resume', 'clear', 'fork'] }

/** By agent; the first that fits counts. Of Claude Code's no newer ones than are needed: a version that does not know one asks its
 *  user about it at each start. */
export const rules: Readonly<Record<HookedAgent, readonly Rule[]>> = {
  'claude-code': [
    { event: 'SessionStart', only: beginnings, state: 'idle' },
    { event: 'UserPromptSubmit', state: 'working' },
    { event: 'PreToolUse', only: asking('AskUserQuestion', 'ExitPlanMode'), state: 'waiting' },
    { event: 'PreToolUse', state: 'working' },
    { event: 'PermissionRequest', state: 'waiting' },
    { event: 'PostToolUse', state: 'working' },
    { event: 'PostToolUseFailure', state: 'working' },
    {
      event: 'Notification',
      only: notifications(
        'permission_prompt',
        'worker_permission_prompt',
        'elicitation_dialog',
        'elicitation_url_dialog',
        'agent_needs_input',
      ),
      state: 'waiting',
    },
    { event: 'Notification', only: notifications('elicitation_response'), state: 'working' },
    { event: 'Notification', only: notifications('idle_prompt'), state: 'idle' },
    { event: 'Stop', state: 'idle' },
    { event: 'StopFailure', state: 'idle' },
    { event: 'SessionEnd', state: 'unknown' },
  ],
  codex: [
    { event: 'SessionStart', only: beginnings, state: 'idle' },
    { event: 'UserPromptSubmit', state: 'working' },
    { event: 'PreToolUse', only: asking('request_user_input'), state: 'waiting' },
    { event: 'PreToolUse', state: 'working' },
    { event: 'PermissionRequest', state: 'waiting' },
    { event: 'PostToolUse', state: 'working' },
    { event: 'Interrupt', state: 'idle' },
    { event: 'Stop', state: 'idle' },
    { event: 'SessionEnd', state: 'unknown' },
  ],
}

/** Null where the event says nothing of the agent's state.
 *  @param text the event's JSON, or as much of its beginning as was read */
export function stateOf(agent: HookedAgent, text: string): AgentState | null {
  const event = readMember(text, 'hook_event_name')
  // What the program of Codex's `notify` is told, which knows no other event.
  if (event === null) return agent === 'codex' && readMember(text, 'type') === 'agent-turn-complete' ? 'idle' : null
  const found = rules[agent].find(({ event: of, only }) => {
    if (of !== event) return false
    return only === undefined || only.values.includes(readMember(text, only.member) ?? '')
  })
  return found?.state ?? null
}

/** Not JSON.parse: an event of megabytes is cut, and what is looked for precedes the content in it. Within strings quotation marks
 *  are escaped, so nothing that an agent has read or written can look like a member. */
function readMember(text: string, name: string): string | null {
  return new RegExp(`"${name}"\\s*:\\s*"([^"\\\\]*)"`).exec(text)?.[1] ?? null
}
