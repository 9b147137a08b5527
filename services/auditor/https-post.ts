// One POST after the other to one URL, over TLS: only this machine is reached without. Where a receiver redirects to, nobody goes:
// what is sent is meant for the URL that was configured. All that is waited for, or read, is bounded.

import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'

export type Answer = {
  readonly status: number
  readonly body: Buffer
  /** The answer was longer than is read of one. */
  readonly isCut: boolean
  readonly retryAfterMs: number | null
}

export type PostOptions = {
  readonly url: string
  /** PEM; null for those that Node knows. */
  readonly caFile: string | null
  /** For all of one exchange. */
  readonly timeoutMs: number
}

const maxAnswerBytes = 64 * 1024
const maxRetryAfterMs = 300_000
const loopback = ['localhost', '127.0.0.1', '[::1]']

export class HttpsPost {
  readonly #url: URL
  readonly #options: PostOptions
  #agent: http.Agent | null = null

  /** @throws TypeError for a URL that leaves this machine without TLS */
  constructor(options: PostOptions) {
    this.#url = new URL(options.url)
    this.#options = options
    const { protocol, hostname, username, password } = this.#url
    const isSafe = protocol === 'https:' || (protocol === 'http:' && loopback.includes(hostname))
    if (!isSafe || username !== '' || password !== '')
      throw new TypeError('cannot post there: it is no https:// URL, or has a password in it')
  }

  /** @throws Error that says why there was no answer */
  async send(headers: Readonly<Record<string, string>>, body: Buffer, stop: AbortSignal): Promise<Answer> {
    const signal = AbortSignal.any([stop, AbortSignal.timeout(this.#options.timeoutMs)])
    try {
      this.#agent ??= await this.#makeAgent()
      return await this.#exchange(this.#agent, headers, body, signal)
    } catch (error) {
      // Also with a certificate that was exchanged meanwhile, the next attempt begins anew.
      this.close()
      if (stop.aborted) throw new Error('it is being stopped', { cause: error })
      if (signal.aborted)
        throw new Error(`it did not answer within ${this.#options.timeoutMs / 1000} s`, { cause: error })
      throw error
    }
  }

  close(): void {
    this.#agent?.destroy()
    this.#agent = null
  }

  async #makeAgent(): Promise<http.Agent> {
    const once = { keepAlive: true, maxSockets: 1 }
    if (this.#url.protocol === 'http:') return new http.Agent(once)
    const { caFile } = this.#options
    return new https.Agent({ ...once, minVersion: 'TLSv1.2', ...(caFile !== null && { ca: await readFile(caFile) }) })
  }

  #exchange(
    agent: http.Agent,
    headers: Readonly<Record<string, string>>,
    body: Buffer,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const { request } = this.#url.protocol === 'http:' ? http : https
    const sent = request(this.#url, {
      method: 'POST',
      agent,
      signal,
      headers: { 'user-agent': 'teleclaude-auditor', ...headers, 'content-length': String(body.length) },
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      const parts: Buffer[] = []
      let length = 0
      const answer = (isCut: boolean): Answer => ({
        status: response.statusCode ?? 0,
        body: Buffer.concat(parts),
        isCut,
        retryAfterMs: parseRetryAfter(response.headers['retry-after']),
      })
      response.on('data', (part: Buffer) => {
        length += part.length
        if (length <= maxAnswerBytes) parts.push(part)
        else {
          resolve(answer(true))
          response.destroy()
        }
      })
      response.on('end', () => resolve(answer(false)))
      response.on('error', reject)
      response.on('aborted', () => reject(new Error('the connection broke in the middle of the answer')))
    })
    sent.end(body)
    return promise
  }
}

/** RFC 9110, section 10.2.3; a date is not waited for. */
function parseRetryAfter(text: string | undefined): number | null {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return null
  return Math.min(Number(text) * 1000, maxRetryAfterMs)
}

/** Of statuses that are about the request as a whole, who sends it and where to: another batch would get the same. */
const aboutUs = [401, 403, 404, 405, 406, 407, 408, 410, 421, 425, 426, 429]

export function isAboutContent(status: number): boolean {
  return status >= 400 && status < 500 && !aboutUs.includes(status)
}

/** `HTTP 400: no such field`, as much of it as a line holds. */
export function describeAnswer({ status, body }: Answer): string {
  const text = body.subarray(0, 600).toString('utf8').replaceAll(/\s+/g, ' ').trim().slice(0, 200).toWellFormed()
  return `HTTP ${status}${text === '' ? '' : `: ${text}`}`
}

export function describeFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  // The error of several addresses tried in vain has a code and no message.
  return error.message || code || error.name
}
