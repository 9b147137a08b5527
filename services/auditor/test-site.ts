// For the auditor's tests: real auditors, their database and their directory.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync, watch } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { SinkConfig } from '@teleclaude/config/sinks.ts'
import { type AuditEvent, encodeAuditEntry } from '@teleclaude/core/audit.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import { migrate, openStore } from '@teleclaude/store/open.ts'
import { privileges } from '@teleclaude/store/postgres/privileges.ts'
import { queryRows } from '@teleclaude/store/test-engines.ts'
import { pino } from 'pino'
import type { TestPostgres } from '../../test/support/postgres-server.ts'
import type { AuditorOptions } from './options.ts'
import { shipOnce } from './run.ts'
import type { Status } from './status.ts'
import type { Verification } from './verify.ts'

export const host = 'build-box'

function event(count: number): AuditEvent {
  return { action: 'session.started', actor: { kind: 'service', name: 'api' }, session: null, detail: { count } }
}

type LogLine = { readonly msg: string; readonly state?: string; readonly from?: number; readonly to?: number }

/** A running auditor, and what it has said. */
export class Auditor {
  readonly child: ChildProcess
  readonly said: LogLine[] = []
  readonly #lines: AsyncIterator<string>
  constructor(child: ChildProcess) {
    assert.ok(child.stdout !== null)
    this.child = child
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  }

  /** The next line of its log that is like this. */
  async says(isMeant: (line: LogLine) => boolean): Promise<LogLine> {
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done) throw new Error(`the auditor ended without saying so: ${JSON.stringify(this.said)}`)
      const line: LogLine = JSON.parse(value)
      this.said.push(line)
      if (isMeant(line)) return line
    }
  }

  becomes(state: string): Promise<LogLine> {
    return this.says((line) => line.state === state)
  }

  async kill(signal: NodeJS.Signals): Promise<number | string | null> {
    this.child.kill(signal)
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit')
    return this.child.exitCode ?? this.child.signalCode
  }
}

/** A database, a role that has the auditor's rights and no others, and a directory of audit files. */
export class Site implements AsyncDisposable {
  readonly #adminUrl: string
  readonly role: string
  readonly directory: string
  readonly file: string
  readonly #children: ChildProcess[] = []
  #store: Store | null = null
  count = 0
  /** Of auditors in this process; others read their configuration. */
  sinks: readonly SinkConfig[] = [{ name: 'file', format: 'native', kind: 'file', maxBytes: 1e9, keepFiles: null }]

  private constructor(adminUrl: string, directory: string) {
    this.#adminUrl = adminUrl
    this.role = `auditor_${new URL(adminUrl).pathname.slice(1)}`
    this.directory = directory
    this.file = join(directory, 'audit.jsonl')
  }

  static async make(server: TestPostgres, { withSchema = true } = {}): Promise<Site> {
    const directory = await mkdtemp(join(tmpdir(), 'teleclaude-audit-'))
    const site = new Site(await server.createDatabase(), directory)
    await site.ask(`CREATE ROLE ${site.role} LOGIN`)
    if (withSchema) await site.prepare()
    return site
  }

  async prepare(): Promise<void> {
    const target = { engine: 'postgres', url: this.#adminUrl } as const
    await migrate(target)
    for (const [table, rights] of Object.entries(privileges.teleclaude_auditor ?? {}))
      await this.ask(`GRANT ${rights.join(', ')} ON ${table} TO ${this.role}`)
    this.#store = await openStore(target)
  }

  get store(): Store {
    assert.ok(this.#store !== null)
    return this.#store
  }

  get url(): string {
    const url = new URL(this.#adminUrl)
    url.username = this.role
    return url.href
  }

  async [Symbol.asyncDispose]() {
    for (const child of this.#children) child.kill('SIGKILL')
    await this.#store?.close()
    await rm(this.directory, { recursive: true })
  }

  async append(events: number): Promise<void> {
    const made = Array.from({ length: events }, () => event(++this.count))
    const [first, ...rest] = made
    assert.ok(first !== undefined)
    await this.store.audit.append(host, [first, ...rest], this.count)
  }

  #spawn(words: readonly string[]): ChildProcess {
    const env = {
      ...process.env,
      DATABASE_URL: this.url,
      TELECLAUDE_HOST: host,
      TELECLAUDE_AUDIT_DIR: this.directory,
      TELECLAUDE_LOG_LEVEL: 'info',
    }
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...words], { env, stdio: [...stdio] })
    this.#children.push(child)
    return child
  }

  run(): Auditor {
    const auditor = new Auditor(this.#spawn([]))
    auditor.child.stderr?.pipe(process.stderr)
    return auditor
  }

  /** Runs a command to its end. */
  async command(...words: readonly string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const child = this.#spawn(words)
    let [stdout, stderr] = ['', '']
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      stderr += text
    })
    const [code] = await once(child, 'close')
    return { code, stdout, stderr }
  }

  options(): AuditorOptions {
    const target = { engine: 'postgres', url: this.url } as const
    return { target, host, directory: this.directory, sinks: this.sinks, log: pino({ level: 'silent' }) }
  }

  /** In this process. */
  shipOnce(): Promise<number> {
    return shipOnce(this.options())
  }

  async status(): Promise<Status & { readonly code: number | null }> {
    const { code, stdout } = await this.command('status', '--json')
    return { ...JSON.parse(stdout), code }
  }

  async verify(): Promise<Verification & { readonly code: number | null }> {
    const { code, stdout } = await this.command('verify', '--json')
    return { ...JSON.parse(stdout), code }
  }

  async ask(statement: string): Promise<void> {
    await queryRows({ engine: 'postgres', url: this.#adminUrl }, statement)
  }

  /** What the file has to be in the end. */
  expected(upTo = this.count): string {
    return Array.from({ length: upTo }, (_, index) => this.line(index + 1)).join('')
  }

  /** As `append` made the entry; the time is the count of the last one appended with it. */
  line(count: number, atUs = count): string {
    return `${Buffer.from(encodeAuditEntry({ ...event(count), host, epoch: 0, seq: count, atUs }))}\n`
  }

  text(): string {
    return readFileSync(this.file, 'utf8')
  }

  size(): number {
    return statSync(this.file, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Waits until the directory's files are as meant. */
  async until(isMeant: () => boolean): Promise<void> {
    const changes = Promise.withResolvers<void>()
    const watcher = watch(this.directory, () => {
      if (isMeant()) changes.resolve()
    })
    if (isMeant()) changes.resolve()
    await changes.promise
    watcher.close()
  }

  async appendOneByOne(entries: number): Promise<void> {
    for (let made = 0; made < entries; made++) await this.append(1)
  }
}

/** A killed auditor's lock is freed by its server, at its own time. */
export async function shipWhenFree(site: Site, running?: Auditor): Promise<void> {
  await running?.kill('SIGKILL')
  for (;;) {
    try {
      await site.shipOnce()
      return
    } catch (error) {
      const isHeld = error instanceof Error && 'code' in error && error.code === 'lock-held'
      if (!isHeld) throw error
    }
  }
}
