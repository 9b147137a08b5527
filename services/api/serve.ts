// What both modes share once the store is open: sessions, socket, sweep, and the way back.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { UsageLimits } from '@teleclaude/config/load.ts'
import type { InstanceLock } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { AccessGrants } from './access/grants.ts'
import { Assurance } from './audit/assurance.ts'
import { AuditorWatch } from './audit/auditor-watch.ts'
import { Denials } from './audit/denials.ts'
import { LogSigner, type LogSignerOptions } from './audit/log-signer.ts'
import { record, recordAll, theApi } from './audit/record.ts'
import { News } from './events/news.ts'
import { giveBackSoon } from './give-back.ts'
import { RequestCounts } from './http/request-counts.ts'
import { type ApiServer, createApiServer } from './http/server.ts'
import { connectionCapacity } from './limits/capacity.ts'
import { defaultPatience, type Patience } from './limits/patience.ts'
import { Limits } from './limits/user-limits.ts'
import type { Service } from './service.ts'
import { defaultLostAfterMs, Hub } from './sessions/hub.ts'
import { LiveLimit } from './sessions/live-limit.ts'
import { listenOnSocket } from './socket.ts'
import { OpenStreams } from './streams/open-streams.ts'
import { TranscriptPages } from './transcript/pages.ts'
import { startUpkeep } from './upkeep/upkeep.ts'
import { readVersion } from './version.ts'

export type ServeOptions = Pick<Service, 'mode' | 'store' | 'identity' | 'accounts' | 'host' | 'config' | 'log'> & {
  /** `mode` as in chmod(2). */
  readonly socket: { readonly path: string; readonly mode: number }
  readonly auditKey: Pick<LogSignerOptions, 'keyFile' | 'replaceLost'>
  /** As they are now, or null where there is one user, who has everything. */
  readonly limits: (() => UsageLimits) | null
  /** Of slow clients, where it is not the default. */
  readonly patience?: Patience | undefined
}

export type Serving = {
  /** Afterwards nothing that was acknowledged is lost. */
  stop(): Promise<void>
}

/** The end of the service is recorded where that is possible soon; a supervisor that waits would kill us. */
const lastWordMs = 3_000
/** Longer than any WebSocket is given to take leave. */
const leaveMs = 1_500
/** Accounts are deleted and renamed without a word to us, and looked up as seldom as this. */
const reviewMs = 30_000
/** For commands of which no hint has come. */
const sweepMs = 5_000

const all = Number.POSITIVE_INFINITY
const noLimits: UsageLimits = {
  connections: all,
  requestsPerSecond: all,
  streams: all,
  sessions: { newcomer: all, contributor: all, member: all, admin: all },
}

/** Resolves once everybody can connect.
 *  @throws SocketError, StoreError: then nothing is left open */
