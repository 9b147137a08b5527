// Somebody who reads over the API, one request after the other, on one connection: `reader.ts UID`.

import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { answerQuestions, becomeUser } from './questions.ts'

const questionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('post'), socket: z.string(), path: z.string(), body: z.json() }),
  z.object({ kind: z.literal('read'), socket: z.string(), path: z.string(), times: z.int() }),
])
type Question = z.output<typeof questionSchema>

const agent = new Agent({ keepAlive: true, maxSockets: 1 })

async function send(socketPath: string, method: string, path: string, body?: unknown): Promise<string> {
  const headers = body === undefined ? {} : { 'Content-Type': 'application/json' }
  const sent = request({ socketPath, method, path, headers, agent })
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const answer = await text(response)
  if ((response.statusCode ?? 500) >= 300) throw new Error(`${method} ${path}: ${answer}`)
  return answer
}

/** How long each took, to its last byte, in milliseconds. */
async function read({ socket, path, times }: Extract<Question, { kind: 'read' }>): Promise<readonly number[]> {
  const took: number[] = []
  for (let count = 0; count < times; count++) {
    const startMs = performance.now()
    await send(socket, 'GET', path)
    took.push(performance.now() - startMs)
  }
  return took
}

becomeUser(Number(process.argv[2]))
answerQuestions(async (asked) => {
  const question = questionSchema.parse(asked)
  return question.kind === 'read' ? read(question) : send(question.socket, 'POST', question.path, question.body)
})
