// For the tests of sinks: real receivers on this machine, over TLS with certificates that the test makes.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type AuditEntry, encodeAuditEntry } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'

export function entry(seq: number, change: Partial<AuditEntry> = {}): StoredAuditEntry {
  const made: AuditEntry = {
    action: 'session.started',
    actor: { kind: 'caller', person: 'alice', osUser: 'al', uid: 1000, pid: 17 },
    session: { id: '11111111-1111-4111-8111-111111111111', owner: 'alice' },
    detail: { project: 'Ünïcode "quoted" \u2028' },
    host: 'build-box',
    epoch: 1,
    seq,
    atUs: 1_700_000_000_123_456,
    ...change,
  }
  return { seq, bytes: encodeAuditEntry(made) }
}

export function batchOf(from: number, to: number): readonly StoredAuditEntry[] {
  return Array.from({ length: to - from + 1 }, (_, index) => entry(from + index))
}

/** A certificate authority, and certificates of it. */
export class Authority implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'teleclaude-ca-'))
  readonly caFile = join(this.directory, 'ca.pem')

  constructor() {
    const subject = ['-subj', '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.pem']
    this.#openssl(
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
      ...subject,
    )
  }

  #openssl(...words: readonly string[]): void {
    execFileSync('openssl', words, { cwd: this.directory, stdio: 'ignore' })
  }

  /** @param name such as `DNS:localhost` or `IP:127.0.0.1` */
  certify(name: string): {
    readonly key: Buffer
    readonly cert: Buffer
    readonly keyFile: string
    readonly certFile: string
  } {
    const file = name.replaceAll(/\W/g, '-')
    const request = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=receiver']
    this.#openssl('req', ...request, '-keyout', `${file}.key`, '-out', `${file}.csr`)
    writeFileSync(join(this.directory, `${file}.ext`), `subjectAltName=${name}\n`)
    const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${file}.ext`]
    this.#openssl('x509', '-req', '-in', `${file}.csr`, ...signing, '-out', `${file}.pem`)
    const [keyFile, certFile] = [join(this.directory, `${file}.key`), join(this.directory, `${file}.pem`)]
    return { keyFile, certFile, key: readFileSync(keyFile), cert: readFileSync(certFile) }
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true })
  }
}

export type Received = { readonly headers: IncomingMessage['headers']; readonly url: string; readonly body: string }
type Answering = (response: ServerResponse, received: Received) => void

export class HttpReceiver implements AsyncDisposable {
  readonly received: Received[] = []
  /** How it answers from now on. */
  answering: Answering
  readonly #server: http.Server | https.Server
  url = ''

  private constructor(server: http.Server | https.Server, answering: Answering) {
    this.#server = server
    this.answering = answering
    server.on('request', async (request: IncomingMessage, response: ServerResponse) => {
      const body = (await buffer(request)).toString('utf8')
      const received = { headers: request.headers, url: request.url ?? '', body }
      this.received.push(received)
      this.answering(response, received)
    })
  }

  static async start(
    tls: { readonly key: Buffer; readonly cert: Buffer } | null,
    answering: Answering = answerWith(200),
  ): Promise<HttpReceiver> {
    const server = tls === null ? http.createServer() : https.createServer(tls)
    const receiver = new HttpReceiver(server, answering)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    receiver.url = `${tls === null ? 'http' : 'https'}://127.0.0.1:${portOf(server.address())}`
    return receiver
  }

  dropConnections(): void {
    this.#server.closeAllConnections()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

export function portOf(address: AddressInfo | string | null): number {
  assert.ok(address !== null && typeof address === 'object')
  return address.port
}

export function answerWith(status: number, body = '', headers: Readonly<Record<string, string>> = {}): Answering {
  return (response) => {
    response.writeHead(status, headers)
    response.end(body)
  }
}
