// What makes Claude Code and Codex call our hook at each event that says how they are. Hooks add up: those of the person, the
// project and the machine's admin all run beside ours.

import { createHash } from 'node:crypto'
import { type HookedAgent, rules } from './events.ts'

/** More than the hook ever takes (commands/hook.ts). Codex cuts it to this for `SessionEnd`, before it hashes. */
const timeoutSeconds = 3

/** The file for `claude --settings`. Nothing runs in the background (`async`): the next event could overtake it. */
export function claudeSettings(command: string): string {
  const hooks = eventsOf('claude-code').map((event) => {
    const values = rules['claude-code'].map((rule) => (rule.event === event ? rule.only?.values : []))
    // Without a matcher where one of its rules is for all of them.
    const matcher = values.includes(undefined) ? {} : { matcher: values.flat().join('|') }
    return [event, [{ ...matcher, hooks: [{ type: 'command', command, timeout: timeoutSeconds }] }]] as const
  })
  return `${JSON.stringify({ hooks: Object.fromEntries(hooks) }, null, 2)}\n`
}

/** The options of `codex`. It runs a hook only where its user trusts exactly that one, which `hooks.state` says here for ours, in
 *  this run: `--dangerously-bypass-hook-trust` would also let those run that nobody has looked at. */
export function codexOptions(command: string): readonly string[] {
  const events = eventsOf('codex')
  const states = events.map((event) => {
    const label = event.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase()
    return `"/<session-flags>/config.toml:${label}:0:0"={trusted_hash="${codexHash(label, command)}"}`
  })
  return [
    // A JSON string is a TOML string, control characters aside.
    ...events.map(
      (event) =>
        `hooks.${event}=[{hooks=[{type="command",command=${JSON.stringify(command)},timeout=${timeoutSeconds}}]}]`,
    ),
    `hooks.state={${states.join(',')}}`,
  ].flatMap((setting) => ['-c', setting])
}

/** As Codex makes it of a hook: of JSON without blanks, members in the order of their names. */
function codexHash(label: string, command: string): string {
  const hook = { async: false, command, timeout: timeoutSeconds, type: 'command' }
  const text = JSON.stringify({ event_name: label, hooks: [hook] })
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

function eventsOf(agent: HookedAgent): readonly string[] {
  return [...new Set(rules[agent].map(({ event }) => event))]
}
