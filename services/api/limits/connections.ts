// Every connection to the socket: whose it is, what it takes of its user's limits, and what it has not been answered yet. Whatever
// comes over one passes here first, before a path is looked at or a body is read.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { PeerCredentials } from '@teleclaude/core/caller.ts'
import { type ProblemCode, ProblemError } from '@teleclaude/core/problem.ts'
import { readPeer } from '@teleclaude/peercred/peer.ts'
import { PeerError } from '@teleclaude/peercred/peer-error.ts'
import type { Logger } from 'pino'
import { rawProblem } from '../http/problems.ts'
import type { Lease, Limits, Refusal } from './user-limits.ts'

/** Clients that pipeline (RFC 9112, 9.3.2) are rare, and a packet can hold thousands of requests. */
const maxUnanswered = 4
/** What is longer is refused before it is read. */
export const maxBodyBytes = 512 * 1024
/** Of a body, for each token that it costs beyond that of its request: it takes as long to read. */
const tokenBytes = 16 * 1024
/** How long a client that is still sending has to hear why it is not listened to any more. */
const lingerMs = 500
const complainEveryMs = 60_000

/** All that the kernel can't identify are strangers to us, and one. */
const nobody = { uid: -1, pid: 0 }

type Connection = {
  readonly peer: PeerCredentials | PeerError
  readonly lease: Lease
  /** In the order of their requests. */
  readonly unanswered: ServerResponse[]
  isStream: boolean
}

export class Connections {
  readonly #limits: Limits
  readonly #log: Logger
  readonly #connections = new WeakMap<Socket, Connection>()
  readonly #open = new Set<Socket>()
  readonly #complainedMs = new Map<string, number>()

  constructor(limits: Limits, log: Logger) {
    this.#limits = limits
    this.#log = log
  }

  /** Of a new connection. False where it is refused: then it is as good as closed. */
  accept(socket: Socket): boolean {
    const peer = this.#identify(socket)
    const lease = this.#limits.connect(peer instanceof PeerError ? nobody : peer)
    if ('refused' in lease) {
      turnAway(socket, lease)
      return false
    }
    this.#open.add(socket)
    socket.on('close', () => {
      this.#open.delete(socket)
      lease.close()
    })
    const unanswered: ServerResponse[] = []
    // Called by Node when the last answer is written.
    const closeAtOnce = socket.destroySoon.bind(socket)
    socket.destroySoon = () => {
      if (unanswered.some(({ req }) => !req.complete)) endWith(socket, '')
      else closeAtOnce()
    }
    this.#connections.set(socket, { peer, lease, unanswered, isStream: false })
    return true
  }

  /** Who the kernel says is at the other end. @throws ProblemError where it can't */
  peerOf(socket: Socket): PeerCredentials {
    const { peer } = this.#of(socket)
    if (peer instanceof PeerError) throw new ProblemError('not-permitted', peer.message)
    return peer
  }