export async function startServing(options: ServeOptions): Promise<Serving> {
  const { store, host, log, mode, socket } = options
  const version = readVersion()
  const signer = await LogSigner.open({ store, host, log, mode, ...options.auditKey })
  const auditor = new AuditorWatch({
    store,
    host,
    log,
    trustedKey: () => options.config.current.auditPolicy.auditorKey,
  })
  const assurance = new Assurance({ policy: () => options.config.current.auditPolicy, watch: auditor, signer })
  const pages = new TranscriptPages(store)
  const access = new AccessGrants({ store, host, identity: options.identity, log })
  const hub = new Hub({ store, access, log, host, lostAfterMs: defaultLostAfterMs })
  const news = new News()
  const denials = new Denials({ store, host }, log)
  const streams = new OpenStreams({ store, host }, options.identity, access, log)
  access.onChange({
    opened: (grant) => hub.noteAccess(grant, null),
    ended(grant, end) {
      streams.reviewUnder(grant.id)
      hub.noteAccess(grant, end)
    },
  })
  const review = () => {
    // First, so that who loses a stream is told why.
    access.reviewHolders()
    streams.review()
  }
  options.config.onReloaded(review)
  options.accounts.onRebound(review)
  const capacity = connectionCapacity()
  const ownUid = process.getuid?.()
  const limits = new Limits({
    current: options.limits ?? (() => noLimits),
    capacity: options.limits === null ? Number.POSITIVE_INFINITY : capacity,
    // Who runs this machine, the service's own health check, and whom the configuration names, are to come through whatever
    // strangers do.
    isKnown: (uid) => uid === 0 || uid === ownUid || options.accounts.isBound(uid) || options.identity.isNamed(uid),
    note({ uid, pid }, reason) {
      const actor = { kind: 'caller', person: null, osUser: null, uid, pid } as const
      denials.note({ actor, request: 'connect', reason, session: null })
    },
  })
  const requests = new RequestCounts()
  const liveLimit = new LiveLimit({ store, host, denials, limits: options.limits ?? (() => noLimits) })
  const server = createApiServer(
    {
      ...options,
      hub,
      access,
      streams,
      pages,
      news,
      denials,
      requests,
      signer,
      auditor,
      assurance,
      limits,
      liveLimit,
      version,
    },
    { patience: options.patience ?? defaultPatience, capacity },
  )
  try {
    await hub.start()
    await auditor.look()
    await access.load()
    await listenOnSocket(server.http, socket.path, { mode: socket.mode })
    // Nothing runs between the two: the first request is read after this has its place in the log.
    await recordAll(options, [
      { action: 'service.started', actor: theApi, session: null, detail: { mode, version } },
      ...options.config.startEvents(theApi),
    ])
  } catch (error) {
    news.stop()
    await auditor.stop()
    await closeServer(server, hub)
    await access.stop(0)
    throw error
  }
  const reload = () => {
    options.config
      .reload(theApi, (events) => recordAll(options, events))
      .catch((error: unknown) => log.error({ err: error }, 'configuration not reloaded: the old one stays'))
  }
  if (!hasTerminal()) process.on('SIGHUP', reload)
  const endReviews = streams.reviewEvery(reviewMs)
  const deliver = () => {
    hub.deliverWaiting().catch((error: unknown) => log.warn({ err: error }, 'could not look for commands that wait'))
  }
  const listening = store.listen(host, (what) => {
    if (what === 'events') news.hint()
    else if (what === 'auditor') auditor.hint()
    else if (what === 'access') access.hint()
    else if (what === 'commands') deliver()
  })
  signer.start()
  access.start()
  const sweep = setInterval(() => {
    deliver()
    hub.sealDue().catch((error: unknown) => log.error({ err: error }, 'transcripts could not be bound to the log'))
  }, sweepMs)
  const upkeep = startUpkeep({ store, host, hub, log, lifetimes: () => options.config.current.lifetimes })
  const callOff = giveBackSoon()
  log.info({ socket: socket.path, version, pid: process.pid, mode }, 'ready')
  return {
    async stop() {
      callOff()
      process.off('SIGHUP', reload)
      endReviews()
      clearInterval(sweep)
      await upkeep.stop()
      await listening.close()
      news.stop()
      await closeServer(server, hub)
      await access.stop(lastWordMs)
      await auditor.stop()
      await recordStop(options, signer)
      log.info('stopped')
    },
  }
}

/** In the foreground SIGHUP means that the terminal is gone, and ends the process (signal(7)). */
function hasTerminal(): boolean {
  return process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
}

async function closeServer({ http, cutAll }: ApiServer, hub: Hub): Promise<void> {
  const closed = http.listening ? once(http, 'close') : null
  if (http.listening) http.close()
  await hub.close()
  http.closeAllConnections()
  const cut = setTimeout(cutAll, leaveMs)
  await closed
  clearTimeout(cut)
}

async function recordStop({ store, host, log }: ServeOptions, signer: LogSigner): Promise<void> {
  const recorded = record({ store, host }, { action: 'service.stopped', actor: theApi, session: null, detail: {} })
  const signed = recorded.then(() => signer.stop())
  const late = delay(lastWordMs, 'late' as const, { ref: false })
  const outcome = await Promise.race([signed, late]).catch((error: unknown) => error)
  if (outcome !== undefined) log.warn({ err: outcome }, 'that the service stopped could not be recorded and signed')
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
