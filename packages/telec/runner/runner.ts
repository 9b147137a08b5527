// Runs one session: starts the program on a PTY once the service listens, records all it shows, and stays until the service
// has everything. Nothing runs unrecorded: where recording can't go on, the program is stopped and the terminal says so. That is
// also what becomes of it where its owner is not let in any more and stays so.

import { join } from 'node:path'
import { Client } from '@teleclaude/client/client.ts'
import type { Driver, SessionExit, TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { type ChunkKind, encodeChunk, encodeResize, writeChunkHeader } from '@teleclaude/core/transcript.ts'
import { holdLifeline } from '../recovery/lifeline.ts'
import { identify, type Machine, type ProcessIdentity, thisMachine } from '../recovery/process-identity.ts'
import { removeSpool } from '../recovery/remove-spool.ts'
import { writeSessionFile } from '../recovery/session-file.ts'
import { Commands } from './commands.ts'
import { RunnerLink, type RunnerMessage } from './link.ts'
import { OutputGatherer } from './output-gatherer.ts'
import { type Pty, spawnPty } from './pty.ts'
import { ScreenFeed } from './screen-feed.ts'
import { sessionEnvironment } from './session-environment.ts'
import { SnapshotSender } from './snapshot-sender.ts'
import { chunkRoomBytes, recordHeadBytes, Spool, SpoolError } from './spool.ts'
import { TerminalInput } from './terminal-input.ts'

export type RunnerTask = {
  readonly sessionId: string
  readonly socketPath: string
  readonly spoolDirectory: string
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly size: TerminalSize
  /** How long the program goes on, recorded on this disk alone, when the service does not let its owner in any more. */
  readonly refusedGraceMs: number
  readonly limits?: SpoolLimits
}

export type SpoolLimits = {
  /** All that is kept while the service is away. */
  readonly maxBytes: number
  /** While the service is here and more than this is on the disk, the program is read only as fast as the service takes. Has to be
   *  more than a segment of the spool, which only goes as a whole. */
  readonly paceAboveBytes: number
}

/** How long a program that was asked to stop has before it is killed. */
const stopGraceMs = 5_000
/** How long a service has to take the rest where the machine, or the session's scope, is being shut down. */
const leaveGraceMs = 2_000
const defaultLimits: SpoolLimits = { maxBytes: 1024 * 1024 * 1024, paceAboveBytes: 256 * 1024 * 1024 }

/** Resolves when the session has ended and all of it is recorded.
 *  `started` is called once with null when the program runs, or with the reason why it never will. `stop` asks the program to end. */
export async function runSession(
  task: RunnerTask,
  started: (failure: string | null) => void,
  stop: AbortSignal,
): Promise<void> {
  try {
    const runner = new Runner(task, started)
    stop.addEventListener('abort', () => runner.stop())
    await runner.run()
  } catch (error) {
    if (!(error instanceof SpoolError)) throw error
    started(error.message)
  }
}

class Runner {
  readonly #task: RunnerTask
  readonly #started: (failure: string | null) => void
  readonly #limits: SpoolLimits
  readonly #machine: Machine
  readonly #self: ProcessIdentity
  readonly #spool: Spool
  readonly #link: RunnerLink
  readonly #commands: Commands
  readonly #screen: ScreenFeed
  /** Whether the program wants somebody to look, and nobody has typed since. */
  #wantsAttention = false
  readonly #snapshots: SnapshotSender
  readonly #gatherer = new OutputGatherer({
    offsetUs: () => this.#offsetUs(),
    chunk: (offsetUs, room) => this.#recordIn(room, 'output', offsetUs),
  })
  #pty: Pty | null = null
  #size: TerminalSize
  #input: TerminalInput | null = null
  #isPaced = false
  #startNs = 0n
  #isLeaving = false
  #seq = 0
  #recording = true
  /** The newest that is recorded, as it is recorded. */
  #driver = 'null'

  /** @throws SpoolError where nothing could be recorded */
  constructor(task: RunnerTask, started: (failure: string | null) => void) {
    this.#task = task
    this.#size = task.size
    this.#started = started
    this.#limits = task.limits ?? defaultLimits
    this.#spool = Spool.create(join(task.spoolDirectory, task.sessionId), this.#limits.maxBytes)
    try {
      const machine = thisMachine()
      const self = identify(process.pid)
      if (machine === null || self === null) {
        throw new SpoolError(
          'cannot tell who takes over from whom: the system says nothing of processes; is /proc there?',
        )
      }
      this.#machine = machine
      this.#self = self
      holdLifeline(this.#spool.directory)
      this.#describe(null)
    } catch (error) {
      removeSpool(this.#spool.directory)
      throw error
    }
    const reader = this.#spool.reader()
    this.#screen = new ScreenFeed({
      size: task.size,
      read: (seq) => reader.read(seq),
      release: (seq) => {
        this.#spool.release(seq)
        this.#pace()
      },
      events: {
        reply: (bytes) => this.#reply(bytes),
        attention: () => this.#askForAttention(),
        title: () => undefined,
      },
      failed: (error) => this.#log(`has no screen any more: ${error instanceof Error ? error.message : error}`),
    })
    this.#snapshots = new SnapshotSender(this.#screen, (frame) => this.#link.sendNow(frame))
    this.#commands = new Commands({
      input: () => this.#input,
      bracketedPaste: () => this.#screen.bracketedPaste,
      stop: (force) => this.#stop(force),
      finished: (number, reason) => this.#link.tell({ type: 'command-finished', number, reason }),
    })
    this.#link = new RunnerLink(new Client(task.socketPath), task.sessionId, this.#spool, {
      refusedGraceMs: task.refusedGraceMs,
      ready: () => this.#start(),
      connected: () => this.#link.tell({ type: 'terminal', ...this.#size }),
      progressed: () => this.#pace(),
      input: (bytes) => {
        this.#input?.type(bytes)
        this.#noteTyping()
      },
      message: (message) => this.#receive(message),
      refusedForGood: (reason) => this.#stopRefused(reason),
    })
  }

  async run(): Promise<void> {
    const end = await this.#link.run()
    this.#screen.stop()
    switch (end.kind) {
      case 'complete':
        this.#removeSpool()
        return
      case 'failed':
        this.#fail(end.reason)
        // Before the first chunk there is nothing that anybody could miss.
        if (this.#seq === 0) this.#removeSpool()
        else this.#log(`what the service does not have of it stays in ${this.#spool.directory}`)
        return
      case 'refused':
      case 'away':
        this.#log(`given up: ${end.reason}; what the service does not have of it stays in ${this.#spool.directory}`)
    }
  }

  /** As when its terminal is closed. Whoever shuts down waits for us, and the service may be down already: what it does not take at
   *  once is on the disk, and the next telec command delivers it. */
  stop(): void {
    this.#isLeaving = true
    if (this.#pty === null) this.#leave()
    else this.#hangUp()
  }

  #leave(): void {
    setTimeout(() => this.#link.giveUp(), leaveGraceMs)
  }

  #start(): void {
    this.#startNs = process.hrtime.bigint()
    try {
      const pty = spawnPty(
        { ...this.#task, env: sessionEnvironment(this.#task.sessionId) },
        {
          output: (bytes) => this.#gatherer.add(bytes),
          exited: (exit) => this.#exited(exit),
        },
      )
      this.#pty = pty
      this.#input = new TerminalInput((bytes) => pty.write(bytes))
      this.#describe(identify(pty.pid))
      this.#started(null)
    } catch (error) {
      if (error instanceof SpoolError) this.#abort(error.message)
      this.#started(error instanceof Error ? error.message : String(error))
      if (this.#pty === null) this.#exited({ kind: 'exited', code: 126 })
    }
  }

  /** Says on the disk who we are, for whoever has to take over.
   *  @throws SpoolError where nobody could */
  #describe(program: ProcessIdentity | null): void {
    const { sessionId, socketPath } = this.#task
    try {
      writeSessionFile(this.#spool.directory, {
        sessionId,
        socketPath,
        machine: this.#machine,
        runner: this.#self,
        program,
      })
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      throw new SpoolError(`cannot write to the spool ${this.#spool.directory}: ${why}`, { cause: error })
    }
  }

  #removeSpool(): void {
    this.#spool.close()
    removeSpool(this.#spool.directory)
  }

  #receive(message: RunnerMessage): void {
    switch (message.type) {
      case 'resize':
        this.#resize({ cols: message.cols, rows: message.rows })
        return
      case 'driver':
        this.#recordDriver(message.driver)
        return
      case 'command':
        if (message.request.kind === 'send') this.#noteTyping()
        this.#commands.add(message.number, message.request)
        return
      case 'snapshot':
        this.#gatherer.flush()
        this.#snapshots.begin().catch((error: unknown) => this.#log(`cannot show its screen: ${error}`))
        return
      case 'snapshot-more':
        this.#snapshots.sendPart()
    }
  }

  /** Where somebody drives, their terminal answers. What is not asked just now, a program may take for something else. */
  #reply(bytes: Buffer): void {
    if (this.#driver === 'null' && this.#screen.isCurrent) this.#input?.type(bytes)
  }

  #askForAttention(): void {
    if (this.#wantsAttention) return
    this.#wantsAttention = true
    this.#link.tell({ type: 'agent', state: 'waiting' })
  }

  #noteTyping(): void {
    if (!this.#wantsAttention) return
    this.#wantsAttention = false
    this.#link.tell({ type: 'agent', state: 'unknown' })
  }

  #offsetUs(): number {
    return Number((process.hrtime.bigint() - this.#startNs) / 1000n)
  }

  #record(kind: ChunkKind, offsetUs: number, bytes: Uint8Array): void {
    const room = Buffer.allocUnsafe(chunkRoomBytes + bytes.length)
    room.set(bytes, chunkRoomBytes)
    this.#recordIn(room, kind, offsetUs)
  }

  /** The bytes stand after room for what goes before them. */
  #recordIn(room: Buffer, kind: ChunkKind, offsetUs: number): void {
    if (!this.#recording) return
    const seq = this.#seq + 1
    const frame = room.subarray(recordHeadBytes)
    writeChunkHeader(frame, { seq, kind, offsetUs })
    try {
      this.#spool.appendRecord(seq, room)
    } catch (error) {
      if (!(error instanceof SpoolError)) throw error
      this.#abort(error.message)
      return
    }
    this.#seq = seq
    this.#link.send(seq, frame)
    this.#screen.recorded(seq, frame.length)
    this.#pace()
  }

  /** A program that says more than the service can take for long would fill the spool, and be killed for it. While the service is
   *  away it goes on to the limit: nobody knows how long that will be. */
  #pace(): void {
    const isOver = this.#link.isConnected && this.#spool.bytes > this.#limits.paceAboveBytes
    if (isOver === this.#isPaced) return
    this.#isPaced = isOver
    if (isOver) this.#pty?.pause()
    else this.#pty?.resume()
  }

  /** For what has to be said when the spool takes nothing more: it is short, and kept in memory. */
  #recordLastWords(kind: ChunkKind, bytes: Uint8Array): void {
    this.#seq += 1
    const frame = encodeChunk({ seq: this.#seq, kind, offsetUs: this.#offsetUs(), bytes })
    this.#spool.keepInMemory(this.#seq, frame)
    this.#link.send(this.#seq, frame)
    this.#screen.recorded(this.#seq, frame.length)
  }

  #resize(size: TerminalSize): void {
    if (this.#pty === null || (size.cols === this.#size.cols && size.rows === this.#size.rows)) return
    this.#size = size
    this.#gatherer.flush()
    this.#pty.resize(size)
    this.#record('resize', this.#offsetUs(), encodeResize(size))
  }

  /** The service tells again after each break. Nothing follows the exit. */
  #recordDriver(driver: Driver | null): void {
    const text = JSON.stringify(driver)
    if (this.#pty === null || text === this.#driver) return
    this.#driver = text
    this.#gatherer.flush()
    this.#record('driver', this.#offsetUs(), Buffer.from(text))
  }

  #exited(exit: SessionExit): void {
    // From here on its process number may be another's.
    this.#pty = null
    this.#input = null
    this.#gatherer.flush()
    const bytes = Buffer.from(JSON.stringify(exit))
    this.#record('exit', this.#offsetUs(), bytes)
    if (!this.#recording) this.#recordLastWords('exit', bytes)
    this.#link.giveUpIfRefused()
    if (this.#isLeaving) this.#leave()
  }

  #stop(force: boolean): void {
    if (force) this.#signal('SIGKILL')
    else this.#hangUp()
  }

  /** What a terminal does to its programs when its window is closed; then what no program can ignore. */
  #hangUp(): void {
    this.#signal('SIGHUP')
    setTimeout(() => this.#signal('SIGKILL'), stopGraceMs).unref()
  }

  /** Its end is recorded as any other: should its owner be let in before that, the service has all of it. */
  #stopRefused(reason: string): void {
    if (this.#pty === null) {
      this.#link.giveUpIfRefused()
      return
    }
    this.#log(`stopped: ${reason}`)
    this.#gatherer.flush()
    this.#record('output', this.#offsetUs(), stopNotice(reason))
    this.#hangUp()
  }

  /** To the program's whole process group: it is the leader of its session. A stopped one has to be woken to hear it. */
  #signal(signal: 'SIGHUP' | 'SIGCONT' | 'SIGKILL'): void {
    if (this.#pty === null) return
    try {
      process.kill(-this.#pty.pid, signal)
      if (signal === 'SIGHUP') process.kill(-this.#pty.pid, 'SIGCONT')
    } catch (error) {
      // ESRCH: it has ended by itself meanwhile.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }

  #abort(reason: string): void {
    this.#recording = false
    this.#log(`stopped: ${reason}`)
    this.#recordLastWords('output', stopNotice(reason))
    this.#signal('SIGKILL')
  }

  /** The service takes nothing more: the program must not go on unrecorded. */
  #fail(reason: string): void {
    this.#recording = false
    this.#log(`stopped: ${reason}`)
    if (this.#startNs === 0n) this.#started(reason)
    this.#signal('SIGKILL')
  }

  #log(text: string): void {
    process.stderr.write(`session ${this.#task.sessionId} ${text}\n`)
  }
}

function stopNotice(reason: string): Buffer {
  return Buffer.from(`\r\n[TeleClaude stopped this session: ${neutralise(reason)}]\r\n`)
}
