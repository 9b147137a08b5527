// A single-user installation in a home directory of its own, used as its owner would: by running `telec`.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client, ConnectionError } from '@teleclaude/client/client.ts'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import type { SessionPage, SessionView } from '@teleclaude/core/api.ts'
import { startPostgres, type TestPostgres } from './postgres-server.ts'

export type Engine = 'sqlite' | 'postgres'
export const engines: readonly Engine[] = ['sqlite', 'postgres']

export const telecPath = fileURLToPath(new URL('../../packages/telec/bin/telec.mjs', import.meta.url))

export type Ran = { readonly code: number | null; readonly stdout: Buffer; readonly stderr: string }

export class Installation implements AsyncDisposable {
  readonly home: string
  readonly env: NodeJS.ProcessEnv
  readonly client: Client
  readonly #postgres: TestPostgres | null
  readonly #daemons = new Set<ChildProcess>()

  private constructor(home: string, env: NodeJS.ProcessEnv, postgres: TestPostgres | null) {
    this.home = home
    this.env = env
    this.client = new Client(singleUserLayout(home).socket)
    this.#postgres = postgres
  }

  static async make(engine: Engine, extraEnv: NodeJS.ProcessEnv = {}): Promise<Installation> {
    const home = realpathSync(mkdtempSync(join(tmpdir(), 'tc-')))
    const postgres = engine === 'postgres' ? await startPostgres() : null
    const {
      TELECLAUDE_SOCKET: _socket,
      TELECLAUDE_SESSION_ID: _session,
      DATABASE_URL: _url,
      ...inherited
    } = process.env
    const database = postgres === null ? {} : { DATABASE_URL: await postgres.createDatabase() }
    // One host name an installation: they share PostgreSQL, where the instance lock is the host's.
    const host = { TELECLAUDE_HOST: `host-${home.slice(-6)}` }
    const env = {
      ...inherited,
      ...database,
      ...host,
      HOME: home,
      SHELL: '/bin/sh',
      XDG_CACHE_HOME: join(tmpdir(), 'tc-cache'),
      ...extraEnv,
    }
    return new Installation(home, env, postgres)
  }

  /** Runs `telec` to its end. `input` is piped in; without it standard input is empty. */
  async telec(
    args: readonly string[],
    options: { readonly input?: string | Buffer; readonly cwd?: string } = {},
  ): Promise<Ran> {
    const child = spawn(process.execPath, [telecPath, ...args], {
      env: this.env,
      cwd: options.cwd ?? this.home,
      stdio: 'pipe',
    })
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input)
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout.on('data', (part: Buffer) => out.push(part))
    child.stderr.on('data', (part: Buffer) => err.push(part))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString('utf8') }
  }

  /** A daemon in the foreground, ready; the caller may kill it. */
  async startDaemon(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [telecPath, 'daemon', '--report'], {
      env: this.env,
      cwd: this.home,
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    })
    this.#daemons.add(child)
    child.on('exit', () => this.#daemons.delete(child))
    const parts: Buffer[] = []
    const report = child.stdio[3]
    report?.on('data', (part: Buffer) => parts.push(part))
    if (report != null) await once(report, 'close')
    const text = Buffer.concat(parts).toString('utf8')
    if (!text.includes('"ready":true')) throw new Error(`the daemon did not start: ${text}`)
    return child
  }

  async list(args: readonly string[] = []): Promise<readonly SessionView[]> {
    const { stdout } = await this.telec(['ls', '--json', ...args])
    return (JSON.parse(stdout.toString('utf8')) as SessionPage).sessions
  }

  /** Asks until the session is as wanted; the caller's test has a time limit. */
  async until(id: string, wanted: (session: SessionView) => boolean): Promise<SessionView> {
    for (;;) {
      const session = await this.client.readSession(id)
      if (wanted(session)) return session
      await delay(20)
    }
  }

  /** None where no daemon answers: a test may have been about just that. */
  async #running(): Promise<readonly SessionView[]> {
    try {
      return (await this.client.listSessions({ status: 'running', limit: 200 })).sessions
    } catch (error) {
      if (error instanceof ConnectionError) return []
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all((await this.#running()).map(({ id }) => this.telec(['stop', '--force', id])))
    await this.telec(['daemon', '--stop'])
    for (const child of this.#daemons) child.kill('SIGKILL')
    await this.#postgres?.stop()
    rmSync(this.home, { recursive: true, force: true })
  }
}
