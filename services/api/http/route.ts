// Routes are data: path, action, what the input has to look like, handler. Authorisation stands between the table
// and the handler (server.ts), so a handler gets a caller who may, a session that the caller may touch, and input that parsed.

import type { AccessGrant } from '@teleclaude/core/access.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import type { Action } from '@teleclaude/core/policy.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { WebSocket } from 'ws'
import type { z } from 'zod'
import type { Service } from '../service.ts'
import { invalidInput } from './problems.ts'

export type Answer =
  | { readonly status: 200 | 201 | 202 | 503; readonly json: unknown }
  | {
      readonly status: 200
      readonly contentType: string
      readonly stream: AsyncIterable<string | Uint8Array>
      /** Called when nothing more of it goes out, for whatever reason; also where nothing ever did. At least once. */
      readonly over?: () => void
    }

type Asked = { readonly service: Service; readonly caller: Caller }
/** `params`: what the path names that is neither a person nor a session, as it came. */
type AskedOfService = Asked & { readonly params: Readonly<Record<string, string>> }
type AskedOfPerson = Asked & { readonly name: string }
/** `grant`: what allows it, where the session is somebody else's and what is done with it is not for every admin. */
export type AskedOfSession = Asked & { readonly session: Session; readonly grant: AccessGrant | null }

export type Method = 'get' | 'post' | 'patch' | 'delete'
type Http = {
  readonly method: Method
  readonly path: string
  /** What who asks has to be allowed before their input is read. */
  readonly action: Action
  /** A stream of events: `Last-Event-ID` (WHATWG HTML, 9.2.4) is its query's `lastEventId`. */
  readonly resumes?: true
}
type Handled<Context, Result> = {
  /** What the request turned out to be: to be called once it is authorised.
   *  @throws ProblemError 'invalid' */
  prepare(query: unknown, body: unknown): (context: Context) => Promise<Result>
}
type HandledBySession = {
  /** As above; `action` is what the input says is being done, and has to be allowed, too. */
  prepare(query: unknown, body: unknown): { readonly action: Action; handle(context: AskedOfSession): Promise<Answer> }
}
type HandledByNamedSession = {
  /** As above; `id` is of the session that the body names. */
  prepare(query: unknown, body: unknown): { readonly id: string; handle(context: AskedOfSession): Promise<Answer> }
}
export type Route = Http &
  (
    | ({ readonly on: 'service' } & Handled<AskedOfService, Answer>)
    | ({ readonly on: 'person' } & Handled<AskedOfPerson, Answer>)
    | ({ readonly on: 'session' } & HandledBySession)
    | ({ readonly on: 'named session' } & HandledByNamedSession)
  )

/** What has been let in. */
export type Admitted = {
  handle(socket: WebSocket): Promise<void>
  /** The connection is gone, or never came about. Called at least once. */
  over(): void
}
export type StreamRoute = {
  readonly path: string
  readonly protocol: string
  /** The query decides what is being done. `admit`: what has to be so before the peer is answered.
   *  @throws ProblemError 'invalid', and from `admit` */
  prepare(query: unknown): { readonly action: Action; admit(context: AskedOfSession): Promise<Admitted> }
}

type Input<Query extends z.ZodType, Body extends z.ZodType> = {
  readonly query: z.output<Query>
  readonly body: z.output<Body>
}
type Definition<Query extends z.ZodType, Body extends z.ZodType, Context, Result> = {
  readonly query: Query
  readonly body: Body
  handle(context: Context & Input<Query, Body>): Promise<Result>
}

/** A route about the service as a whole. */
export function serviceRoute<Query extends z.ZodType, Body extends z.ZodType>(
  route: Http & Definition<Query, Body, AskedOfService, Answer>,
): Route {
  return {
    on: 'service',
    method: route.method,
    path: route.path,
    action: route.action,
    ...(route.resumes ? { resumes: true } : {}),
    prepare: preparer<Query, Body, AskedOfService, Answer>(route),
  }
}

/** A route whose path names a person, or an account, as `:person`: for themselves, and for who may ask about others. */
export function personRoute<Query extends z.ZodType, Body extends z.ZodType>(
  route: Http & Definition<Query, Body, AskedOfPerson, Answer>,
): Route {
  return {
    on: 'person',
    method: route.method,
    path: route.path,
    action: route.action,
    prepare: preparer<Query, Body, AskedOfPerson, Answer>(route),
  }
}

/** A route whose path names a session as `:id`. `narrow`: the action, where the body says which it is. */
export function sessionRoute<Query extends z.ZodType, Body extends z.ZodType>(
  route: Http &
    Definition<Query, Body, AskedOfSession, Answer> & { readonly narrow?: (body: z.output<Body>) => Action },
): Route {
  return {
    on: 'session',
    method: route.method,
    path: route.path,
    action: route.action,
    prepare(rawQuery, rawBody) {
      const query = parse('query', route.query, rawQuery)
      const body = parse('body', route.body, rawBody)
      return {
        action: route.narrow?.(body) ?? route.action,
        handle: (context) => route.handle({ ...context, query, body }),
      }
    },
  }
}

/** A route whose body names a session. Who may not do this with any learns nothing of those that there are. */
export function namedSessionRoute<Query extends z.ZodType, Body extends z.ZodType<{ readonly session: string }>>(
  route: Http & Definition<Query, Body, AskedOfSession, Answer>,
): Route {
  return {
    on: 'named session',
    method: route.method,
    path: route.path,
    action: route.action,
    prepare(rawQuery, rawBody) {
      const query = parse('query', route.query, rawQuery)
      const body = parse('body', route.body, rawBody)
      return { id: body.session, handle: (context) => route.handle({ ...context, query, body }) }
    },
  }
}

/** A WebSocket whose path names a session as `:id`. */
export function sessionStream<Query extends z.ZodType>(route: {
  readonly path: string
  readonly protocol: string
  readonly query: Query
  readonly action: (query: z.output<Query>) => Action
  admit(context: AskedOfSession & { readonly query: z.output<Query> }): Promise<Admitted>
}): StreamRoute {
  return {
    path: route.path,
    protocol: route.protocol,
    prepare(rawQuery) {
      const query = parse('query', route.query, rawQuery)
      return { action: route.action(query), admit: (context) => route.admit({ ...context, query }) }
    },
  }
}

function preparer<Query extends z.ZodType, Body extends z.ZodType, Context, Result>(
  definition: Definition<Query, Body, Context, Result>,
): Handled<Context, Result>['prepare'] {
  return (rawQuery, rawBody) => {
    const query = parse('query', definition.query, rawQuery)
    const body = parse('body', definition.body, rawBody)
    return (context) => definition.handle({ ...context, query, body })
  }
}

function parse<Schema extends z.ZodType>(what: 'query' | 'body', schema: Schema, value: unknown): z.output<Schema> {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw invalidInput(what, parsed.error)
  return parsed.data
}
