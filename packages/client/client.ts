// A typed client of the API over its Unix socket. It trusts what the service says: whoever connects has chosen the socket,
// and its directory belongs to the service. Light on purpose: no schema library, it is on the start-up path of every `telec`.

import type { IncomingMessage } from 'node:http'
import { createConnection, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type {
  AccessGrantListQuery,
  AccessGrantPage,
  AccessGrantView,
  NewAccessGrantRequest,
  NoticeListQuery,
  NoticePage,
} from '@teleclaude/core/access-api.ts'
import type {
  AccountList,
  AccountView,
  CommandList,
  CommandView,
  ConfigView,
  NewCommandRequest,
  NewSessionAnswer,
  NewSessionRequest,
  Permission,
  PermissionQuery,
  Readiness,
  RebindRequest,
  ReloadAnswer,
  SearchQuery,
  SessionEventsQuery,
  SessionListQuery,
  SessionPage,
  SessionPatch,
  SessionView,
  TranscriptQuery,
  Whoami,
} from '@teleclaude/core/api.ts'
import type {
  AuditListQuery,
  AuditPage,
  AuditProofQuery,
  AuditState,
  CheckpointView,
} from '@teleclaude/core/audit-api.ts'
import type { Problem } from '@teleclaude/core/problem.ts'
import type { WebSocket } from 'ws'

// `import` would evaluate every export of node:http, WebSocket among them, and with it load undici: 20 ms at each start.
const { request: httpRequest } = process.getBuiltinModule('node:http')

/** How long a full queue of connections is asked again. */
const queuePatienceMs = 2_000
const maxPauseMs = 20

export type ConnectionFailure = 'no-socket' | 'refused' | 'not-permitted' | 'broken'

/** The service could not be spoken to at all. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly code: ConnectionFailure
  constructor(code: ConnectionFailure, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** The service answered with a problem. */
export class AnswerError extends Error {
  override readonly name = 'AnswerError'
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.detail)
    this.problem = problem
  }
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'
type Query = Readonly<Record<string, string | number | undefined>>

export class Client {
  readonly socketPath: string

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  readiness(): Promise<Readiness> {
    return this.#json<Readiness>('GET', '/readyz', { accept: [200, 503] })
  }

  whoami(options: { readonly explain?: boolean } = {}): Promise<Whoami> {
    return this.#json<Whoami>('GET', '/v1/whoami', { query: { explain: options.explain ? 1 : undefined } })
  }

  readPermission(person: string, query: PermissionQuery): Promise<Permission> {
    return this.#json<Permission>('GET', `/v1/people/${encodeURIComponent(person)}/permission`, { query })
  }

  listAccounts(): Promise<AccountList> {
    return this.#json<AccountList>('GET', '/v1/people')
  }

  rebindAccount(request: RebindRequest): Promise<AccountView> {
    return this.#json<AccountView>('POST', '/v1/people/rebind', { body: request })
  }

  readConfig(): Promise<ConfigView> {
    return this.#json<ConfigView>('GET', '/v1/config')
  }

  reloadConfig(): Promise<ReloadAnswer> {
    return this.#json<ReloadAnswer>('POST', '/v1/config/reload', { body: {} })
  }

  createSession(session: NewSessionRequest): Promise<NewSessionAnswer> {
    return this.#json<NewSessionAnswer>('POST', '/v1/sessions', { body: session })
  }

  listSessions(query: SessionListQuery): Promise<SessionPage> {
    return this.#json<SessionPage>('GET', '/v1/sessions', { query })
  }

  readSession(id: string): Promise<SessionView> {
    return this.#json<SessionView>('GET', `/v1/sessions/${id}`)
  }

  updateSession(id: string, patch: SessionPatch): Promise<SessionView> {
    return this.#json<SessionView>('PATCH', `/v1/sessions/${id}`, { body: patch })
  }

  enqueueCommand(id: string, command: NewCommandRequest): Promise<CommandView> {
    return this.#json<CommandView>('POST', `/v1/sessions/${id}/commands`, { body: command })
  }

