// As many requests as a server can answer, by autocannon: `load.ts UID`.

import { once } from 'node:events'
import { request } from 'node:http'
import { createHistogram } from 'node:perf_hooks'
import { text } from 'node:stream/consumers'
import autocannon from 'autocannon'
import { z } from 'zod'
import { introduce } from './introduce.ts'
import { answerQuestions, becomeUser } from './questions.ts'

const questionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('read'), socket: z.string() }),
  z.object({ kind: z.literal('load'), socket: z.string(), seconds: z.number(), connections: z.int() }),
])
type Load = z.output<typeof questionSchema> & { readonly kind: 'load' }

const path = '/v1/whoami'

/** What is answered: the load itself looks at the status alone. */
async function read(socketPath: string): Promise<string> {
  await introduce(socketPath)
  const sent = request({ socketPath, path, agent: false })
  sent.end()
  const [response] = await once(sent, 'response')
  return text(response)
}

async function load({ socket, seconds, connections }: Load) {
  // Autocannon's own latencies are whole milliseconds.
  const histogram = createHistogram()
  const { promise, resolve, reject } = Promise.withResolvers<autocannon.Result>()
  const running = autocannon(
    { url: `http://localhost${path}`, socketPath: socket, connections, duration: seconds, sampleInt: 100 },
    (error: Error | null, result) => (error === null ? resolve(result) : reject(error)),
  )
  running.on('response', (_client, _status, _bytes, ms) => histogram.record(Math.max(1, Math.round(ms * 1000))))
  const { errors, non2xx, requests, duration } = await promise
  if (errors > 0 || non2xx > 0) throw new Error(`${errors} requests failed, ${non2xx} were refused`)
  return { answered: requests.total, seconds: duration, p99Us: histogram.percentile(99) }
}

becomeUser(Number(process.argv[2]))
answerQuestions(async (asked) => {
  const question = questionSchema.parse(asked)
  return question.kind === 'read' ? read(question.socket) : load(question)
})
