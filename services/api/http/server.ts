// The HTTP and WebSocket surface on the Unix socket. Who a caller is, is read from the kernel once per connection,
// before the first byte of a request; nothing that the peer sends can change it.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Caller } from '@teleclaude/core/caller.ts'
import type { Ownership } from '@teleclaude/core/policy.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import { maxFrameBytes } from '@teleclaude/core/transcript.ts'
import express, { type Express, type Request, type Response } from 'express'
import { WebSocketServer } from 'ws'
import { Connections, maxBodyBytes } from '../limits/connections.ts'
import { dropFlood } from '../limits/drop.ts'
import { type Patience, timeoutsOf } from '../limits/patience.ts'
import type { Service } from '../service.ts'
import { closeWebSocket } from '../streams/close-web-socket.ts'
import type { OpenStream } from '../streams/open-streams.ts'
import { authorise, authoriseFor, authoriseSession } from './gate.ts'
import { writeProblem } from './problems.ts'
import type { Answer, Route, StreamRoute } from './route.ts'
import { routes, streams } from './routes.ts'

// `import` would evaluate every export of node:http, WebSocket among them, and with it load undici: three megabytes, for good.
const http = process.getBuiltinModule('node:http')

/** What every request meets. */
type Surface = {
  readonly service: Service
  readonly connections: Connections
  readonly callerOf: (request: IncomingMessage) => Caller
}

export type ServerOptions = {
  readonly patience: Patience
  /** Connections of everybody together. */
  readonly capacity: number
}

export type ApiServer = {
  /** Not yet listening. Closing it leaves WebSockets to the hub. */
  readonly http: Server
  /** Ends every connection that is left, also one that is about to become a WebSocket, which nobody else knows. */
  cutAll(): void
}

export function createApiServer(service: Service, { patience, capacity }: ServerOptions): ApiServer {
  const connections = new Connections(service.limits, service.log)
  const callerOf = (request: IncomingMessage): Caller => {
    const peer = connections.peerOf(request.socket)
    if (request.headers.origin !== undefined) {
      throw new ProblemError(
        'origin-refused',
        'cannot serve a request with an Origin header: web pages have no business here',
      )
    }
    const refusal = service.identity.refuse(peer)
    if (refusal !== null) {
      const { uid, pid } = peer
      const actor = { kind: 'caller', person: null, osUser: null, uid, pid } as const
      service.denials.note({ actor, request: 'connect', reason: refusal, session: null })
      throw new ProblemError('not-permitted', `cannot serve you: ${refusal}`)
    }
    return service.identity.resolve(peer)
  }

  // That there is a Host is looked at where everything else is that is wrong with a request, and counted.
  const server = http.createServer({ ...timeoutsOf(patience), requireHostHeader: false })
  server.maxConnections = capacity
  server.on('drop', () => connections.complain('connections refused: there are too many of all users together'))
  acceptFirst(server, (socket) => connections.accept(socket))
  server.on('listening', () => dropFlood(server, service.limits))

  const surface: Surface = { service, connections, callerOf }
  const app = createApp(surface)
  const answer = (request: IncomingMessage, response: ServerResponse, begin: () => void): void => {
    connections.admit(request, response).then(
      (isAdmitted) => {
        if (isAdmitted) begin()
      },
      (error: unknown) => writeProblem(response, error, service.log),
    )
  }
  server.on('request', (request, response) => answer(request, response, () => app(request, response)))
  server.on('checkContinue', (request, response) =>
    answer(request, response, () => {
      response.writeContinue()
      app(request, response)
    }),
  )
  // RFC 9110, 10.1.1: what else is expected may be passed over.
  server.on('checkExpectation', (request, response) => answer(request, response, () => app(request, response)))
  server.on('clientError', (error, socket) => connections.refuse(error, socket as Socket))
  server.setTimeout(patience.unreadMs, (socket) => connections.idle(socket))

  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    clientTracking: false,
    autoPong: false,
  })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', (error) => service.log.debug({ err: error }, 'connection broke'))
    connections
      .admitStream(request)
      .then((isAdmitted) =>
        isAdmitted ? upgrade(service, webSockets, callerOf, request, socket as Socket, head) : undefined,
      )
      .catch((error: unknown) => {
        const response = new http.ServerResponse(request)
        response.shouldKeepAlive = false
        response.assignSocket(request.socket)
        response.on('finish', () => request.socket.destroySoon())
        writeProblem(response, error, service.log)
      })
  })
  return { http: server, cutAll: () => connections.cutAll() }
}

