// For tests: a PostgreSQL that goes away at one exact moment, between a client and its server, and stays away until it is let back.

import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseServer } from '@teleclaude/store/postgres/connection.ts'

/** `asked`: what was asked never reaches the server. `answered`: the server has done it, and its answer never comes. */
export type Moment = { readonly message: number; readonly lost: 'asked' | 'answered' }

export class CuttablePostgres implements AsyncDisposable {
  readonly url: string
  readonly #directory = mkdtempSync(join(tmpdir(), 'teleclaude-cut-'))
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  readonly #server = createServer((client) => this.#relay(client))
  readonly #real: ReturnType<typeof parseServer>
  #moment: Moment | null = null
  #messages = 0
  /** The client whose answer is to be lost. */
  #struck: Socket | null = null
  isAway = false

  private constructor(url: string) {
    this.#real = parseServer(url)
    const { user = '', database = '' } = this.#real
    this.url = `postgresql://${user}@/${database}?host=${this.#directory}`
  }

  static async before(url: string): Promise<CuttablePostgres> {
    const made = new CuttablePostgres(url)
    const path = join(made.#directory, '.s.PGSQL.5432')
    await new Promise<void>((resolve) => made.#server.listen(path, resolve))
    return made
  }

  /** Counts what is said to the server from now on, and goes away at that. */
  goAwayAt(moment: Moment): void {
    this.#messages = 0
    this.#moment = moment
  }

  /** @returns whether it had gone away */
  comeBack(): boolean {
    const wasAway = this.isAway
    this.#moment = null
    this.#struck = null
    this.isAway = false
    return wasAway
  }

  #relay(client: Socket): void {
    if (this.isAway) {
      client.destroy()
      return
    }
    const { host, port } = this.#real
    const server = host.startsWith('/') ? connect(join(host, `.s.PGSQL.${port}`)) : connect(port, host)
    const pair = [client, server] as const
    this.#pairs.add(pair)
    client.on('data', (bytes) => {
      if (this.isAway) return
      const moment = this.#moment
      this.#messages += 1
      if (moment === null || this.#messages < moment.message) {
        server.write(bytes)
        return
      }
      if (moment.lost === 'asked') {
        this.#goAway()
        return
      }
      this.#moment = null
      this.#struck = client
      server.write(bytes)
    })
    server.on('data', (bytes) => {
      if (this.#struck === client) this.#goAway()
      else client.write(bytes)
    })
    for (const end of pair) {
      end.on('error', () => undefined)
      end.on('close', () => {
        this.#pairs.delete(pair)
        for (const each of pair) each.destroy()
      })
    }
  }

  #goAway(): void {
    this.isAway = true
    for (const pair of this.#pairs) for (const end of pair) end.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#goAway()
    await new Promise((resolve) => this.#server.close(resolve))
    rmSync(this.#directory, { recursive: true })
  }
}
