// A PostgreSQL as somebody else runs it: in a container of its own, reached over TCP with TLS and passwords, and with the
// roles that docs/appliance.md asks its admin for.

import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers'

const script = `
set -e
data=/tmp/database
initdb --pgdata=$data --username=postgres --auth-local=trust --auth-host=reject --encoding=UTF8 --no-locale --no-instructions
echo 'hostssl all all all scram-sha-256' >> $data/pg_hba.conf
while [ ! -e /certificates/ready ]; do sleep 0.1; done
install -m 0600 /certificates/server.key /tmp/server.key
exec postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp -c ssl=on \\
  -c ssl_cert_file=/certificates/server.crt -c ssl_key_file=/tmp/server.key
`

export class TlsPostgres implements AsyncDisposable {
  /** Holds `ca.crt`, which its certificate is of, and `other-ca.crt`, which it is not of. */
  readonly certificates: string
  readonly password = `s3cret-${randomBytes(12).toString('hex')}`
  readonly #container: StartedTestContainer
  readonly #address: string

  private constructor(certificates: string, container: StartedTestContainer) {
    this.certificates = certificates
    this.#container = container
    this.#address = container.getIpAddress('bridge')
  }

  static async start(): Promise<TlsPostgres> {
    const certificates = mkdtempSync('/tmp/tc-tls-')
    chmodSync(certificates, 0o755)
    const container = await new GenericContainer('postgres:18-bookworm')
      .withUser('postgres')
      .withEntrypoint(['/bin/sh', '-c'])
      .withCommand([script])
      .withNetworkMode('bridge')
      .withBindMounts([{ source: certificates, target: '/certificates' }])
      .withWaitStrategy(Wait.forLogMessage(/syncing data to disk|Sync to disk/i))
      .start()
    const database = new TlsPostgres(certificates, container)
    database.#certify()
    writeFileSync(join(certificates, 'ready'), '')
    await database.#setUp()
    return database
  }

  url(role: string): string {
    return `postgresql://${role}:${this.password}@${this.#address}/teleclaude`
  }

  #certify(): void {
    const openssl = (...args: readonly string[]) =>
      execFileSync('openssl', args, { cwd: this.certificates, stdio: 'pipe' })
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    for (const name of ['ca', 'other-ca']) {
      openssl(
        'req',
        '-x509',
        ...key,
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-keyout',
        `${name}.key`,
        '-out',
        `${name}.crt`,
      )
    }
    const names = ['-addext', `subjectAltName=IP:${this.#address}`, '-CA', 'ca.crt', '-CAkey', 'ca.key']
    openssl(
      'req',
      '-x509',
      ...key,
      '-days',
      '2',
      '-subj',
      '/CN=database',
      '-keyout',
      'server.key',
      '-out',
      'server.crt',
      ...names,
    )
    // Of the image's user postgres.
    execFileSync('chown', ['999', join(this.certificates, 'server.key')])
  }

  async #setUp(): Promise<void> {
    const statements = [
      ...['owner', 'api', 'auditor'].map((role) => {
        const inherit = role === 'owner' ? '' : 'NOINHERIT '
        return `CREATE ROLE teleclaude_${role} LOGIN ${inherit}PASSWORD '${this.password}'`
      }),
      'CREATE DATABASE teleclaude OWNER teleclaude_owner',
    ]
    for (const statement of statements) await this.#psql(statement)
  }

  /** Asks again until the server is up. */
  async #psql(statement: string): Promise<void> {
    for (;;) {
      const command = ['psql', '-XAtq', '-h', '/tmp', '-U', 'postgres', '-d', 'postgres', '-c', statement]
      const { exitCode, output } = await this.#container.exec(command)
      if (exitCode === 0) return
      if (!/No such file|refused|starting up/.test(output)) throw new Error(`cannot set up the database: ${output}`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.stop({ remove: true, timeout: 0 })
    rmSync(this.certificates, { recursive: true, force: true })
  }
}