  listCommands(id: string): Promise<CommandList> {
    return this.#json<CommandList>('GET', `/v1/sessions/${id}/commands`)
  }

  /** The transcript as it comes; a stream that ends early throws while it is read. */
  readTranscript(id: string, query: TranscriptQuery): Promise<IncomingMessage> {
    return this.#request('GET', `/v1/sessions/${id}/transcript`, { query })
  }

  /** Lines as `transcriptMatchSchema` has them, as they are found; a stream that ends early throws while it is read. */
  searchTranscript(id: string, query: SearchQuery): Promise<IncomingMessage> {
    return this.#request('GET', `/v1/sessions/${id}/search`, { query })
  }

  openAccess(grant: NewAccessGrantRequest): Promise<AccessGrantView> {
    return this.#json<AccessGrantView>('POST', '/v1/access-grants', { body: grant })
  }

  listAccessGrants(query: AccessGrantListQuery): Promise<AccessGrantPage> {
    return this.#json<AccessGrantPage>('GET', '/v1/access-grants', { query })
  }

  endAccess(id: string): Promise<AccessGrantView> {
    return this.#json<AccessGrantView>('DELETE', `/v1/access-grants/${id}`)
  }

  listNotices(query: NoticeListQuery): Promise<NoticePage> {
    return this.#json<NoticePage>('GET', '/v1/notices', { query })
  }

  /** That notice and all before it have been seen. */
  async markNoticesSeen(through: string): Promise<void> {
    const response = await this.#request('POST', '/v1/notices/seen', { body: { through }, accept: [200, 204] })
    await readText(response)
  }

  listAudit(query: AuditListQuery): Promise<AuditPage> {
    return this.#json<AuditPage>('GET', '/v1/audit', { query })
  }

  readCheckpoint(): Promise<CheckpointView> {
    return this.#json<CheckpointView>('GET', '/v1/audit/checkpoint')
  }

  readAuditState(): Promise<AuditState> {
    return this.#json<AuditState>('GET', '/v1/audit/state')
  }

