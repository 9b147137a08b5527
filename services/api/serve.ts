// What both modes share once the store is open: sessions, socket, sweep, and the way back.

import { once } from 'node:events'
import type { Server } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { InstanceLock, Store } from '@teleclaude/store/contract.ts'
import { schedule } from 'node-cron'
import type { Logger } from 'pino'
import { Denials } from './audit/denials.ts'
import { record, recordAll, theApi } from './audit/record.ts'
import { createApiServer } from './http/server.ts'
import type { Service } from './service.ts'
import { defaultLostAfterMs, Hub } from './sessions/hub.ts'
import { listenOnSocket } from './socket.ts'
import { readVersion } from './version.ts'

export type ServeOptions = Pick<Service, 'mode' | 'store' | 'identity' | 'host' | 'config' | 'log'> & {
  /** `mode` as in chmod(2). */
  readonly socket: { readonly path: string; readonly mode: number }
}

export type Serving = {
  /** Afterwards nothing that was acknowledged is lost. */
  stop(): Promise<void>
}

/** The end of the service is recorded where that is possible soon; a supervisor that waits would kill us. */
const lastWordMs = 3_000

/** Resolves once everybody can connect.
 *  @throws SocketError, StoreError: then nothing is left open */
export async function startServing(options: ServeOptions): Promise<Serving> {
  const { store, host, log, mode, socket } = options
  const version = readVersion()
  const hub = new Hub({ store, log, host, lostAfterMs: defaultLostAfterMs })
  const denials = new Denials({ store, host }, log)
  const server = createApiServer({ ...options, hub, denials, version })
  try {
    await hub.start()
    await listenOnSocket(server, socket.path, { mode: socket.mode })
    // Nothing runs between the two: the first request is read after this has its place in the log.
    await recordAll(options, [
      { action: 'service.started', actor: theApi, session: null, detail: { mode, version } },
      ...options.config.startEvents(theApi),
    ])
  } catch (error) {
    await closeServer(server, hub)
    throw error
  }
  const reload = () => {
    options.config
      .reload(theApi, (events) => recordAll(options, events))
      .catch((error: unknown) => log.error({ err: error }, 'configuration not reloaded: the old one stays'))
  }
  if (!hasTerminal()) process.on('SIGHUP', reload)
  const sweep = schedule('* * * * *', () => sweepCommands(store, log))
  log.info({ socket: socket.path, version, pid: process.pid, mode }, 'ready')
  return {
    async stop() {
      process.off('SIGHUP', reload)
      await sweep.destroy()
      await closeServer(server, hub)
      await recordStop(options)
      log.info('stopped')
    },
  }
}

/** In the foreground SIGHUP means that the terminal is gone, and ends the process (signal(7)). */
function hasTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
}

async function sweepCommands(store: Store, log: Logger): Promise<void> {
  await store.commands
    .expire(nowUs())
    .catch((error: unknown) => log.warn({ err: error }, 'could not sweep expired commands'))
}

async function closeServer(server: Server, hub: Hub): Promise<void> {
  const closed = server.listening ? once(server, 'close') : null
  if (server.listening) server.close()
  await hub.close()
  server.closeAllConnections()
  await closed
}

async function recordStop({ store, host, log }: ServeOptions): Promise<void> {
  const recorded = record({ store, host }, { action: 'service.stopped', actor: theApi, session: null, detail: {} })
  const late = delay(lastWordMs, 'late' as const, { ref: false })
  const outcome = await Promise.race([recorded, late]).catch((error: unknown) => error)
  if (outcome !== undefined) log.warn({ err: outcome }, 'that the service stopped could not be recorded')
}

/** Settles at the first of the two. @returns why the lock is lost, or null where somebody asked to stop */
export async function untilOver(lock: InstanceLock, stopped: Promise<void>, log: Logger): Promise<Error | null> {
  const lost = await Promise.race([lock.lost, stopped.then(() => null)])
  log.info({ err: lost ?? undefined }, lost === null ? 'stopping' : 'stopping: another instance has the lock now')
  return lost
}

/** SIGTERM or SIGINT has come. Asked for first of all: as the first process of a container, one that does not listen for
 *  them does not get them (pid_namespaces(7)). */
export async function stopSignal(): Promise<void> {
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
}
