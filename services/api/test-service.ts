// For tests: system mode as a real process of its own uid, and requests of other users of the machine. Needs root.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { migrate, openStore } from '@teleclaude/store/open.ts'
import { openCheckout } from '../../test/support/open-checkout.ts'
import type { TestPostgres } from '../../test/support/postgres-server.ts'
import type { Patience } from './limits/patience.ts'

export const service = { uid: 60_701, gid: 60_700 }
/** Users of this machine, by uid alone. */
export const alice = 54_001
export const bob = 54_002
export const stranger = 54_003

export const config = `people:
  - { name: alice, role: admin, os_uid: ${alice} }
  - { name: bob, role: newcomer, os_uid: ${bob} }
notice: Be nice.
`

/** For a configuration: who asks for everything at once is not held up. */
export const generousLimits = `limits:
  connections: 2000
  requests_per_second: 10000
  streams: 2000
  sessions: { newcomer: 10000, contributor: 10000, member: 10000, admin: 10000 }
`

export type Place = {
  readonly directory: string
  readonly configFile: string
  readonly socket: string
  readonly auditKey: string
  readonly url: string
}

type ServiceOptions = {
  readonly wait: boolean
  readonly patience?: Patience
  readonly env?: NodeJS.ProcessEnv
  /** What to run instead of system mode: a module's text, made for the directory of services/api. */
  readonly script?: (directory: string) => string
}

/** Serves until it is told to stop; `said` are the messages of its log. */
export class Service {
  readonly child: ChildProcess
  readonly said: string[] = []
  /** All that it has written. */
  log = ''
  readonly #lines: NodeJS.EventEmitter
  readonly ended: Promise<unknown[]>
  stderr = ''

