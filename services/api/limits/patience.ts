// How long a client may take. WebSockets may be silent for as long as they like.

import type { ServerOptions } from 'node:http'

export type Patience = {
  /** From the connection, or from the first byte of a request, to the end of its headers. */
  readonly headersMs: number
  /** The same, to the end of its body. */
  readonly requestMs: number
  /** Between two requests. */
  readonly idleMs: number
  /** Without taking anything of an answer that waits for it. */
  readonly unreadMs: number
  /** How often the first two are looked at. */
  readonly checkMs: number
}

export const defaultPatience: Patience = {
  headersMs: 10_000,
  requestMs: 30_000,
  idleMs: 5_000,
  unreadMs: 30_000,
  checkMs: 2_000,
}

export function timeoutsOf({ headersMs, requestMs, idleMs, checkMs }: Patience): ServerOptions {
  return {
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    keepAliveTimeout: idleMs,
    connectionsCheckingInterval: checkMs,
  }
}
