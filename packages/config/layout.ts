// Where things are. Every command of telec starts by this, so it imports nothing but Node.

import { lstatSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

export type Layout = {
  /** Shared with the original TeleClaude, which keeps its documents here but its database elsewhere. */
  readonly root: string
  readonly runDir: string
  readonly logDir: string
  readonly spoolDir: string
  readonly socket: string
  readonly database: string
  /** Of the audit log: its private key. */
  readonly auditKey: string
  readonly logFile: string
  /** Also the personal layer of whoever uses the machine's service. */
  readonly configFile: string
  readonly secretsFile: string
  readonly envFile: string
}

/** Single-user mode: everything under the person's home. `home` is an absolute path. */
export function singleUserLayout(home: string): Layout {
  const root = join(home, '.teleclaude')
  const runDir = join(root, 'run')
  const logDir = join(root, 'log')
  return {
    root,
    runDir,
    logDir,
    spoolDir: join(root, 'spool'),
    socket: join(runDir, 'api.sock'),
    database: join(root, 'teleclaude.db'),
    auditKey: join(root, 'audit.key'),
    logFile: join(logDir, 'daemon.log'),
    configFile: join(root, 'config.yml'),
    secretsFile: join(root, 'secrets.yml'),
    envFile: join(root, '.env'),
  }
}

export type SystemLayout = {
  readonly configFile: string
  readonly secretsFile: string
  /** Variables for the services, as dotenv reads them; the environment comes before it. */
  readonly envFile: string
  readonly runDir: string
  readonly socket: string
  /** What the service has to keep beside the database. */
  readonly stateDir: string
  readonly auditKey: string
  readonly auditDir: string
}

/** System mode: of the service that an admin installed for the whole machine. */
export function systemLayout(platform: NodeJS.Platform): SystemLayout {
  const isMac = platform === 'darwin'
  const etc = isMac ? '/usr/local/etc/teleclaude' : '/etc/teleclaude'
  const runDir = isMac ? '/usr/local/var/run/teleclaude' : '/run/teleclaude'
  const stateDir = isMac ? '/usr/local/var/lib/teleclaude' : '/var/lib/teleclaude'
  return {
    configFile: join(etc, 'config.yml'),
    secretsFile: join(etc, 'secrets.yml'),
    envFile: join(etc, '.env'),
    runDir,
    socket: join(runDir, 'api.sock'),
    stateDir,
    auditKey: join(stateDir, 'audit.key'),
    auditDir: isMac ? '/usr/local/var/log/teleclaude' : '/var/log/teleclaude',
  }
}

/** What `sun_path` holds beside its final NUL (unix(7); sys/un.h on macOS). */
export function maxSocketPathBytes(platform: NodeJS.Platform): number {
  return platform === 'darwin' ? 103 : 107
}

export type SocketOrigin = '--socket' | 'TELECLAUDE_SOCKET' | 'single-user' | 'system'
export type FoundSocket = { readonly path: string; readonly origin: SocketOrigin }

export type SocketSearch = {
  readonly flag: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string
  /** The machine's own where it is left out. */
  readonly system?: string
}

/** Which socket a client talks to. What was asked for by name is taken as it is, there or not: falling back to another
 *  service could send words to the wrong one. Likewise a machine that has a directory for the system's socket has that service,
 *  also in the moment of its restart. An empty variable is none. The path is absolute. */
export function findSocket({
  flag,
  env,
  home,
  system = systemLayout(process.platform).socket,
}: SocketSearch): FoundSocket {
  if (flag !== undefined) return { path: resolve(flag), origin: '--socket' }
  if (env.TELECLAUDE_SOCKET) return { path: resolve(env.TELECLAUDE_SOCKET), origin: 'TELECLAUDE_SOCKET' }
  const own = singleUserLayout(home).socket
  if (!isThere(own) && isThere(dirname(system))) return { path: system, origin: 'system' }
  return { path: own, origin: 'single-user' }
}

export type Mode = 'single-user' | 'system'

/** Which of the two a client is in follows from the socket that it talks to. */
export function modeOf({ path }: FoundSocket, home: string): Mode {
  return path === singleUserLayout(home).socket ? 'single-user' : 'system'
}

/** What can't be looked at is there: the attempt to connect then says what is wrong with it. */
export function isThere(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    return !(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
  }
}