  constructor(place: Place, options: ServiceOptions) {
    const { node, telec } = openCheckout()
    const module = join(dirname(telec), '../../../services/api/system.ts')
    const run = {
      layout: {
        configFile: place.configFile,
        secretsFile: join(place.directory, 'secrets.yml'),
        envFile: join(place.directory, '.env'),
        socket: place.socket,
        stateDir: dirname(place.auditKey),
        auditKey: place.auditKey,
      },
      wait: options.wait,
      patience: options.patience,
    }
    const script = `
      const { runSystem } = await import(${JSON.stringify(module)})
      const { readKernelFacts } = await import(${JSON.stringify(join(dirname(module), 'kernel-facts.ts'))})
      await runSystem({ ...${JSON.stringify(run)}, env: process.env, facts: readKernelFacts() }).catch((error) => {
        process.stderr.write(error.name + ' ' + (error.code ?? '') + ': ' + error.message)
        process.exit(1)
      })
      process.exit(0)`
    this.child = spawn(node, ['--input-type=module', '-e', options.script?.(dirname(module)) ?? script], {
      ...service,
      cwd: '/',
      env: { PATH: process.env.PATH, DATABASE_URL: place.url, TELECLAUDE_HOST: 'h', ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.ended = once(this.child, 'close')
    this.child.stderr?.on('data', (part: Buffer) => {
      this.stderr += part
    })
    const { stdout } = this.child
    if (stdout === null) throw new TypeError('it has no output')
    this.#lines = createInterface({ input: stdout })
    this.#lines.on('line', (line: string) => {
      this.log += `${line}\n`
      const entry: { msg: string } = JSON.parse(line)
      this.said.push(entry.msg)
    })
  }

  /** Waits for a message of the log. */
  async says(pattern: RegExp): Promise<void> {
    while (!this.said.some((message) => pattern.test(message))) {
      const outcome = await Promise.race([once(this.#lines, 'line'), this.ended.then(() => 'ended')])
      if (outcome === 'ended') throw new Error(`it ended without ${pattern}: ${this.said.join('\n')} ${this.stderr}`)
    }
  }

  async stop(): Promise<void> {
    this.child.kill()
    await this.ended
  }
}

/** One request, by curl's rules: method, path, body. As that user of the machine, who shares nothing with the service. */
export async function ask(socketPath: string, uid: number, method: string, path: string, body?: unknown) {
  const script = `
    const [socketPath, method, path, body] = process.argv.slice(1)
    const headers = body === '' ? {} : { 'Content-Type': 'application/json' }
    const sent = require('node:http').request({ socketPath, method, path, headers }, async (response) => {
      let text = ''
      for await (const part of response) text += part
      process.stdout.write(JSON.stringify({ status: response.statusCode, headers: response.headers, body: JSON.parse(text) }))
    })
    sent.end(body)`
  const { node } = openCheckout()
  const words = [socketPath, method, path, body === undefined ? '' : JSON.stringify(body)]
  const child = spawn(node, ['-e', script, '--', ...words], {
    uid,
    gid: uid,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const answer: { status: number; headers: Record<string, string>; body: Record<string, unknown> } = JSON.parse(
    await text(child.stdout),
  )
  return answer
}

/** What comes back on connections of that user's, one after the other, each with one of the requests, which are sent as they are:
 *  byte for byte (latin1), until the service closes the connection, or begins with a WebSocket or with events. */
export async function askAll(socketPath: string, uid: number, requests: readonly string[]): Promise<string[]> {
  const script = `
    const ask = (request) => new Promise((resolve) => {
      let reply = ''
      const socket = require('node:net').connect(process.argv[1], () => socket.write(request, 'latin1'))
      socket.setEncoding('latin1')
      socket.on('data', (part) => {
        reply += part
        if (/^HTTP\\/1.1 101|\\r\\nContent-Type: text\\/event-stream\\r\\n[^]*\\r\\n\\r\\n/.test(reply)) socket.destroy()
      })
      // Closed with something unread, a connection ends with EPIPE or ECONNRESET: what came before is the answer.
      socket.on('error', () => undefined)
      socket.on('close', () => resolve(reply))
    })
    let input = ''
    process.stdin.setEncoding('utf8').on('data', (part) => { input += part }).on('end', async () => {
      const replies = []
      for (const request of JSON.parse(input)) replies.push(await ask(request))
      process.stdout.write(JSON.stringify(replies))
    })`
  const { node } = openCheckout()
  const child = spawn(node, ['-e', script, '--', socketPath], {
    uid,
    gid: uid,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  child.stdin.end(JSON.stringify(requests))
  const replies: string[] = JSON.parse(await text(child.stdout))
  return replies
}

/** Lets the service's user reach the server's socket. */
export function openDoorway(postgres: TestPostgres): void {
  chmodSync(new URL(postgres.url('x')).searchParams.get('host') ?? '', 0o711)
}

export async function makeServicePlace(
  t: { after(end: () => void): void },
  postgres: TestPostgres,
  { migrated }: { readonly migrated: boolean },
): Promise<Place> {
  const directory = mkdtempSync('/tmp/teleclaude-')
  chmodSync(directory, 0o755)
  t.after(() => rmSync(directory, { recursive: true }))
  const run = join(directory, 'run')
  const state = join(directory, 'state')
  for (const own of [run, state]) {
    mkdirSync(own, { mode: 0o755 })
    chownSync(own, service.uid, service.gid)
  }
  const configFile = join(directory, 'config.yml')
  writeFileSync(configFile, config)
  chmodSync(configFile, 0o644)
  const url = await postgres.createDatabase()
  if (migrated) await migrate({ engine: 'postgres', url })
  return { directory, configFile, socket: join(run, 'api.sock'), auditKey: join(state, 'audit.key'), url }
}

/** A new configuration, in force: an admin has the service read it. */
export async function reconfigure(place: Place, text: string): Promise<void> {
  writeFileSync(place.configFile, text)
  const { status, body } = await ask(place.socket, alice, 'POST', '/v1/config/reload', {})
  if (status !== 200) throw new Error(`the service does not take the configuration: ${JSON.stringify(body)}`)
}

/** A service that knows these people, and its store beside it. Both end with the test. */
export async function serveTo(t: TestContext, postgres: TestPostgres, text: string) {
  const place = await makeServicePlace(t, postgres, { migrated: true })
  const serving = new Service(place, { wait: false })
  const store = await openStore({ engine: 'postgres', url: place.url })
  t.after(async () => {
    await serving.stop()
    await store.close()
  })
  await serving.says(/^ready$/)
  await reconfigure(place, text)
  return { place, store, serving }
}