  /** Resolves when it is the request's turn; with false where it is over before. Nothing of its body has been read.
   *  @throws ProblemError where it is refused */
  async admit(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const { socket } = request
    const { unanswered, lease } = this.#of(socket)
    if (unanswered.length >= maxUnanswered) {
      // The parser goes on to the end of the packet.
      lease.charge(1)
      socket.destroy()
      return false
    }
    const before = unanswered.at(-1)
    const answered = before === undefined ? null : new Promise<void>((resolve) => before.once('close', () => resolve()))
    unanswered.push(response)
    response.once('close', () => unanswered.splice(unanswered.indexOf(response), 1))
    // What is left of a body is read to its end before the next request: that can be long in coming.
    if (bodyBytes(request) > tokenBytes) response.shouldKeepAlive = false
    if (!(await this.#turn(request, lease))) return false
    // One after the other: behind an answer that closes the connection nothing is a request any more, read or not.
    await answered
    if (!socket.writable) return false
    refuseMalformed(request)
    return true
  }

  /** The same for a request to become a stream, which counts until its connection is closed. */
  async admitStream(request: IncomingMessage): Promise<boolean> {
    const { socket } = request
    const connection = this.#of(socket)
    const { unanswered, lease } = connection
    connection.isStream = true
    if (unanswered.length > 0) {
      socket.destroy()
      return false
    }
    if (!(await this.#turn(request, lease))) return false
    refuseMalformed(request)
    if (bodyBytes(request) > 0) throw new ProblemError('bad-request', 'cannot open a WebSocket: the request has a body')
    this.openStream(socket, socket)
    return true
  }

  /** One more stream, which ends when `until` is closed. @throws ProblemError 'too-many-requests' */
  openStream(socket: Socket, until: Socket | ServerResponse): void {
    const { lease } = this.#of(socket)
    const refusal = lease.openStream()
    if (refusal !== null) throw tooMany(refusal)
    until.once('close', () => lease.closeStream())
  }

  /** A request that could not be read is answered, unless that could be taken for the answer to another. */
  refuse(error: NodeJS.ErrnoException, socket: Socket): void {
    const connection = this.#connections.get(socket)
    const [response, ...others] = connection?.unanswered ?? []
    const isFirst = response === undefined || (!response.req.complete && !response.headersSent && others.length === 0)
    if (isFirst && socket.writable && connection?.isStream === false) endWith(socket, rawProblem(describe(error)))
    else socket.destroy()
  }

  /** Nothing has gone either way for a while. */
  idle(socket: Socket): void {
    const isOurs = (this.#connections.get(socket)?.unanswered.length ?? 0) > 0 && socket.writableLength === 0
    // What is not answered yet is for us to hurry with.
    if (!isOurs) socket.destroy()
  }

  /** Ends all that are left, whatever they are about. */
  cutAll(): void {
    for (const socket of this.#open) socket.destroy()
  }

  /** Now and then: anybody may connect, and nobody may fill the log. */
  complain(message: string, error?: Error): void {
    const nowMs = performance.now()
    if (nowMs - (this.#complainedMs.get(message) ?? Number.NEGATIVE_INFINITY) < complainEveryMs) return
    this.#complainedMs.set(message, nowMs)
    this.#log.warn({ err: error }, message)
  }

  #of(socket: Socket): Connection {
    const connection = this.#connections.get(socket)
    if (connection !== undefined) return connection
    throw new ProblemError('not-permitted', 'cannot identify the peer: the kernel was not asked')
  }

  #identify(socket: Socket): PeerCredentials | PeerError {
    try {
      return readPeer(socket)
    } catch (error) {
      if (!(error instanceof PeerError)) throw error
      this.complain('connection refused: its peer could not be identified', error)
      return error
    }
  }

  async #turn(request: IncomingMessage, lease: Lease): Promise<boolean> {
    const { socket } = request
    const bytes = bodyBytes(request)
    const turn = lease.request(1 + Math.floor(Math.min(bytes, maxBodyBytes) / tokenBytes))
    if (typeof turn === 'number') {
      if (turn > 0) await delay(turn, undefined, { ref: false })
      return !socket.destroyed
    }
    if (turn.explain) throw tooMany(turn)
    socket.destroy()
    return false
  }
}

/** Infinity where the request does not say it. */
function bodyBytes({ headers }: IncomingMessage): number {
  if (headers['transfer-encoding'] !== undefined) return Number.POSITIVE_INFINITY
  return Number(headers['content-length'] ?? 0)
}

/** @throws ProblemError */
function refuseMalformed(request: IncomingMessage): void {
  const problem = (code: ProblemCode, detail: string) => new ProblemError(code, detail)
  // RFC 9112, 3.2
  if (request.httpVersion === '1.1' && request.headers.host === undefined) {
    throw problem('bad-request', 'cannot read the request: it has no Host header')
  }
  if (request.headers['transfer-encoding'] !== undefined) {
    throw problem('length-required', 'cannot read the body: send it with a Content-Length, and not in chunks')
  }
  if (bodyBytes(request) > maxBodyBytes) throw problem('too-large', 'cannot read the body: it is over the limit')
}

function tooMany({ reason, retryAfterS }: Refusal): ProblemError {
  const detail = `cannot serve you now: ${reason}; close some, or slow down, and try again`
  return new ProblemError('too-many-requests', detail, { retryAfterS })
}

function turnAway(socket: Socket, refusal: Refusal): void {
  socket.on('error', () => undefined)
  if (refusal.explain) endWith(socket, rawProblem(tooMany(refusal)))
  else socket.destroy()
}

/** A client that is still sending would see that fail, and not the answer, if it were closed at once (RFC 9112, 9.6). Nothing more of
 *  it is read. */
function endWith(socket: Socket, answer: string): void {
  socket.pause()
  socket.end(answer)
  setTimeout(() => socket.destroy(), lingerMs)
}

/** By the codes of Node's parser (llhttp), and of its timeouts. */
function describe({ code }: NodeJS.ErrnoException): ProblemError {
  const problem = (which: ProblemCode, why: string) => new ProblemError(which, `cannot read the request: ${why}`)
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return problem('too-slow', 'it did not arrive in time')
    case 'HPE_HEADER_OVERFLOW':
      return problem('headers-too-large', 'its headers are over the limit')
    default:
      return problem('bad-request', 'it is malformed')
  }
}