  /** Proof files (audit-proof.ts in core), as the service wrote them. */
  async readProof(query: AuditProofQuery): Promise<string> {
    return readText(await this.#request('GET', '/v1/audit/proof', { query }))
  }

  /** The whole log as JSON Lines (audit-verify.ts in core), as it comes. */
  readAuditExport(): Promise<IncomingMessage> {
    return this.#request('GET', '/v1/audit/export', {})
  }

  /** A `RecordingCheck` a line, as it comes. */
  readRecordings(): Promise<IncomingMessage> {
    return this.#request('GET', '/v1/audit/recordings', {})
  }

  async acknowledgeAlarm(id: string, note: string): Promise<void> {
    const path = `/v1/audit/alarms/${id}/acknowledge`
    await readText(await this.#request('POST', path, { body: { note }, accept: [200, 204] }))
  }

  async rotateAuditKey(): Promise<void> {
    await readText(await this.#request('POST', '/v1/audit/rotate-key', { body: {}, accept: [200, 204] }))
  }

  /** What happens to sessions, as server-sent events (WHATWG HTML, 9.2) from after the one with that id. */
  readEvents(query: SessionEventsQuery): Promise<IncomingMessage> {
    return this.#request('GET', '/v1/events', { query })
  }

  /** Opens a WebSocket; resolves once both sides agreed on the protocol. It comes paused, so that nothing is missed:
   *  `resume()` it when everything listens.
   *  @throws ConnectionError, AnswerError */
  async openStream(path: string, protocol: string, query: Query = {}): Promise<WebSocket> {
    const { WebSocket } = await import('ws')
    const connection = await this.#connect()
    const socket = new WebSocket(`ws://teleclaude${path}${encodeQuery(query)}`, protocol, {
      createConnection: () => connection,
      perMessageDeflate: false,
      // Masks keep proxies from being confused by what looks like HTTP (RFC 6455, 10.3): there is none on a Unix socket.
      generateMask: (mask) => mask.fill(0),
    })
    return new Promise((resolve, reject) => {
      socket.once('open', () => {
        socket.pause()
        resolve(socket)
      })
      socket.on('error', (error) => reject(this.#connectionError(error)))
      socket.once('unexpected-response', (_request, response) => {
        // Node keeps the connection of a refused upgrade, and listens to it no more.
        readProblem(response)
          .then(reject, reject)
          .finally(() => connection.destroy())
      })
    })
  }

  async #json<T>(
    method: Method,
    path: string,
    options: { readonly query?: Query; readonly body?: unknown; readonly accept?: readonly number[] } = {},
  ): Promise<T> {
    const response = await this.#request(method, path, options)
    return JSON.parse(await readText(response)) as T
  }

  async #request(
    method: Method,
    path: string,
    options: { readonly query?: Query; readonly body?: unknown; readonly accept?: readonly number[] },
  ): Promise<IncomingMessage> {
    const body = options.body === undefined ? null : JSON.stringify(options.body)
    const connection = await this.#connect()
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sent = httpRequest(
        {
          createConnection: () => connection,
          path: path + encodeQuery(options.query ?? {}),
          method,
          headers:
            body === null ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
        },
        resolve,
      )
      sent.on('error', (error) => reject(this.#connectionError(error)))
      sent.end(body)
    })
    const accept = options.accept ?? [200, 201, 202]
    if (!accept.includes(response.statusCode ?? 0)) throw await readProblem(response)
    return response
  }

  /** Node's sockets don't wait where the queue of the service is full, as others do (EAGAIN, connect(2)).
   *  @throws ConnectionError */
  async #connect(): Promise<Socket> {
    const deadlineMs = performance.now() + queuePatienceMs
    for (let pauseMs = 1; ; pauseMs = Math.min(maxPauseMs, pauseMs * 2)) {
      const socket = createConnection(this.socketPath)
      const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
        socket.once('error', resolve)
        socket.once('connect', () => resolve(null))
      })
      // Whoever gets it listens for its errors. One that comes when they don't any more ends nothing that goes on.
      if (error === null) return socket.on('error', () => undefined)
      if (error.code !== 'EAGAIN' || performance.now() > deadlineMs) throw this.#connectionError(error)
      // Not all that wait at the same moment.
      await delay(Math.random() * pauseMs)
    }
  }

  #connectionError(error: NodeJS.ErrnoException): ConnectionError {
    const path = this.socketPath
    const options = { cause: error }
    switch (error.code) {
      case 'ENOENT':
      case 'ENOTDIR':
        return new ConnectionError('no-socket', `cannot reach TeleClaude: there is no socket at ${path}`, options)
      case 'ECONNREFUSED':
      case 'ENOTSOCK':
        return new ConnectionError('refused', `cannot reach TeleClaude: nothing listens at ${path}`, options)
      case 'EACCES':
      case 'EPERM':
        return new ConnectionError(
          'not-permitted',
          `cannot reach TeleClaude: you may not use the socket ${path}`,
          options,
        )
      case 'EAGAIN':
        return new ConnectionError(
          'broken',
          `cannot reach TeleClaude at ${path}: too many others are connecting; try again`,
          options,
        )
      case 'ECONNRESET':
      case 'EPIPE':
        return new ConnectionError(
          'broken',
          `cannot talk to TeleClaude at ${path}: it closed the connection; where programs of yours ask much of it, that is what it does until they stop`,
          options,
        )
      default:
        return new ConnectionError('broken', `cannot talk to TeleClaude at ${path}: ${error.message}`, options)
    }
  }
}

function encodeQuery(query: Query): string {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value))
  const encoded = parameters.toString()
  return encoded === '' ? '' : `?${encoded}`
}

async function readText(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of response) parts.push(part as Buffer)
  return Buffer.concat(parts).toString('utf8')
}

async function readProblem(response: IncomingMessage): Promise<Error> {
  const text = await readText(response)
  if (response.headers['content-type']?.startsWith('application/problem+json'))
    return new AnswerError(JSON.parse(text) as Problem)
  const detail = `cannot understand the answer: status ${response.statusCode} without a reason; is this socket TeleClaude's?`
  return new ConnectionError('broken', detail)
}
