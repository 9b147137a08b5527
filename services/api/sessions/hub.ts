// Brings runners and viewers of sessions together, and settles what became of a session whose runner is gone. One file past 400 lines:
// what connects a runner, what it says and what becomes of its session share the one map of sessions, and their order.

import { setTimeout as delay } from 'node:timers/promises'
import type { AccessGrant } from '@teleclaude/core/access.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { sessionExitSchema } from '@teleclaude/core/api.ts'
import type { Command, CommandRequest } from '@teleclaude/core/command.ts'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import type { FromRunner } from '@teleclaude/core/link.ts'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { AgentState, Driver, Session, SessionExit, SessionId } from '@teleclaude/core/session.ts'
import { isLastKind, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { type Store, StoreError } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import type { Content } from '../access/content-gate.ts'
import type { AccessGrants } from '../access/grants.ts'
import type { SealedRange } from '../audit/range-hash.ts'
import { record, subjectOf, theApi } from '../audit/record.ts'
import { sealedDetail } from '../audit/transcript-seal.ts'
import { closeWebSocket } from '../streams/close-web-socket.ts'
import { LiveSession, type LiveSessionEvents } from './live-session.ts'
import { Recorder } from './recorder.ts'
import { type AccessNote, Viewer } from './viewer.ts'

/** A session whose runner has been away this long is lost. It is found again when the runner comes back. */
export const defaultLostAfterMs = 10_000
const retryMs = 1_000

export type HubOptions = {
  readonly store: Store
  readonly access: Pick<AccessGrants, 'on'>
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
  /** Of those who wait for more of a session's transcript. */
  readonly #followers = new Map<SessionId, Set<() => void>>()
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

  /** `recovery`: it brings what is left of a session whose program does not run any more. */
  async connectRunner(
    session: Session,
    socket: WebSocket,
    { recovery }: { readonly recovery: boolean },
  ): Promise<void> {
    const live = await this.#open(session.id)
    // It may have ended since it was looked up, and its end may be recorded without the session knowing (a crash in between).
    const current = await this.#recordLastIfThere(session.id, live)
    const isOver = current === null || current.status === 'ended' || live.over !== null
    if (isOver || !(recovery || (await this.#options.store.sessions.markRunning(session.id, nowUs())))) {
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
      readonly who: Driver
      readonly content: Content
      readonly drive: 'true' | 'take' | 'false'
      readonly show: 'record' | 'screen'
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
      who: options.who,
      show: options.show,
      content: options.content,
      opened: () =>
        options.who.person === session.owner.person ? this.#options.access.on(session).map(noteOpened) : [],
      // Can be beyond what there is: the viewer of a service that was killed has seen what had not been recorded yet.
      afterSeq: options.afterSeq !== 'end' ? options.afterSeq : options.show === 'screen' ? null : live.lastSeq,
      over: isOver ? current : null,
      view: options.view,
    })
    // Who comes hears of the wheel with the welcome.
    if (options.drive === 'take' || (options.drive === 'true' && live.driver === null)) live.setDriver(viewer)
    live.addViewer(viewer)
    socket.on('close', () => {
      live.removeViewer(viewer)
      this.#forgetIfIdle(live)
    })
    await viewer.start(current)
  }

  /** Says to its owner, wherever they look on, that somebody else has opened a session. */
  noteAccess(grant: AccessGrant, ended: AccessGrant['ended']): void {
    const note = ended === null ? noteOpened(grant) : noteEnded(grant, ended.atUs)
    const opening = this.#sessions.get(grant.sessionId)
    if (opening === undefined) return
    this.#inBackground(
      opening.then((live) => {
        for (const viewer of live.viewers) if (viewer.who.person === grant.owner) viewer.note(note)
      }),
    )
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

  /** Resolves when more of the session is recorded, or it is over, and after that time in any case. */
  async untilRecorded(id: SessionId, patienceMs: number): Promise<void> {
    const followers = this.#followers.get(id) ?? new Set()
    this.#followers.set(id, followers)
    const { promise, resolve } = Promise.withResolvers<void>()
    followers.add(resolve)
    const timer = setTimeout(resolve, patienceMs)
    timer.unref()
    await promise
    clearTimeout(timer)
    followers.delete(resolve)
    if (followers.size === 0) this.#followers.delete(id)
  }

  #wakeFollowers(id: SessionId): void {
    for (const wake of this.#followers.get(id) ?? []) wake()
  }

  /** Delivers what waits for sessions of this host, wherever it was asked for. */
  async deliverWaiting(): Promise<void> {
    for (const id of await this.#options.store.commands.listWaiting(this.#options.host)) this.deliverCommands(id)
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
    recorded: (live) => {
      this.#wakeFollowers(live.id)
      if (live.seal.isDue(performance.now())) this.#inBackground(this.#seal(live))
    },
    lastRecorded: (live, last) => this.#inBackground(this.#untilStored(() => this.#finish(live.id, live, last))),
    runnerGone: (live) => {
      if (live.over !== null) this.#forgetIfIdle(live)
      else this.expectRunner(live.id)
    },
    protocolBroken: (live, error) => this.#options.log.warn({ session: live.id, err: error }, 'runner cut off'),
    told: (live, message) => this.#inBackground(this.#hear(live, message)),
  }

  /** Binds what was recorded some time ago to the audit log. */
  async sealDue(): Promise<void> {
    for (const opened of [...this.#sessions.values()]) {
      const live = await opened.catch(() => null)
      if (live?.seal.isDue(performance.now())) this.#inBackground(this.#seal(live))
    }
  }

  /** What could not be put on the record is for the next time. */
  async #seal(live: LiveSession): Promise<void> {
    try {
      const session = await this.#options.store.sessions.find(live.id)
      if (session !== null) await live.seal.seal(this.#options, subjectOf(session))
    } catch (error) {
      if (!(error instanceof StoreError)) throw error
      this.#options.log.warn({ err: error, session: live.id }, 'a transcript could not be bound to the audit log now')
    }
  }

  async #hear(live: LiveSession, message: FromRunner): Promise<void> {
    switch (message.type) {
      case 'command-finished': {
        const { number, reason } = message
        await this.#finishCommand(live.id, number, {
          state: reason === null ? 'done' : 'failed',
          reason,
          atUs: nowUs(),
        })
        return
      }
      case 'terminal':
        live.terminal = { cols: message.cols, rows: message.rows }
        return
      case 'agent':
        await this.#noteTerminal(live.id, message.state)
    }
  }

  /** An agent that speaks for itself knows better than its terminal. */
  async #noteTerminal(id: SessionId, state: AgentState): Promise<void> {
    const session = await this.#options.store.sessions.find(id)
    if (session === null || session.agentStatus.source === 'hook') return
    await this.#options.store.sessions.setAgentStatus(id, { state, source: 'terminal' }, nowUs())
  }

  async #deliverQueued(id: SessionId): Promise<void> {
    const live = await this.#sessions.get(id)
    while (live?.hasRunner) {
      const command = await this.#untilStored(async () =>
        // Its runner may have gone while the database was away: what is queued waits for the next.
        live.hasRunner ? this.#options.store.commands.take(id, nowUs()) : null,
      )
      if (command === null) return
      const { number } = command
      const told = live.tellRunner({ type: 'command', number, request: requestOf(command) })
      // What was told is told: whether the runner got it can't be known, and twice would be worse than never. Nobody was told where
      // the runner went while it was taken.
      if (!told) await this.#untilStored(() => this.#options.store.commands.putBack(id, number))
    }
  }

  async #finishCommand(...command: Parameters<Store['commands']['finish']>): Promise<void> {
    await this.#untilStored(() => this.#options.store.commands.finish(...command))
  }

  /** Makes the last chunk the session's end: its exit, or that its runner is gone for good. */
  async #finish(id: SessionId, live: LiveSession, last: TranscriptChunk): Promise<void> {
    const found = await this.#options.store.sessions.find(id)
    if (found === null) return
    // On the record first: what comes after it is done again until it works, and twice is better than never.
    if (last.kind === 'exit') {
      const exit: SessionExit = sessionExitSchema.parse(JSON.parse(Buffer.from(last.bytes).toString('utf8')))
      if (found.status !== 'ended') {
        await live.seal.sealEnd(this.#options, subjectOf(found), (rest) => this.#recordEnd(found, exit, rest))
      }
      await this.#options.store.sessions.end(id, exit, nowUs())
    } else {
      if (found.status !== 'lost') await this.#sealLost(found, live)
      await this.#options.store.sessions.markLost(id, nowUs())
    }
    await this.#options.store.commands.close(id, 'the session is over', nowUs())
    const session = (await this.#options.store.sessions.find(id)) ?? found
    this.#cancelTimer(id)
    live.over = session
    this.#wakeFollowers(id)
    live.closeRunner(closeCodes.ended, 'the session has ended')
    for (const viewer of live.viewers) viewer.finish(session)
    this.#forgetIfIdle(live)
  }

  /** The session as it is now, after the end of it that is recorded, if there is one, has been made its end. */
  async #recordLastIfThere(id: SessionId, live: LiveSession): Promise<Session | null> {
    if (live.over === null && live.lastSeq > 0 && live.pending.length === 0) {
      const [last] = await this.#options.store.transcripts.read(id, { afterSeq: live.lastSeq - 1, maxBytes: 1 })
      if (last !== undefined && isLastKind(last.kind)) await this.#finish(id, live, last)
    }
    return this.#options.store.sessions.find(id)
  }

  async #settle(id: SessionId): Promise<void> {
    const live = await this.#open(id)
    const session = live.hasRunner || live.pending.length > 0 ? null : await this.#recordLastIfThere(id, live)
    if (session !== null && session.status !== 'ended' && !live.hasRunner) {
      if (session.status !== 'lost') await this.#sealLost(session, live)
      await this.#options.store.sessions.markLost(id, nowUs())
      this.#options.log.warn({ session: id }, 'session lost: its runner is gone')
      const lost = await this.#options.store.sessions.find(id)
      if (lost?.status === 'lost') for (const viewer of live.viewers) viewer.finish(lost)
    }
    this.#forgetIfIdle(live)
  }

  async #recordEnd(session: Session, exit: SessionExit, rest: SealedRange | null): Promise<void> {
    const detail = {
      exitCode: exit.kind === 'exited' ? exit.code : null,
      signal: exit.kind === 'signalled' ? exit.signal : null,
      transcriptBytes: session.transcriptBytes,
      ...sealedDetail(rest),
    }
    await record(this.#options, { action: 'session.ended', actor: theApi, session: subjectOf(session), detail })
  }

  async #sealLost(session: Session, { seal }: LiveSession): Promise<void> {
    const subject = subjectOf(session)
    await seal.sealEnd(this.#options, subject, (rest) => {
      const detail = { transcriptBytes: session.transcriptBytes, ...sealedDetail(rest) }
      return record(this.#options, { action: 'session.lost', actor: theApi, session: subject, detail })
    })
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

function noteOpened({ grantee, reason, drive, expiresAtUs }: AccessGrant): AccessNote {
  return { type: 'access', state: 'opened', grantee: grantee.person, reason, drive, until: formatInstant(expiresAtUs) }
}

function noteEnded(grant: AccessGrant, atUs: number): AccessNote {
  return { ...noteOpened(grant), state: 'ended', until: formatInstant(atUs) }
}

function requestOf({ kind, text, enter, force }: Command): CommandRequest {
  switch (kind) {
    case 'send':
      return { kind, text: text ?? '', enter }
    case 'interrupt':
      return { kind }
    case 'stop':
      return { kind, force }
  }
}
