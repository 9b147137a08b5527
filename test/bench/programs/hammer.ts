// One user who asks for all that they can get, and comes back whenever they are thrown out: `hammer.ts SOCKET UID SESSION`. It gives way
// to whoever shares its core, so that its victims wait for the service and not for it.

import { Agent, type IncomingMessage, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { constants, setPriority } from 'node:os'
import { z } from 'zod'
import { introduce } from './introduce.ts'
import { answerQuestions, becomeUser } from './questions.ts'

const [socketPath = '', uid = '', sessionId = ''] = process.argv.slice(2)

/** `batch`: requests that are sent at once, before any is answered; none where it is about connections alone. */
const ways = {
  requests: { connections: 64, batch: 1 },
  connections: { connections: 32, batch: 0 },
  pipelines: { connections: 8, batch: 200 },
} as const
type Way = (typeof ways)[keyof typeof ways]

const asked = 'GET /v1/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n'

const open = new Set<Socket>()
let isRunning = false
let tally = { answered: 0, refused: 0, connections: 0 }

function hammer(way: Way): void {
  const socket = connect(socketPath)
  open.add(socket)
  let unanswered = 0
  const send = () => {
    unanswered = way.batch
    socket.write(asked.repeat(way.batch))
  }
  socket.on('connect', () => {
    tally.connections += 1
    if (way.batch > 0) send()
    else socket.destroy()
  })
  socket.on('data', (bytes) => {
    for (const [, status] of bytes.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
      unanswered -= 1
      if (status === '200') tally.answered += 1
      else tally.refused += 1
    }
    if (unanswered <= 0) send()
  })
  // EAGAIN where too many wait to be accepted, and whatever a service does to the like of us: we come again.
  socket.on('error', () => undefined)
  socket.on('close', () => {
    open.delete(socket)
    if (isRunning) setImmediate(hammer, way)
  })
}

const readers = 16
/** Who is refused is not to be measured as one who connects in a loop. */
const refusedMs = 100

/** One that reads the session's transcript again and again. What comes is let go of at once: it is not about the hammer. */
function readTranscripts(agent: Agent): void {
  const again = (afterMs: number) => {
    if (isRunning) setTimeout(readTranscripts, afterMs, agent)
  }
  const sent = request({ socketPath, path: `/v1/sessions/${sessionId}/transcript?format=raw`, agent })
  sent.on('response', (response: IncomingMessage) => {
    if (response.statusCode === 200) tally.answered += 1
    else tally.refused += 1
    response.on('error', () => undefined)
    response.on('close', () => again(response.statusCode === 200 ? 0 : refusedMs))
    response.resume()
  })
  sent.on('socket', (socket) => {
    if (open.has(socket)) return
    tally.connections += 1
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  sent.on('error', () => again(refusedMs))
  sent.end()
}

const questionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('start'), what: z.enum(['requests', 'connections', 'pipelines', 'transcripts']) }),
  z.object({ kind: z.literal('stop') }),
])

setPriority(constants.priority.PRIORITY_LOW)
becomeUser(Number(uid))
await introduce(socketPath)
answerQuestions(async (message) => {
  const question = questionSchema.parse(message)
  isRunning = question.kind === 'start'
  if (question.kind === 'start') {
    tally = { answered: 0, refused: 0, connections: 0 }
    if (question.what === 'transcripts') {
      const agent = new Agent({ keepAlive: true })
      for (let reader = 0; reader < readers; reader++) readTranscripts(agent)
      return null
    }
    const way = ways[question.what]
    for (let connection = 0; connection < way.connections; connection++) hammer(way)
    return null
  }
  for (const socket of open) socket.destroy()
  return tally
})
