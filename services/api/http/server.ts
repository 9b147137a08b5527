// The HTTP and WebSocket surface on the Unix socket. Who a caller is, is read from the kernel once per connection,
// before the first byte of a request; nothing that the peer sends can change it.

import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import { maxFrameBytes } from '@teleclaude/core/transcript.ts'
import { readPeer } from '@teleclaude/peercred/peer.ts'
import { PeerError } from '@teleclaude/peercred/peer-error.ts'
import express, { type Express, type Request, type Response } from 'express'
import { WebSocketServer } from 'ws'
import type { Service } from '../service.ts'
import { authoriseService, authoriseSession } from './gate.ts'
import { writeProblem } from './problems.ts'
import type { Answer, Route, StreamRoute } from './route.ts'
import { routes, streams } from './routes.ts'

const maxBodyBytes = 512 * 1024

/** The server, not yet listening. Closing it leaves WebSockets to the hub. */
export function createApiServer(service: Service): Server {
  const peers = new WeakMap<Socket, PeerCredentials | PeerError>()
  const callerOf = (request: IncomingMessage): Caller => {
    const peer = peers.get(request.socket)
    if (peer === undefined || peer instanceof PeerError) {
      throw new ProblemError('not-permitted', peer?.message ?? 'cannot identify the peer: the kernel was not asked')
    }
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

  const server = createServer(createApp(service, callerOf))
  server.on('connection', (socket) => {
    try {
      peers.set(socket, readPeer(socket))
    } catch (error) {
      if (!(error instanceof PeerError)) throw error
      service.log.warn({ err: error }, 'connection refused: its peer could not be identified')
      peers.set(socket, error)
    }
  })
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    clientTracking: false,
  })
  server.on('upgrade', (request, socket, head) => {
    socket.on('error', (error) => service.log.debug({ err: error }, 'connection broke'))
    upgrade(service, webSockets, callerOf, request, socket as Socket, head).catch((error: unknown) => {
      const response = new ServerResponse(request)
      response.shouldKeepAlive = false
      response.assignSocket(socket as Socket)
      response.on('finish', () => socket.end())
      writeProblem(response, error, service.log)
    })
  })
  return server
}

function createApp(service: Service, callerOf: (request: IncomingMessage) => Caller): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', 'simple')
  const parseJson = express.json({ limit: maxBodyBytes, strict: false, inflate: false })

  for (const route of routes) {
    const run = (request: Request, response: Response): void => {
      serve(service, callerOf, route, request, response).catch((error: unknown) =>
        writeProblem(response, error, service.log),
      )
    }
    // The caller is settled before the body is read: who may not speak is not listened to.
    const identify = (request: Request, _response: Response, next: () => void): void => {
      callerOf(request)
      next()
    }
    if (route.method === 'post') app.post(route.path, identify, parseJson, run)
    else app.get(route.path, run)
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

async function serve(
  service: Service,
  callerOf: (request: IncomingMessage) => Caller,
  route: Route,
  request: Request,
  response: Response,
): Promise<void> {
  const caller = callerOf(request)
  // Before the input is looked at: who may not ask learns nothing from it.
  if (route.on === 'service') {
    authoriseService(service, caller, route.action)
    const handle = route.prepare(request.query, bodyOf(route, request))
    await writeAnswer(response, await handle({ service, caller }))
  } else {
    const session = await authoriseSession(service, caller, route.action, request.params.id)
    const handle = route.prepare(request.query, bodyOf(route, request))
    await writeAnswer(response, await handle({ service, caller, session }))
  }
}

function bodyOf(route: Route, request: Request): unknown {
  if (route.method !== 'post' || request.body !== undefined) return request.body
  throw new ProblemError(
    'unsupported-media-type',
    'cannot read the body: send JSON with Content-Type: application/json',
  )
}

async function writeAnswer(response: Response, answer: Answer): Promise<void> {
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
  await pipeline(Readable.from(answer.stream, { objectMode: false }), response)
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
  const url = new URL(request.url ?? '/', 'http://localhost')
  const found = findStream(url.pathname)
  if (found === null) throw new ProblemError('not-found', 'cannot find this path: no WebSocket is offered here')
  const { stream, id } = found
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  if (!offered.includes(stream.protocol)) {
    const detail = `cannot talk with this client: this service speaks ${stream.protocol}; update telec and the service to the same version`
    throw new ProblemError('bad-request', detail)
  }
  const { action, handle } = stream.prepare(Object.fromEntries(url.searchParams))
  const session = await authoriseSession(service, caller, action, id)
  webSockets.handleUpgrade(request, socket, head, (webSocket) => {
    // Nothing is read until the session has it: a message, or the close, would find nobody listening.
    webSocket.pause()
    webSocket.on('error', (error) => service.log.debug({ err: error }, 'WebSocket broke'))
    handle({ service, caller, session, socket: webSocket }).catch((error: unknown) => {
      service.log.error({ err: error, session: session.id }, 'stream failed')
      webSocket.close(1011)
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
