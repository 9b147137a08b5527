// The API daemon in single-user mode: directories > lock > schema > store > sessions > socket, and back in reverse.

import { once } from 'node:events'
import { auditNotice } from '@teleclaude/config/defaults.ts'
import { ensurePrivateDirectory } from '@teleclaude/config/directories.ts'
import type { Layout } from '@teleclaude/config/layout.ts'
import type { Settings } from '@teleclaude/config/settings.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { osUserOf } from '@teleclaude/peercred/os-user.ts'
import { preparePeerReader } from '@teleclaude/peercred/peer.ts'
import type { InstanceLock, Store, StoreTarget } from '@teleclaude/store/contract.ts'
import { acquireInstanceLock, migrate, openStore } from '@teleclaude/store/open.ts'
import { schedule } from 'node-cron'
import { type Logger, pino } from 'pino'
import { createApiServer } from './http/server.ts'
import { singleUserIdentity } from './identity/single-user.ts'
import { defaultLostAfterMs, Hub } from './sessions/hub.ts'
import { listenOnSocket } from './socket.ts'
import { readVersion } from './version.ts'

export type DaemonOptions = {
  readonly layout: Layout
  readonly settings: Settings
  /** Called once everything is up. */
  readonly ready: () => void
}

/** Runs until SIGTERM or SIGINT, or until the lock is lost; then nothing that was acknowledged is lost.
 *  @throws whatever kept it from starting: StoreError, DirectoryError, SocketError, PeerError */
export async function runDaemon({ layout, settings, ready }: DaemonOptions): Promise<void> {
  const log = pino({
    level: settings.logLevel,
    base: { host: settings.host },
    timestamp: pino.stdTimeFunctions.isoTime,
  })
  preparePeerReader()
  for (const directory of [layout.root, layout.runDir, layout.logDir]) ensurePrivateDirectory(directory)
  const target: StoreTarget =
    settings.databaseUrl === null
      ? { engine: 'sqlite', file: layout.database }
      : { engine: 'postgres', url: settings.databaseUrl }

  await using lock = await holdLock(target, settings.host)
  const { applied } = await migrate(target)
  if (applied.length > 0) log.info({ applied }, 'schema brought up to date')
  await using store = await openClosing(target)
  await serveUntilStopped({ layout, settings, ready }, store, lock, log)
}

async function serveUntilStopped(options: DaemonOptions, store: Store, lock: InstanceLock, log: Logger): Promise<void> {
  const { layout, settings } = options
  const uid = process.getuid?.()
  if (uid === undefined) throw new Error('cannot tell who owns this process: the platform has no user ids')
  const hub = new Hub({ store, log, host: settings.host, lostAfterMs: defaultLostAfterMs })
  const version = readVersion()
  const identity = singleUserIdentity({ uid, osUser: osUserOf(uid) ?? `uid ${uid}` })
  const server = createApiServer({ store, identity, hub, host: settings.host, version, notice: auditNotice, log })
  await hub.start()
  await listenOnSocket(server, layout.socket, { mode: 0o600 })
  const sweep = schedule('* * * * *', async () => {
    await store.commands
      .expire(nowUs())
      .catch((error: unknown) => log.warn({ err: error }, 'could not sweep expired commands'))
  })
  log.info({ socket: layout.socket, version, pid: process.pid }, 'ready')
  options.ready()

  const lost = await Promise.race([lock.lost, stopSignal()])
  log.info({ err: lost ?? undefined }, lost === null ? 'stopping' : 'stopping: another instance may hold the lock now')
  await sweep.destroy()
  const closed = once(server, 'close')
  server.close()
  await hub.close()
  server.closeAllConnections()
  await closed
  log.info('stopped')
  if (lost !== null) throw lost
}

async function stopSignal(): Promise<null> {
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  return null
}

async function holdLock(target: StoreTarget, host: string): Promise<InstanceLock & AsyncDisposable> {
  const lock = await acquireInstanceLock(target, { host, pid: process.pid, program: 'teleclaude daemon' })
  return { lost: lock.lost, release: () => lock.release(), [Symbol.asyncDispose]: () => lock.release() }
}

async function openClosing(target: StoreTarget): Promise<Store & AsyncDisposable> {
  const store = await openStore(target)
  return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() })
}
