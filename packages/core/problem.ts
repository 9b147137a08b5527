// Errors as they cross the socket: RFC 9457 problem documents with a stable `code`.

export const problemCodes = {
  'bad-request': 400,
  'invalid-json': 400,
  'origin-refused': 403,
  'not-permitted': 403,
  'not-found': 404,
  'method-not-allowed': 405,
  'too-slow': 408,
  conflict: 409,
  removed: 410,
  config: 409,
  'limit-reached': 409,
  'length-required': 411,
  'too-large': 413,
  'unsupported-media-type': 415,
  invalid: 422,
  'too-many-requests': 429,
  'headers-too-large': 431,
  internal: 500,
  unavailable: 503,
  /** What has to be on the record first could not be put there, or not be made safe there: nothing was done or shown. */
  'not-recorded': 503,
  /** The audit log has an alarm that no admin has looked at, and the configuration refuses content until then. */
  'audit-alarm': 503,
} as const
export type ProblemCode = keyof typeof problemCodes

/** One fault of a request's input: `path` is a JSON Pointer (RFC 6901) into the body, or the parameter's name. */
export type InputFault = { readonly path: string; readonly message: string }

export type Problem = {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  readonly code: ProblemCode
  readonly detail: string
  readonly errors?: readonly InputFault[]
}

/** Thrown anywhere below a route; becomes a problem document. `detail` reads "cannot <do> <what>: <why>" and what to do next. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError'
  readonly code: ProblemCode
  readonly faults: readonly InputFault[] | undefined
  /** When to try again, where that is known. */
  readonly retryAfterS: number | undefined
  constructor(
    code: ProblemCode,
    detail: string,
    options?: { readonly cause?: unknown; readonly faults?: readonly InputFault[]; readonly retryAfterS?: number },
  ) {
    super(detail, options)
    this.code = code
    this.faults = options?.faults
    this.retryAfterS = options?.retryAfterS
  }
}
