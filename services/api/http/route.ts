// Routes are data: path, action, what the input has to look like, handler. Authorisation stands between the table
// and the handler (server.ts), so a handler gets a caller who may, a session that the caller may touch, and input that parsed.

import type { Caller } from '@teleclaude/core/caller.ts'
import type { Action } from '@teleclaude/core/policy.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import type { Service } from '../service.ts'
import { invalidInput } from './problems.ts'

export type Answer =
  | { readonly status: 200 | 201 | 202 | 503; readonly json: unknown }
  | { readonly status: 200; readonly contentType: string; readonly stream: AsyncIterable<string | Uint8Array> }

type Asked = { readonly service: Service; readonly caller: Caller }
type AskedOfSession = Asked & { readonly session: Session }
type Streamed = AskedOfSession & { readonly socket: WebSocket }

/** What a request turned out to be once its input has parsed: authorise `action`, then `handle`. */
type Prepared<Context, Result> = { readonly action: Action; handle(context: Context): Promise<Result> }

type Http = { readonly method: 'get' | 'post'; readonly path: string }
type Prepare<Context, Result> = {
  /** @throws ProblemError 'invalid' */
  prepare(query: unknown, body: unknown): Prepared<Context, Result>
}
export type Route = Http &
  (
    | ({ readonly on: 'service' } & Prepare<Asked, Answer>)
    | ({ readonly on: 'session' } & Prepare<AskedOfSession, Answer>)
  )
export type StreamRoute = { readonly path: string; readonly protocol: string } & Prepare<Streamed, void>

type Input<Query extends z.ZodType, Body extends z.ZodType> = {
  readonly query: z.output<Query>
  readonly body: z.output<Body>
}
type Definition<Query extends z.ZodType, Body extends z.ZodType, Context, Result> = {
  readonly query: Query
  readonly body: Body
  /** Needed on every route; a function where the input decides what is being done. */
  readonly action: Action | ((input: Input<Query, Body>) => Action)
  handle(context: Context & Input<Query, Body>): Promise<Result>
}

/** A route about the service as a whole. */
export function serviceRoute<Query extends z.ZodType, Body extends z.ZodType>(
  route: Http & Definition<Query, Body, Asked, Answer>,
): Route {
  return { on: 'service', method: route.method, path: route.path, prepare: preparer(route) }
}

/** A route whose path names a session as `:id`. */
export function sessionRoute<Query extends z.ZodType, Body extends z.ZodType>(
  route: Http & Definition<Query, Body, AskedOfSession, Answer>,
): Route {
  return { on: 'session', method: route.method, path: route.path, prepare: preparer(route) }
}

/** A WebSocket whose path names a session as `:id`. */
export function sessionStream<Query extends z.ZodType, Body extends z.ZodType>(
  route: { readonly path: string; readonly protocol: string } & Definition<Query, Body, Streamed, void>,
): StreamRoute {
  return { path: route.path, protocol: route.protocol, prepare: preparer(route) }
}

function preparer<Query extends z.ZodType, Body extends z.ZodType, Context, Result>(
  definition: Definition<Query, Body, Context, Result>,
): (query: unknown, body: unknown) => Prepared<Context, Result> {
  return (rawQuery, rawBody) => {
    const query = parse('query', definition.query, rawQuery)
    const body = parse('body', definition.body, rawBody)
    const { action } = definition
    return {
      action: typeof action === 'function' ? action({ query, body }) : action,
      handle: (context) => definition.handle({ ...context, query, body }),
    }
  }
}

function parse<Schema extends z.ZodType>(what: 'query' | 'body', schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw invalidInput(what, parsed.error)
  return parsed.data
}
