// Is the runners of many sessions at once, as the service sees them: `live-runners.ts SOCKET`. Real ones are a process each, and
// would fill the machine's memory before they filled the service.

import { createHash, type Hash } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from '@teleclaude/client/client.ts'
import { toRunnerSchema } from '@teleclaude/core/link.ts'
import { closeCodes, runnerProtocol } from '@teleclaude/core/protocol.ts'
import { encodeChunk } from '@teleclaude/core/transcript.ts'
import type { WebSocket } from 'ws'
import { z } from 'zod'
import { quantile } from '../finding.ts'
import { answerQuestions } from './questions.ts'

/** 10 KB a second. */
const chunkBytes = 1_000
const chunkPaceMs = 100
const openAtOnce = 20

const client = new Client(process.argv[2] ?? '')

/** Times of all sessions from a chunk's being sent to its acknowledgement. */
const recordedMs: number[] = []

class Session {
  readonly id: string
  readonly #socket: WebSocket
  readonly #hash: Hash = createHash('sha256')
  readonly #closed: Promise<unknown[]>
  readonly #sentMs = new Map<number, number>()
  #seq = 0
  #ackedSeq = 0

  private constructor(id: string, socket: WebSocket) {
    this.id = id
    this.#socket = socket
    this.#closed = once(socket, 'close')
    socket.on('message', (data) => {
      const message = toRunnerSchema.parse(JSON.parse(String(data)))
      if (message.type === 'ack') this.#acknowledged(message.seq)
    })
    socket.resume()
  }

  static async open(index: number): Promise<Session> {
    const { session } = await client.createSession({
      project: `/srv/project-${index % 20}`,
      agent: null,
      title: `session ${index}`,
      argv: ['build'],
      terminal: { cols: 80, rows: 24 },
      parent: null,
    })
    const path = `/v1/sessions/${session.id}/runner`
    return new Session(session.id, await client.openStream(path, runnerProtocol))
  }

  #acknowledged(seq: number): void {
    const nowMs = performance.now()
    for (; this.#ackedSeq < seq; this.#ackedSeq++) {
      const sentMs = this.#sentMs.get(this.#ackedSeq + 1)
      this.#sentMs.delete(this.#ackedSeq + 1)
      if (sentMs !== undefined) recordedMs.push(nowMs - sentMs)
    }
  }

  async print(chunks: number): Promise<void> {
    // Not all at the same moment.
    const startMs = performance.now() + Math.random() * chunkPaceMs
    for (let chunk = 0; chunk < chunks; chunk++) {
      const earlyMs = startMs + chunk * chunkPaceMs - performance.now()
      if (earlyMs > 0) await delay(earlyMs)
      const line = `${this.id} ${this.#seq} ${Math.random()} what a build prints\r\n`
      this.#send('output', Buffer.alloc(chunkBytes, line))
    }
  }

  #send(kind: 'output' | 'exit', bytes: Buffer): void {
    this.#seq += 1
    if (kind === 'output') this.#hash.update(bytes)
    this.#sentMs.set(this.#seq, performance.now())
    this.#socket.send(encodeChunk({ seq: this.#seq, kind, offsetUs: this.#seq * chunkPaceMs * 1000, bytes }))
  }

  /** Resolves when the service has all of it. */
  async end(): Promise<void> {
    this.#send('exit', Buffer.from(JSON.stringify({ kind: 'exited', code: 0 })))
    const [code] = await this.#closed
    if (code !== closeCodes.ended) throw new Error(`the service has cut a runner off with ${code}`)
  }

  async isWhole(): Promise<boolean> {
    const recorded = createHash('sha256')
    for await (const part of await client.readTranscript(this.id, { format: 'raw' })) recorded.update(part as Buffer)
    return recorded.digest('hex') === this.#hash.digest('hex')
  }
}

const questionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('open'), sessions: z.int() }),
  z.object({ kind: z.literal('print'), seconds: z.number() }),
  z.object({ kind: z.literal('check') }),
])

let sessions: readonly Session[] = []

async function forEach<T, R>(values: readonly T[], work: (value: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let first = 0; first < values.length; first += openAtOnce)
    results.push(...(await Promise.all(values.slice(first, first + openAtOnce).map(work))))
  return results
}

async function print(seconds: number) {
  const chunks = (seconds * 1000) / chunkPaceMs
  const startMs = performance.now()
  await Promise.all(sessions.map((session) => session.print(chunks)))
  return {
    bytes: sessions.length * chunks * chunkBytes,
    seconds: (performance.now() - startMs) / 1000,
    p50Ms: quantile(recordedMs, 0.5),
    p99Ms: quantile(recordedMs, 0.99),
  }
}

/** How many transcripts are not what was printed. */
async function check(): Promise<number> {
  await Promise.all(sessions.map((session) => session.end()))
  const whole = await forEach(sessions, (session) => session.isWhole())
  return whole.filter((isWhole) => !isWhole).length
}

answerQuestions(async (asked) => {
  const question = questionSchema.parse(asked)
  switch (question.kind) {
    case 'open':
      sessions = await forEach([...Array(question.sessions).keys()], (index) => Session.open(index))
      return null
    case 'print':
      return print(question.seconds)
    case 'check':
      return check()
  }
})
