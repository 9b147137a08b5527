// Brings runners and viewers of sessions together, and settles what became of a session whose runner is gone.

import { setTimeout as delay } from 'node:timers/promises'
import type { SessionView } from '@teleclaude/core/api.ts'
import { sessionExitSchema } from '@teleclaude/core/api.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { Session, SessionExit, SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import { record, subjectOf, theApi } from '../audit/record.ts'
import { closeWebSocket } from '../streams/close-web-socket.ts'
import type { TranscriptPages } from '../transcript/pages.ts'
import { LiveSession, type LiveSessionEvents } from './live-session.ts'
import { Recorder } from './recorder.ts'
import { Viewer } from './viewer.ts'

/** A session whose runner has been away this long is lost. It is found again when the runner comes back. */
export const defaultLostAfterMs = 10_000
const retryMs = 1_000

export type HubOptions = {
  readonly store: Store
  readonly pages: TranscriptPages
  readonly log: Logger
  readonly host: string
  readonly lostAfterMs: number
}

export class Hub {
  readonly #options: HubOptions
  readonly #recorder: Recorder
  readonly #sessions = new Map<SessionId, Promise<LiveSession>>()
  readonly #timers = new Map<SessionId, NodeJS.Timeout>()
  /** Work that was started and not awaited by whoever caused it: waited for before the store closes. */
  readonly #background = new Set<Promise<void>>()
  readonly #delivering = new Map<SessionId, Promise<void>>()
  readonly #closing = new AbortController()
  readonly #closed = new Promise<void>((resolve) => {
    this.#closing.signal.addEventListener('abort', () => resolve())
  })

  constructor(options: HubOptions) {
    this.#options = options
    this.#recorder = new Recorder(options.store, options.log)
  }

  /** Gives the runners of sessions that were live when the daemon stopped time to come back. */
  async start(): Promise<void> {
    for (const id of await this.#options.store.sessions.listLive(this.#options.host)) this.expectRunner(id)
  }

  /** The session's runner should be here soon; where it is not, the session is lost. */
  expectRunner(id: SessionId): void {
    this.#settleLater(id, this.#options.lostAfterMs)
  }

  async connectRunner(session: Session, socket: WebSocket): Promise<void> {
    const live = await this.#open(session.id)
    // It may have ended since it was looked up, and its exit may be recorded without the session knowing (a crash in between).
    const current = await this.#recordExitIfThere(session.id, live)
    if (
      current === null ||
      current.status === 'ended' ||
      !(await this.#options.store.sessions.markRunning(session.id, nowUs()))
    ) {
      closeWebSocket(socket, closeCodes.ended, 'the session has ended')
      this.#forgetIfIdle(live)
      return
    }
    // Closed meanwhile, and perhaps heard of by nobody: the session still waits for its runner.
    if (socket.readyState !== socket.OPEN) {
      this.expectRunner(session.id)
      return
    }
    this.#cancelTimer(session.id)
    live.adoptRunner(socket)
    this.deliverCommands(session.id)
  }

  async attachViewer(
    session: Session,
    socket: WebSocket,
    options: {
      readonly drive: boolean
      readonly afterSeq: number | 'end'
      readonly view: (session: Session) => SessionView
    },
  ): Promise<void> {
    const live = await this.#open(session.id)
    // Asked again: it may have ended since it was looked up, and then nobody would say so any more.
    const current = (await this.#options.store.sessions.find(session.id)) ?? session
    if (socket.readyState !== socket.OPEN) {
      this.#forgetIfIdle(live)
      return
    }
    const isOver = current.status === 'ended' || (current.status === 'lost' && !live.hasRunner)
    const viewer = new Viewer({
      socket,
      live,
      readPage: (afterSeq) => this.#options.pages.read(session.owner, session.id, afterSeq),
      // Can be beyond what there is: the viewer of a service that was killed has seen what had not been recorded yet.
      afterSeq: options.afterSeq === 'end' ? live.lastSeq : options.afterSeq,
      over: isOver ? current : null,
      view: options.view,
    })
    live.viewers.add(viewer)
    if (options.drive && live.driver === null) live.driver = viewer
    socket.on('close', () => {
      live.viewers.delete(viewer)
      if (live.driver === viewer) live.driver = null
      this.#forgetIfIdle(live)
    })
    socket.resume()
    await viewer.start(current)
  }

  /** Hands the session's queued commands to its runner, if that is here. One delivery at a time keeps their order. */
  deliverCommands(id: SessionId): void {
    const before = this.#delivering.get(id) ?? Promise.resolve()
    const delivery = before.then(() => this.#deliverQueued(id))
    this.#delivering.set(id, delivery)
    this.#inBackground(
      delivery.finally(() => {
        if (this.#delivering.get(id) === delivery) this.#delivering.delete(id)
      }),
    )
  }

  /** Lets everybody go, and waits until what was received is recorded. Runners keep the rest in their spools. */
  async close(): Promise<void> {
    this.#closing.abort()
    for (const id of [...this.#timers.keys()]) this.#cancelTimer(id)
    const sessions = await Promise.allSettled(this.#sessions.values())
    await this.#recorder.stop()
    for (const opened of sessions) {
      if (opened.status === 'rejected') continue
      const live = opened.value
      live.closeRunner(closeCodes.restarting, 'the service is stopping')
      for (const viewer of live.viewers) viewer.close(closeCodes.restarting, 'the service is stopping')
    }
    await Promise.all(this.#background)
  }

  #open(id: SessionId): Promise<LiveSession> {
    const known = this.#sessions.get(id)
    if (known !== undefined) return known
    const opened = this.#options.store.transcripts
      .lastSeq(id)
      .then((lastSeq) => new LiveSession(id, lastSeq, this.#recorder, this.#events))
    this.#sessions.set(id, opened)
    opened.catch(() => this.#sessions.delete(id))
    return opened
  }

  readonly #events: LiveSessionEvents = {
    exitRecorded: (live, exitChunk) => this.#inBackground(this.#untilStored(() => this.#end(live.id, live, exitChunk))),
    runnerGone: (live) => {
      if (live.ended !== null) this.#forgetIfIdle(live)
      else this.expectRunner(live.id)
    },
    protocolBroken: (live, error) => this.#options.log.warn({ session: live.id, err: error }, 'runner cut off'),
    commandFinished: (live, number, reason) => {
      const outcome = { state: reason === null ? 'done' : 'failed', reason, atUs: nowUs() } as const
      this.#inBackground(this.#finishCommand(live.id, number, outcome))
    },
  }

  async #deliverQueued(id: SessionId): Promise<void> {
    const live = await this.#sessions.get(id)
    while (live?.hasRunner) {
      const command = await this.#untilStored(async () =>
        // Its runner may have gone while the database was away: what is queued waits for the next.
        live.hasRunner ? this.#options.store.commands.take(id, nowUs()) : null,
      )
      if (command === null) return
      const { number, kind, force } = command
      const told = live.tellRunner({ type: 'command', number, kind, force })
      if (told) continue
      // Taken is taken: whether the runner got it can't be known, and twice would be worse than never.
      const outcome = { state: 'failed', reason: 'the session was disconnected at that moment', atUs: nowUs() } as const
      await this.#finishCommand(id, number, outcome)
    }
  }

  async #finishCommand(...command: Parameters<Store['commands']['finish']>): Promise<void> {
    await this.#untilStored(() => this.#options.store.commands.finish(...command))
  }

  async #end(id: SessionId, live: LiveSession, exitChunk: TranscriptChunk): Promise<void> {
    const exit: SessionExit = sessionExitSchema.parse(JSON.parse(Buffer.from(exitChunk.bytes).toString('utf8')))
    const found = await this.#options.store.sessions.find(id)
    if (found === null) return
    // On the record first: what comes after it is done again until it works, and twice is better than never.
    if (found.status !== 'ended') await this.#recordEnd(found, exit)
    await this.#options.store.sessions.end(id, exit, nowUs())
    const session = (await this.#options.store.sessions.find(id)) ?? found
    this.#cancelTimer(id)
    live.ended = session
    live.closeRunner(closeCodes.ended, 'the session has ended')
    for (const viewer of live.viewers) viewer.finish(session)
    this.#forgetIfIdle(live)
  }

  /** The session as it is now, after its recorded exit, if it has one, has been made its end. */
  async #recordExitIfThere(id: SessionId, live: LiveSession): Promise<Session | null> {
    if (live.ended === null && live.lastSeq > 0 && live.pending.length === 0) {
      const [last] = await this.#options.store.transcripts.read(id, { afterSeq: live.lastSeq - 1, maxBytes: 1 })
      if (last?.kind === 'exit') await this.#end(id, live, last)
    }
    return this.#options.store.sessions.find(id)
  }

  async #settle(id: SessionId): Promise<void> {
    const live = await this.#open(id)
    const session = live.hasRunner || live.pending.length > 0 ? null : await this.#recordExitIfThere(id, live)
    if (session !== null && session.status !== 'ended' && !live.hasRunner) {
      if (session.status !== 'lost') await this.#recordLost(session)
      await this.#options.store.sessions.markLost(id, nowUs())
      this.#options.log.warn({ session: id }, 'session lost: its runner is gone')
      const lost = await this.#options.store.sessions.find(id)
      if (lost?.status === 'lost') for (const viewer of live.viewers) viewer.finish(lost)
    }
    this.#forgetIfIdle(live)
  }

  async #recordEnd(session: Session, exit: SessionExit): Promise<void> {
    const detail = {
      exitCode: exit.kind === 'exited' ? exit.code : null,
      signal: exit.kind === 'signalled' ? exit.signal : null,
      transcriptBytes: session.transcriptBytes,
    }
    await record(this.#options, { action: 'session.ended', actor: theApi, session: subjectOf(session), detail })
  }

  async #recordLost(session: Session): Promise<void> {
    const detail = { transcriptBytes: session.transcriptBytes }
    await record(this.#options, { action: 'session.lost', actor: theApi, session: subjectOf(session), detail })
  }

  /** Work that decides what became of a session is not given up because the database is away. */
  async #settleOrRetry(id: SessionId): Promise<void> {
    try {
      await this.#settle(id)
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.#settleLater(id, retryMs)
    }
  }

  /** Does it again for as long as the database is away, or full.
   *  @throws StoreError for any other reason, and at the end of the service */
  async #untilStored<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        const isPassing = error instanceof StoreError && (error.code === 'unavailable' || error.code === 'not-writable')
        if (!isPassing || this.#closing.signal.aborted) throw error
      }
      // At the end of the service it is not waited any longer, and tried for the last time.
      await Promise.race([delay(retryMs, undefined, { ref: false }), this.#closed])
    }
  }

  #settleLater(id: SessionId, delayMs: number): void {
    this.#cancelTimer(id)
    if (this.#closing.signal.aborted) return
    const timer = setTimeout(() => {
      this.#timers.delete(id)
      this.#inBackground(this.#settleOrRetry(id))
    }, delayMs)
    this.#timers.set(id, timer)
  }

  #cancelTimer(id: SessionId): void {
    clearTimeout(this.#timers.get(id))
    this.#timers.delete(id)
  }

  #forgetIfIdle(live: LiveSession): void {
    if (live.hasRunner || live.viewers.size > 0 || live.pending.length > 0) return
    this.#sessions.delete(live.id)
  }

  #inBackground(work: Promise<void>): void {
    const settled = work
      .catch((error: unknown) => this.#options.log.error({ err: error }, 'background work failed'))
      .finally(() => this.#background.delete(settled))
    this.#background.add(settled)
  }
}
