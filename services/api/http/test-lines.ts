// For tests: the table of routes and streams, each line with input that fits, so that it can be asked. A line without fails.

import assert from 'node:assert/strict'
import type { Action } from '@teleclaude/core/policy.ts'
import { routes, streams } from './routes.ts'
import { writeRequest, writeUpgrade } from './test-requests.ts'

type Input = { readonly body: unknown; readonly status: number }

/** Nobody's. */
const unknownId = '00000000-0000-4000-8000-000000000000'
/** Input that fits, for each route that takes some, and what who may is answered. One of each kind, where there are several. */
const bodies: Readonly<Record<string, readonly Input[]>> = {
  // Nothing is to be done for that uid, which only who was let through is told.
  'post /v1/people/rebind': [{ body: { account: '54011' }, status: 409 }],
  'post /v1/config/reload': [{ body: {}, status: 200 }],
  'post /v1/sessions': [
    {
      body: { project: '/tmp', agent: null, title: 't', argv: ['true'], terminal: { cols: 80, rows: 24 } },
      status: 201,
    },
  ],
  'post /v1/sessions/:id/commands': [
    { body: { kind: 'stop' }, status: 202 },
    { body: { kind: 'interrupt' }, status: 202 },
    { body: { kind: 'send', text: 'x' }, status: 202 },
  ],
  // About a session that nobody has, which only who may open one is told.
  'post /v1/access-grants': [{ body: { session: unknownId, reason: 'to see' }, status: 404 }],
  // Nobody's, whether or not they have any.
  'post /v1/notices/seen': [{ body: { through: unknownId }, status: 200 }],
  // Nobody's, too.
  'get /v1/audit/proof': [{ body: undefined, status: 404 }],
  'post /v1/audit/alarms/:alarm/acknowledge': [{ body: { note: 'seen' }, status: 404 }],
  'post /v1/audit/rotate-key': [{ body: {}, status: 200 }],
  'patch /v1/sessions/:id': [
    { body: { title: 'named' }, status: 200 },
    { body: { agentStatus: { state: 'idle' } }, status: 200 },
  ],
}
/** What is to be deleted is not there. */
const bodyless: Readonly<Record<string, readonly Input[]>> = {
  get: [{ body: undefined, status: 200 }],
  delete: [{ body: undefined, status: 404 }],
}
const queries: Readonly<Record<string, string>> = {
  '/v1/people/:person/permission': '?action=session.list',
  '/v1/sessions/:id/transcript': '?format=raw',
  '/v1/sessions/:id/search': '?text=x',
  '/v1/audit/proof': `?grant=${unknownId}`,
}
const streamQueries: Readonly<Record<string, readonly Readonly<Record<string, string>>[]>> = {
  '/v1/sessions/:id/runner': [{}],
  '/v1/sessions/:id/attach': [{}, { drive: 'true' }, { drive: 'take', show: 'screen' }],
}

/** A line of the table as it can be asked: of the path only what is in it in place of `:id` or `:person` is open. Anything else that
 *  a path names is not there. */
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
  ...routes.flatMap((route): readonly Line[] => {
    const { method, path } = route
    // What is in a body is no part of a path.
    const on = route.on === 'named session' ? 'service' : route.on
    const inputs = bodies[`${method} ${path}`] ?? bodyless[method]
    assert.ok(inputs, `there is no input here for ${method} ${path}`)
    const verbs = method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]
    return inputs.flatMap(({ body, status }) => {
      const action = route.on === 'session' ? route.prepare(queryOf(path), body).action : route.action
      return verbs.map((verb) => ({
        label: `${verb} ${path} ${body === undefined ? '' : JSON.stringify(body)}`,
        ...{ action, on, path, method: verb, success: status },
        ask: (asked: string) => writeRequest(verb, asked + (queries[path] ?? ''), body),
      }))
    })
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

function queryOf(path: string): Readonly<Record<string, string>> {
  return Object.fromEntries(new URLSearchParams(queries[path] ?? ''))
}

export function fill({ path }: Pick<Line, 'path'>, text: string): string {
  return path.replace(/:(?!id\b|person\b)\w+/, unknownId).replace(/:(id|person)/, () => text)
}
