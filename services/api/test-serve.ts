// For tests: a service in this process, for whoever runs the test, and what its clients and runners are to the test.

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { Client } from '@teleclaude/client/client.ts'
import type { NewSessionRequest, SessionView } from '@teleclaude/core/api.ts'
import type { FromRunner, FromViewer, ToRunner, ToViewer } from '@teleclaude/core/link.ts'
import { runnerProtocol, viewerProtocol } from '@teleclaude/core/protocol.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { pino } from 'pino'
import type { WebSocket } from 'ws'
import { testConfig } from './configuration/test-config.ts'
import { Accounts } from './identity/accounts.ts'
import type { Identity } from './identity/identity.ts'
import { singleUserIdentity } from './identity/single-user.ts'
import { startServing } from './serve.ts'

export const newSession: NewSessionRequest = {
  project: '/tmp',
  agent: null,
  title: 't',
  argv: ['true'],
  terminal: { cols: 80, rows: 24 },
}

let keyDirectory: string | null = null

/** One key for all services of this process: whichever database they go on with, its log's key is there. */
function testKeyFile(): string {
  if (keyDirectory === null) {
    const made = mkdtempSync(join(tmpdir(), 'teleclaude-key-'))
    process.once('exit', () => rmSync(made, { recursive: true }))
    keyDirectory = made
  }
  return join(keyDirectory, 'audit.key')
}

/** Serves with that store until the test ends, or `stop`; the store stays open. */
export async function serveInProcess(t: TestContext, store: Store, host = 'h', identity?: Identity) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const path = join(directory, 'api.sock')
  const uid = process.getuid?.() ?? -1
  const serving = await startServing({
    mode: 'single-user',
    store,
    identity: identity ?? singleUserIdentity({ uid, osUser: 'tester' }),
    accounts: await Accounts.load({ store, host }),
    host,
    config: testConfig(),
    log: pino({ level: 'silent' }),
    socket: { path, mode: 0o600 },
    auditKey: { keyFile: testKeyFile(), replaceLost: false },
    limits: null,
  })
  let stopped: Promise<void> | null = null
  const stop = () => {
    stopped ??= serving.stop().finally(() => rmSync(directory, { recursive: true }))
    return stopped
  }
  t.after(stop)
  return { client: new Client(path), path, stop }
}

/** One end of a stream: what was said to it, each kind in order, and until when to wait for more. */
export class End<Heard, Said> {
  readonly socket: WebSocket
  readonly heard: Heard[] = []
  readonly frames: Buffer[] = []
  readonly closed: Promise<readonly [number, string]>

  constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.frames.push(data)
      else this.heard.push(JSON.parse(data.toString('utf8')))
    })
    this.closed = once(socket, 'close').then(([code, reason]) => [code, String(reason)] as const)
    socket.resume()
  }

  say(message: Said): void {
    this.socket.send(JSON.stringify(message))
  }

  /** The first that was heard, or will be, for which this is so. */
  async hears<Wanted extends Heard>(isWanted: (message: Heard) => message is Wanted): Promise<Wanted> {
    await this.until(() => this.heard.some(isWanted))
    const found = this.heard.find(isWanted)
    if (found === undefined) throw new Error('it was heard, and is not there')
    return found
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      const over = await Promise.race([once(this.socket, 'message').then(() => false), this.closed.then(() => true)])
      if (over && !isSo()) throw new Error(`the stream closed: ${JSON.stringify([await this.closed, this.heard])}`)
    }
  }
}

export type RunnerEnd = End<ToRunner, FromRunner>
export type ViewerEnd = End<ToViewer, FromViewer>

export async function connectRunner(
  client: Client,
  { id }: Pick<SessionView, 'id'>,
  query: Readonly<Record<string, string>> = {},
): Promise<RunnerEnd> {
  return new End(await client.openStream(`/v1/sessions/${id}/runner`, runnerProtocol, query))
}

export async function connectViewer(
  client: Client,
  { id }: Pick<SessionView, 'id'>,
  query: Readonly<Record<string, string>>,
): Promise<ViewerEnd> {
  return new End(await client.openStream(`/v1/sessions/${id}/attach`, viewerProtocol, query))
}