/** Has each connection looked at before HTTP is spoken on it. */
function acceptFirst(server: Server, accept: (socket: Socket) => boolean): void {
  const [speakHttp, ...others] = server.listeners('connection')
  if (speakHttp === undefined || others.length > 0) throw new TypeError('Node takes connections in in another way')
  server.removeAllListeners('connection')
  server.on('connection', (socket) => {
    if (accept(socket)) speakHttp.call(server, socket)
  })
}

function createApp(surface: Surface): Express {
  const { service, callerOf } = surface
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')

  // Of whatever path and method, and before a body is read: who may not speak is not listened to.
  app.use((request, _response, next) => {
    callerOf(request)
    next()
  })
  for (const route of routes) {
    const run = (request: Request, response: Response): void => {
      serve(surface, route, request, response)
        .catch((error: unknown) => writeProblem(response, error, service.log))
        .finally(() => service.requests.note(route.action, response.statusCode))
    }
    app[route.method](route.path, run)
  }
  for (const path of new Set(routes.map((route) => route.path))) {
    app.all(path, (_request, response) => {
      const methods = routes.filter((route) => route.path === path).map((route) => route.method.toUpperCase())
      response.setHeader('Allow', methods.join(', '))
      throw new ProblemError('method-not-allowed', `cannot do this: the path has ${methods.join(' and ')} only`)
    })
  }
  app.use(() => {
    throw new ProblemError('not-found', 'cannot find this path: see the documentation of the API for those there are')
  })
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, _request: Request, response: Response, _next: () => void) =>
    writeProblem(response, error, service.log),
  )
  return app
}

async function serve(surface: Surface, route: Route, request: Request, response: Response): Promise<void> {
  const { service } = surface
  const caller = surface.callerOf(request)
  // Before the input is read: who may not ask learns nothing from it, and costs nothing.
  if (route.on === 'service') {
    await authorise(service, caller, route.action, { kind: 'service' })
    const handle = route.prepare(readQuery(route, request), await readBody(route, request, response))
    const answer = await handle({ service, caller, params: namedIn(request) })
    await writeAnswer(surface, { caller, action: route.action, session: null }, response, answer)
  } else if (route.on === 'person') {
    const name = String(request.params.person)
    await authorise(service, caller, route.action, { kind: 'person', ownership: isOwnName(caller, name) })
    const handle = route.prepare(request.query, await readBody(route, request, response))
    const answer = await handle({ service, caller, name })
    await writeAnswer(surface, { caller, action: route.action, session: null }, response, answer)
  } else if (route.on === 'named session') {
    const { action } = route
    await authorise(service, caller, action, { kind: 'service' })
    const { id, handle } = route.prepare(request.query, await readBody(route, request, response))
    const { session, grant } = await authoriseSession(service, caller, action, id)
    const answer = await handle({ service, caller, session, grant })
    await writeAnswer(surface, { caller, action, session, grant }, response, answer)
  } else {
    const found = await authoriseSession(service, caller, route.action, request.params.id)
    const { session } = found
    const { action, handle } = route.prepare(request.query, await readBody(route, request, response))
    const grant = action === route.action ? found.grant : await authoriseFor(service, caller, action, session)
    const answer = await handle({ service, caller, session, grant })
    await writeAnswer(surface, { caller, action, session, grant }, response, answer)
  }
}

/** Of the path's wildcards, of which there are none. */
function namedIn({ params }: Request): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(params).filter((entry): entry is [string, string] => !Array.isArray(entry[1])),
  )
}

/** By person, or by account: who is no person has nothing else to go by. */
function isOwnName({ person, osUser }: Caller, name: string): Ownership {
  return name === (person ?? osUser) ? 'own' : 'other'
}

function readQuery({ resumes }: Route, { query, headers }: Request): unknown {
  const lastEventId = headers['last-event-id']
  return resumes && lastEventId !== undefined ? { ...query, lastEventId } : query
}

const parseJson = express.json({ limit: maxBodyBytes, strict: false, inflate: false })

async function readBody(route: Route, request: Request, response: Response): Promise<unknown> {
  if (route.method === 'get' || route.method === 'delete') return undefined
  await new Promise<void>((resolve, reject) =>
    parseJson(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error))),
  )
  if (request.body !== undefined) return request.body
  throw new ProblemError(
    'unsupported-media-type',
    'cannot read the body: send JSON with Content-Type: application/json',
  )
}

