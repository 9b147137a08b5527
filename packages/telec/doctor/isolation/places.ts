// What of the service and of its users' sessions lies on this machine: for root to name, and for nobody else to get at.

import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isThere, singleUserLayout, systemLayout } from '@teleclaude/config/layout.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { sessionIdSchema } from '@teleclaude/core/api-values.ts'
import type { Attempt } from './attempts.ts'

/** Where to look. */
export type Places = {
  /** Files of the service's that hold secrets. */
  readonly secrets: readonly string[]
  /** Directories of the service's that are for nobody else to look into. */
  readonly state: readonly string[]
  /** Home directories of the machine's accounts. */
  readonly homes: readonly string[]
  /** Sockets of container engines: who may use one can do everything. */
  readonly engines: readonly string[]
}

export type GuardedCheck = 'socket-directory' | 'secrets' | 'state' | 'homes' | 'process' | 'engine'

/** Something that has to fail. */
export type Guarded = {
  readonly check: GuardedCheck
  readonly attempt: Attempt
  /** What it would be if it did not, after "uid N". */
  readonly harm: string
  readonly mend: string
}

/** @param checkout that telec runs from: in it the appliance has its secrets */
export function machinePlaces(checkout: string): Places {
  const isMac = process.platform === 'darwin'
  const { secretsFile, envFile, auditDir } = systemLayout(process.platform)
  return {
    secrets: [secretsFile, envFile, ...listDirectory(join(checkout, 'compose/secrets'))],
    state: [isMac ? '/usr/local/var/lib/teleclaude' : '/var/lib/teleclaude', auditDir],
    homes: [...new Set([...readHomes('/etc/passwd'), ...listDirectory(isMac ? '/Users' : '/home')])],
    engines: ['/var/run/docker.sock', '/run/podman/podman.sock'],
  }
}

/** @param name of a file that nobody has */
export function guardSocketDirectory(socket: string, name: string): readonly Guarded[] {
  const directory = dirname(socket)
  const quoted = shellQuote(directory)
  const mend = `sudo chmod go-w ${quoted}; ls -la ${quoted}  # its owner has to be root or the service`
  const check = 'socket-directory'
  const make: Guarded = {
    check,
    attempt: { kind: 'make', path: join(directory, name) },
    harm: `can put files into ${directory}`,
    mend,
  }
  // Linux alone is known to look at who may remove something before it looks at what it is.
  const entries = process.platform === 'linux' ? [socket, join(directory, 'postgres')].filter(isThere) : []
  const removals = entries.map((path): Guarded => {
    const kind = lstatSync(path).isDirectory() ? 'remove-directory' : 'remove-file'
    return { check, attempt: { kind, path }, harm: `can take ${path} away, and put another into its place`, mend }
  })
  return [make, ...removals]
}

export function guardService({ secrets, state, engines }: Places, name: string): readonly Guarded[] {
  return [
    ...secrets.filter(isThere).map((path) => readable('secrets', path)),
    ...state.filter(isThere).flatMap((path) => [readable('state', path), writable('state', path, name)]),
    ...engines.filter(isThere).map(
      (path): Guarded => ({
        check: 'engine',
        attempt: { kind: 'connect', path },
        harm: `can use the container engine at ${path}, and so be root`,
        mend: `sudo chmod o= ${shellQuote(path)}`,
      }),
    ),
  ]
}

/** The service's own process. @param pid 0 where it is not known */
export function guardProcess(pid: number): readonly Guarded[] {
  if (pid === 0) return []
  const check = 'process'
  const mend = `ps -o user,pid,args -p ${pid}  # it has to run as a user of its own: start it by its installation, not by hand`
  // proc(5)
  const files = process.platform === 'linux' ? ['environ', 'mem', 'fd'] : []
  return [
    { check, attempt: { kind: 'signal', pid }, harm: `can end the service's process ${pid}`, mend },
    ...files.map((file): Guarded => {
      const path = `/proc/${pid}/${file}`
      return { check, attempt: { kind: 'open', path }, harm: `can look into the service's process (${path})`, mend }
    }),
  ]
}

/** What is kept in people's homes: what their sessions showed and the service has not got yet; in single-user mode all of it. */
export function guardHomes(homes: readonly string[], name: string): readonly Guarded[] {
  return homes.flatMap((home) => {
    const { root, runDir, logDir, spoolDir, database, secretsFile, envFile } = singleUserLayout(home)
    if (!isThere(root)) return []
    const directories = [runDir, logDir, spoolDir].filter(isThere)
    const files = [database, `${database}-wal`, secretsFile, envFile].filter(isThere)
    return [
      ...[...directories, ...files].map((path) => readable('homes', path)),
      ...[root, ...directories].map((path) => writable('homes', path, name)),
    ]
  })
}

/** The id of a session of somebody's: its runner keeps a directory of that name. Null where none does. */
export function findSession(homes: readonly string[]): string | null {
  const names = homes.flatMap((home) =>
    listDirectory(singleUserLayout(home).spoolDir).map((path) => path.split('/').at(-1)),
  )
  return names.find((name) => sessionIdSchema.safeParse(name).success) ?? null
}

function readable(check: GuardedCheck, path: string): Guarded {
  return {
    check,
    attempt: { kind: 'open', path },
    harm: `can open ${path}`,
    mend: `sudo chmod go= ${shellQuote(path)}`,
  }
}

function writable(check: GuardedCheck, directory: string, name: string): Guarded {
  const attempt = { kind: 'make', path: join(directory, name) } as const
  return { check, attempt, harm: `can put files into ${directory}`, mend: `sudo chmod go-w ${shellQuote(directory)}` }
}

/** passwd(5) */
function readHomes(passwd: string): readonly string[] {
  if (!isThere(passwd)) return []
  const homes = readFileSync(passwd, 'utf8')
    .split('\n')
    .map((line) => line.split(':')[5] ?? '')
  return homes.filter((home) => home.startsWith('/') && home !== '/')
}

/** Paths; none where it is no directory, or can't be read. */
function listDirectory(directory: string): readonly string[] {
  try {
    // A link in somebody's home leads to something that is not theirs.
    if (!lstatSync(directory).isDirectory()) return []
    return readdirSync(directory).map((name) => join(directory, name))
  } catch {
    return []
  }
}
