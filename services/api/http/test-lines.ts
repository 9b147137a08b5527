// For tests: the table of routes and streams, each line with input that fits, so that it can be asked. A line without fails.

import assert from 'node:assert/strict'
import type { Action } from '@teleclaude/core/policy.ts'
import { routes, streams } from './routes.ts'
import { writeRequest, writeUpgrade } from './test-requests.ts'

/** Input that fits, for each route that needs some, and what who may is answered where that is not 200. */
const posts: Readonly<Record<string, { readonly body: unknown; readonly status: number }>> = {
  // Nothing is to be done for that uid, which only who was let through is told.
  '/v1/people/rebind': { body: { account: '54011' }, status: 409 },
  '/v1/config/reload': { body: {}, status: 200 },
  '/v1/sessions': {
    body: { project: '/tmp', agent: null, title: 't', argv: ['true'], terminal: { cols: 80, rows: 24 } },
    status: 201,
  },
  '/v1/sessions/:id/commands': { body: { kind: 'stop' }, status: 202 },
}
const queries: Readonly<Record<string, string>> = {
  '/v1/people/:person/permission': '?action=session.list',
  '/v1/sessions/:id/transcript': '?format=raw',
}
const streamQueries: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>> = {
  '/v1/sessions/:id/runner': [{}],
  '/v1/sessions/:id/attach': [{}, { drive: 'true' }],
}

/** A line of the table as it can be asked: of the path only what is in it in place of `:id` or `:person` is open. */
export type Line = {
  readonly label: string
  readonly action: Action
  readonly on: 'service' | 'person' | 'session'
  readonly method: string
  readonly path: string
  readonly success: number
  ask(path: string): string
}

export const lines: readonly Line[] = [
  ...routes.flatMap(({ method, path, action, on }): readonly Line[] => {
    const post = method === 'post' ? posts[path] : { body: undefined, status: 200 }
    assert.ok(post, `there is no input here for POST ${path}`)
    return (method === 'post' ? ['POST'] : ['GET', 'HEAD']).map((verb) => ({
      label: `${verb} ${path}`,
      ...{ action, on, path, method: verb, success: post.status },
      ask: (asked) => writeRequest(verb, asked + (queries[path] ?? ''), post.body),
    }))
  }),
  ...streams.flatMap(({ path, protocol, prepare }) =>
    (streamQueries[path] ?? assert.fail(`there is no query here for ${path}`)).map((query): Line => {
      const search = new URLSearchParams(query).toString()
      return {
        label: `WebSocket ${path}?${search}`,
        ...{ action: prepare(query).action, on: 'session', path, method: 'GET', success: 101 },
        ask: (asked) => writeUpgrade(search === '' ? asked : `${asked}?${search}`, protocol),
      }
    }),
  ),
]

export function fill({ path }: Pick<Line, 'path'>, text: string): string {
  return path.replace(/:(id|person)/, () => text)
}
