// Asks who it is at a steady pace, and keeps how long each answer took: `victim.ts SOCKET UID kept|new PACE_MS`.

import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { introduce } from './introduce.ts'
import { answerQuestions, becomeUser } from './questions.ts'

const [socketPath = '', uid = '', way = '', paceMs = ''] = process.argv.slice(2)

/** As telec does where too many wait to be accepted (connect(2), EAGAIN). */
const againMs = 5

async function ask(agent: Agent | false): Promise<void> {
  const sent = request({ socketPath, path: '/v1/whoami', agent })
  sent.end()
  const response: IncomingMessage | null = await once(sent, 'response').then(
    ([answer]) => answer,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EAGAIN') throw error
      return null
    },
  )
  if (response === null) {
    await delay(againMs)
    return ask(agent)
  }
  response.resume()
  await once(response, 'end')
  if (response.statusCode !== 200) throw new Error(`refused with ${response.statusCode}`)
}

/** Milliseconds. A request that could not be sent when it was due, because the one before was still under way, counts from
 *  when it was due: who is kept waiting waits, whether they have asked yet or not. */
async function measure(forMs: number): Promise<number[]> {
  const agent = way === 'kept' ? new Agent({ keepAlive: true, maxSockets: 1 }) : false
  await ask(agent)
  const found: number[] = []
  const beginMs = performance.now()
  for (let dueMs = beginMs; dueMs < beginMs + forMs; dueMs += Number(paceMs)) {
    const earlyMs = dueMs - performance.now()
    if (earlyMs > 0) await delay(earlyMs)
    const startMs = earlyMs > 0 ? performance.now() : dueMs
    await ask(agent)
    found.push(performance.now() - startMs)
  }
  if (agent !== false) agent.destroy()
  return found
}

becomeUser(Number(uid))
await introduce(socketPath)
answerQuestions((question) => measure(z.object({ forMs: z.number() }).parse(question).forMs))
