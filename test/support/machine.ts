// A machine with several people: the service in system mode, under a user of its own, and `telec` run by others of theirs, each with a
// home. Needs root.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { Client } from '@teleclaude/client/client.ts'
import type { SessionPage } from '@teleclaude/core/api.ts'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { type Pty, spawnPty } from '../../packages/telec/runner/pty.ts'
import { makeServicePlace, type Place, reconfigure, Service } from '../../services/api/test-service.ts'
import { openCheckout } from './open-checkout.ts'
import type { TestPostgres } from './postgres-server.ts'

export type Ran = { readonly stdout: string; readonly stderr: string; readonly code: number | null }

export class Machine implements AsyncDisposable {
  readonly place: Place
  readonly #service: Service
  readonly #people: Readonly<Record<string, number>>
  readonly #admin: number

  private constructor(place: Place, service: Service, people: Readonly<Record<string, number>>, admin: number) {
    this.place = place
    this.#service = service
    this.#people = people
    this.#admin = admin
  }

  /** `people`: the uids of those who have a home, by name. `admin` is one of them. */
  static async start(
    t: TestContext | { after(end: () => void): void },
    postgres: TestPostgres,
    o: { readonly people: Readonly<Record<string, number>>; readonly admin: number; readonly config: string },
  ): Promise<Machine> {
    const place = await makeServicePlace(t, postgres, { migrated: true })
    const service = new Service(place, { wait: false })
    await service.says(/^ready$/)
    await reconfigure(place, o.config)
    const machine = new Machine(place, service, o.people, o.admin)
    for (const uid of Object.values(o.people)) {
      mkdirSync(machine.home(uid))
      chownSync(machine.home(uid), uid, uid)
    }
    const { node, telec } = openCheckout()
    mkdirSync(join(place.directory, 'bin'))
    writeFileSync(join(place.directory, 'bin/telec'), `#!/bin/sh\nexec '${node}' '${telec}' "$@"\n`, { mode: 0o755 })
    return machine
  }

  home(uid: number): string {
    const [name] = Object.entries(this.#people).find(([, theirs]) => theirs === uid) ?? []
    if (name === undefined) throw new RangeError(`nobody here has the uid ${uid}`)
    return join(this.place.directory, name)
  }

  #env(uid: number): Record<string, string> {
    return {
      PATH: `${join(this.place.directory, 'bin')}:${process.env.PATH}`,
      HOME: this.home(uid),
      TELECLAUDE_SOCKET: this.place.socket,
      LC_ALL: 'C.UTF-8',
    }
  }

  /** `telec` that goes on while the test does. */
  start(uid: number, ...args: readonly string[]) {
    const { node, telec } = openCheckout()
    const words = { uid, gid: uid, cwd: this.home(uid), env: this.#env(uid) }
    const child = spawn(node, [telec, ...args], { ...words, stdio: ['ignore', 'pipe', 'pipe'] })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      stdout += part
    })
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      stderr += part
    })
    const ended = once(child, 'close').then(([code]): Ran => ({ stdout, stderr, code }))
    return {
      child,
      ended,
      /** Waits until standard output or standard error has it. */
      async says(wanted: string | RegExp): Promise<void> {
        const isThere = () => [stdout, stderr].some((said) => matches(said, wanted))
        while (!isThere()) {
          const over = await Promise.race([
            once(child.stdout, 'data').then(() => false),
            once(child.stderr, 'data').then(() => false),
            ended.then(() => true),
          ])
          if (over && !isThere()) throw new Error(`telec ${args.join(' ')} ended without ${wanted}: ${stdout}${stderr}`)
        }
      },
    }
  }

  async telec(uid: number, ...args: readonly string[]): Promise<Ran> {
    const { node, telec } = openCheckout()
    const words = { uid, gid: uid, cwd: this.home(uid), env: this.#env(uid) }
    const child = spawn(node, [telec, ...args], { ...words, stdio: ['ignore', 'pipe', 'pipe'] })
    const ended = once(child, 'close') as Promise<[number]>
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), ended])
    return { stdout, stderr, code }
  }

  /** @throws Error where it fails */
  async json<T>(uid: number, ...args: readonly string[]): Promise<T> {
    const ran = await this.telec(uid, ...args, '--json')
    if (ran.code !== 0) throw new Error(`telec ${args.join(' ')}: ${ran.stderr}`)
    return JSON.parse(ran.stdout) as T
  }

  /** A shell of that user's with this script, on a terminal. */
  openTerminal(uid: number, script: string, size: TerminalSize = { cols: 100, rows: 30 }): ShownTerminal {
    return new ShownTerminal(uid, script, size, { ...this.#env(uid), TERM: 'xterm-256color' }, this.home(uid))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { sessions } = await this.json<SessionPage>(this.#admin, 'ls', '--live', '--all')
    for (const { id } of sessions) await this.telec(this.#admin, 'stop', '--force', id)
    await this.#service.stop()
  }

  client(): Client {
    return new Client(this.place.socket)
  }
}

/** All that programs on a terminal of their own sent it, and keys pressed there. */
export class ShownTerminal {
  readonly #pty: Pty
  readonly ended: Promise<void>
  readonly #parts: Buffer[] = []
  #wake: (() => void) | null = null

  constructor(uid: number, script: string, size: TerminalSize, env: Record<string, string>, cwd: string) {
    const words = ['--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups', 'sh', '-c', script]
    const { promise, resolve } = Promise.withResolvers<void>()
    this.ended = promise
    this.#pty = spawnPty(
      { file: '/usr/bin/setpriv', args: words, env, cwd, size },
      {
        output: (bytes) => {
          this.#parts.push(Buffer.from(bytes))
          this.#wake?.()
        },
        exited: () => {
          resolve()
          this.#wake?.()
        },
      },
    )
  }

  get got(): string {
    return Buffer.concat(this.#parts).toString('utf8')
  }

  type(text: string): void {
    this.#pty.write(Buffer.from(text))
  }

  /** Waits until it got that, and gives all that it got by then. */
  async shows(wanted: string | RegExp): Promise<string> {
    let isOver = false
    void this.ended.then(() => {
      isOver = true
    })
    while (!matches(this.got, wanted)) {
      if (isOver) throw new Error(`the terminal ended without ${wanted}: ${JSON.stringify(this.got)}`)
      await new Promise<void>((seen) => {
        this.#wake = seen
      })
    }
    return this.got
  }
}

function matches(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)
}
