// `telec hook`: an agent calls it at each of its events. It tells the service the agent's state and nothing else, and the agent
// nothing at all: what it prints, and how it ends, could stop or confuse it.

import { homedir } from 'node:os'
import { Client } from '@teleclaude/client/client.ts'
import { findSocket } from '@teleclaude/config/layout.ts'
import { type HookedAgent, rules, stateOf } from '../agents/events.ts'

/** Less than the agents' own patience (agents/hooks.ts). */
const deadlineMs = 2_000
/** What is looked for is at the beginning. */
const maxEventLength = 64 * 1024
const sessionId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Never fails, and ends the process where the deadline passes.
 *  @param event its JSON; read from standard input where it is left out */
export async function hook(agent: string, event: string | undefined, socket: string | undefined): Promise<void> {
  setTimeout(() => process.exit(0), deadlineMs).unref()
  try {
    const text = event ?? (await readBeginning(process.stdin))
    const id = process.env.TELECLAUDE_SESSION_ID
    if (id === undefined || !sessionId.test(id) || !isHooked(agent)) return
    const state = stateOf(agent, text)
    if (state === null) return
    const { path } = findSocket({ flag: socket, env: process.env, home: homedir() })
    await new Client(path).updateSession(id, { agentStatus: { state } })
  } catch {
    // A session that is over, a service that is away: there is nobody here to whom that could be said.
  }
}

/** To its end: who writes it may take a closed pipe for a failure. */
async function readBeginning(input: NodeJS.ReadStream): Promise<string> {
  let text = ''
  input.setEncoding('utf8')
  for await (const part of input) if (text.length < maxEventLength) text += part
  return text.slice(0, maxEventLength)
}

function isHooked(agent: string): agent is HookedAgent {
  return Object.hasOwn(rules, agent)
}