async function writeAnswer(
  surface: Surface,
  asked: Omit<OpenStream, 'close'>,
  response: Response,
  answer: Answer,
): Promise<void> {
  const over = ('over' in answer ? answer.over : undefined) ?? (() => undefined)
  // What the answer is made of may notice much later that nobody reads it any more.
  response.once('close', over)
  try {
    await writeAnswerOut(surface, asked, response, answer)
  } finally {
    over()
  }
}

async function writeAnswerOut(
  { service, connections }: Surface,
  asked: Omit<OpenStream, 'close'>,
  response: Response,
  answer: Answer,
): Promise<void> {
  response.statusCode = answer.status
  response.setHeader('Cache-Control', 'no-store')
  if ('json' in answer) {
    response.setHeader('Content-Type', 'application/json')
    if (answer.status === 503) response.setHeader('Retry-After', '1')
    response.end(JSON.stringify(answer.json))
    return
  }
  response.setHeader('Content-Type', answer.contentType)
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (response.req.method === 'HEAD') {
    response.end()
    return
  }
  connections.openStream(response.req.socket, response)
  // Half an answer must not look whole, so there is no other way to end one.
  const over = service.streams.open({ ...asked, close: () => response.destroy() })
  try {
    await pipeline(Readable.from(answer.stream, { objectMode: false }), response)
  } catch (error) {
    if (!isEndedEarly(error)) throw error
    service.log.debug({ err: error }, 'an answer ended early')
  } finally {
    over()
  }
}

/** Whoever read it has read enough, or may not read on: no failure of ours. */
function isEndedEarly(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_STREAM_PREMATURE_CLOSE'
}

async function upgrade(
  service: Service,
  webSockets: WebSocketServer,
  callerOf: (request: IncomingMessage) => Caller,
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
): Promise<void> {
  const caller = callerOf(request)
  const url = URL.parse(request.url ?? '/', 'http://localhost')
  if (url === null) throw new ProblemError('bad-request', 'cannot read the request: its path is malformed')
  const found = findStream(url.pathname)
  if (found === null) throw new ProblemError('not-found', 'cannot find this path: no WebSocket is offered here')
  const { stream, id } = found
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (!offered.includes(stream.protocol)) {
    const detail = `cannot talk with this client: this service speaks ${stream.protocol}; update telec and the service to the same version`
    throw new ProblemError('bad-request', detail)
  }
  const { action, admit } = stream.prepare(Object.fromEntries(url.searchParams))
  const { session, grant } = await authoriseSession(service, caller, action, id)
  if (session.host !== service.host) {
    throw new ProblemError(
      'conflict',
      `cannot connect to the session here: it runs on the host ${session.host}; do this there`,
    )
  }
  const { handle, over } = await admit({ service, caller, session, grant })
  // Whatever becomes of it from here on: a connection that is gone by now is never handed over.
  socket.once('close', over)
  if (socket.destroyed) over()
  webSockets.handleUpgrade(request, socket, head, (webSocket) => {
    service.requests.note(action, 101)
    // Nothing is read until the session has it: a message, or the close, would find nobody listening.
    webSocket.pause()
    webSocket.on('error', (error) => service.log.debug({ err: error }, 'WebSocket broke'))
    // RFC 6455, 5.5.3: not each ping needs an answer. Those of somebody who does not read would pile up.
    webSocket.on('ping', (data) => {
      if (webSocket.bufferedAmount < maxFrameBytes) webSocket.pong(data)
    })
    const close = (reason: string) => closeWebSocket(webSocket, closeCodes.notPermitted, reason)
    webSocket.once('close', service.streams.open({ caller, action, session, grant, close }))
    handle(webSocket).catch((error: unknown) => {
      service.log.error({ err: error, session: session.id }, 'stream failed')
      closeWebSocket(webSocket, 1011, 'the service failed')
    })
  })
}

function findStream(pathname: string): { stream: StreamRoute; id: string } | null {
  for (const stream of streams) {
    const [before = '', after = ''] = stream.path.split(':id')
    const id = pathname.slice(before.length, pathname.length - after.length)
    if (pathname.startsWith(before) && pathname.endsWith(after) && pathname === before + id + after)
      return { stream, id }
  }
  return null
}
