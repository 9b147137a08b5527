// Turns whatever went wrong below a route into a problem document (RFC 9457). What a caller may not know stays in the log.

import type { ServerResponse } from 'node:http'
import { type Problem, type ProblemCode, ProblemError, problemCodes } from '@teleclaude/core/problem.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import type { ZodError } from 'zod'
import { RenderError } from '../transcript/text.ts'

// As in server.ts.
const { STATUS_CODES } = process.getBuiltinModule('node:http')

const titles: Readonly<Record<ProblemCode, string>> = {
  'bad-request': 'The request is malformed',
  'invalid-json': 'The body is not JSON',
  'origin-refused': 'Requests from web pages are refused',
  'not-permitted': 'You are not permitted to do this',
  'not-found': 'There is no such thing',
  'method-not-allowed': 'This path does not have that method',
  'too-slow': 'The request did not arrive in time',
  conflict: 'The state of things does not allow this',
  removed: 'It is not there any more',
  config: 'The configuration can not be used',
  'limit-reached': 'You have as many as you may have',
  'length-required': 'The length of the body is missing',
  'too-many-requests': 'You ask too much at once',
  'headers-too-large': 'The headers are too large',
  'too-large': 'The request is too large',
  'unsupported-media-type': 'The body has to be application/json',
  invalid: 'The input does not fit',
  internal: 'The service failed',
  unavailable: 'What this needs can not be reached',
  'not-recorded': 'What has to be on the record first could not be put there',
  'audit-alarm': 'The audit log has an alarm that nobody has looked at',
}

/** RFC 6901: a path of keys as a JSON Pointer. */
function jsonPointer(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
}

export function invalidInput(what: string, error: ZodError): ProblemError {
  const faults = error.issues.map((issue) => ({ path: jsonPointer(issue.path), message: issue.message }))
  const first = faults[0]
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''
  const detail = `cannot use the ${what}: ${first?.path || 'it'} ${first?.message ?? 'does not fit'}${more}`
  return new ProblemError('invalid', detail, { faults, cause: error })
}

/** What body-parser and the router throw carries an HTTP status and, from body-parser, a `type`. */
function fromFramework(error: object): ProblemError | null {
  const status = 'status' in error && typeof error.status === 'number' ? error.status : null
  const type = 'type' in error ? error.type : null
  if (status === null || status >= 500) return null
  const options = { cause: error }
  if (type === 'entity.too.large')
    return new ProblemError('too-large', 'cannot read the body: it is over the limit', options)
  if (type === 'entity.parse.failed')
    return new ProblemError('invalid-json', 'cannot read the body: it is not JSON', options)
  if (status === 413) return new ProblemError('too-large', 'cannot read the request: it is over the limit', options)
  if (status === 415) {
    return new ProblemError('unsupported-media-type', 'cannot read the body: its encoding is not supported', options)
  }
  return new ProblemError('bad-request', 'cannot read the request: it is malformed', options)
}

function toProblemError(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error
  if (error instanceof StoreError && error.code === 'unavailable') {
    return new ProblemError('unavailable', 'cannot reach the database now: try again in a moment', { cause: error })
  }
  if (error instanceof StoreError && error.code === 'not-writable') {
    return new ProblemError('unavailable', 'cannot write to the database: its disk is full or read-only', {
      cause: error,
    })
  }
  if (error instanceof RenderError) return new ProblemError('unavailable', error.message, { cause: error })
  const known = typeof error === 'object' && error !== null ? fromFramework(error) : null
  return known ?? new ProblemError('internal', 'the service failed; its log says why', { cause: error })
}

function problemOf(error: ProblemError): Problem {
  return {
    type: 'about:blank',
    title: titles[error.code],
    status: problemCodes[error.code],
    code: error.code,
    detail: error.message,
    ...(error.faults === undefined ? {} : { errors: error.faults }),
  }
}

/** The rest of what the peer sends is not worth reading, and nothing but the next of its connections is worth waiting for. */
const lastWords: readonly ProblemCode[] = [
  'bad-request',
  'too-large',
  'length-required',
  'too-slow',
  'headers-too-large',
  'too-many-requests',
]

/** What may be otherwise in a moment. */
function isPassing(code: ProblemCode): boolean {
  return code === 'unavailable' || code === 'not-recorded'
}

function headersOf({ code, retryAfterS }: ProblemError): Readonly<Record<string, string>> {
  const wait = retryAfterS ?? (isPassing(code) ? 1 : null)
  return {
    'Content-Type': 'application/problem+json',
    ...(wait === null ? {} : { 'Retry-After': String(wait) }),
    ...(lastWords.includes(code) ? { Connection: 'close' } : {}),
  }
}

/** Writes the problem, or cuts the connection where an answer has begun already: half an answer must not look whole. */
export function writeProblem(response: ServerResponse, error: unknown, log: Logger): void {
  const problem = toProblemError(error)
  if (problem.code === 'internal') log.error({ err: problem.cause }, 'request failed')
  if (isPassing(problem.code)) log.warn({ err: problem.cause }, 'not usable now')
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = problemOf(problem)
  response.statusCode = body.status
  for (const [name, value] of Object.entries(headersOf(problem))) response.setHeader(name, value)
  response.end(JSON.stringify(body))
}

/** The whole answer (RFC 9112), for where no request could be read. The connection is to be closed after it. */
export function rawProblem(problem: ProblemError): string {
  const body = problemOf(problem)
  const text = JSON.stringify(body)
  const headers = { ...headersOf(problem), Connection: 'close', 'Content-Length': String(Buffer.byteLength(text)) }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return `HTTP/1.1 ${body.status} ${STATUS_CODES[body.status] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n${text}`
}
