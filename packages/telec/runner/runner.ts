// Runs one session: starts the program on a PTY once the service listens, records all it shows, and stays until the service
// has everything. Nothing runs unrecorded: where recording can't go on, the program is stopped and the terminal says so. That is
// also what becomes of it where its owner is not let in any more and stays so.

import { join } from 'node:path'
import { Client } from '@teleclaude/client/client.ts'
import type { SessionExit, TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { type ChunkKind, encodeChunk, encodeResize, maxChunkBytes } from '@teleclaude/core/transcript.ts'
import { RunnerLink } from './link.ts'
import { type Pty, spawnPty } from './pty.ts'
import { Spool, SpoolError } from './spool.ts'

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
}

/** Output gathers for this long once there is a lot of it; the first byte after a pause goes at once. */
const gatherMs = 8
/** How long a program that was asked to stop has before it is killed. */
const stopGraceMs = 5_000
const maxSpoolBytes = 1024 * 1024 * 1024

/** Resolves when the session has ended and all of it is recorded.
 *  `started` is called once with null when the program runs, or with the reason why it never will. */
export async function runSession(task: RunnerTask, started: (failure: string | null) => void): Promise<void> {
  const runner = new Runner(task, started)
  await runner.run()
}

class Runner {
  readonly #task: RunnerTask
  readonly #started: (failure: string | null) => void
  readonly #spool: Spool
  readonly #link: RunnerLink
  readonly #gathered = Buffer.allocUnsafe(maxChunkBytes)
  #gatheredBytes = 0
  #gatheredAtUs = 0
  #cancelFlush: (() => void) | null = null
  #lastFlushMs = 0
  #pty: Pty | null = null
  #startNs = 0n
  #seq = 0
  #recording = true

  constructor(task: RunnerTask, started: (failure: string | null) => void) {
    this.#task = task
    this.#started = started
    this.#spool = new Spool(join(task.spoolDirectory, task.sessionId), maxSpoolBytes)
    this.#link = new RunnerLink(new Client(task.socketPath), task.sessionId, this.#spool, {
      refusedGraceMs: task.refusedGraceMs,
      ready: () => this.#start(),
      input: (bytes) => this.#pty?.write(bytes),
      message: (message) => {
        if (message.type === 'resize') this.#resize({ cols: message.cols, rows: message.rows })
        else this.#stop(message.number, message.force)
      },
      refusedForGood: (reason) => this.#stopRefused(reason),
    })
  }

  async run(): Promise<void> {
    const end = await this.#link.run()
    if (end.kind === 'refused') {
      this.#log(`given up: ${end.reason}; what the service does not have of it stays in ${this.#spool.directory}`)
      return
    }
    if (end.kind === 'failed') this.#fail(end.reason)
    this.#spool.remove()
  }

  #start(): void {
    this.#startNs = process.hrtime.bigint()
    try {
      this.#pty = spawnPty(
        { ...this.#task, env: sessionEnvironment(this.#task.sessionId) },
        {
          output: (bytes) => this.#gather(bytes),
          exited: (exit) => this.#exited(exit),
        },
      )
      this.#started(null)
    } catch (error) {
      this.#started(error instanceof Error ? error.message : String(error))
      this.#exited({ kind: 'exited', code: 126 })
    }
  }

  #offsetUs(): number {
    return Number((process.hrtime.bigint() - this.#startNs) / 1000n)
  }

  #gather(bytes: Buffer): void {
    if (this.#gatheredBytes === 0) this.#gatheredAtUs = this.#offsetUs()
    let taken = 0
    while (taken < bytes.length) {
      const copied = bytes.copy(this.#gathered, this.#gatheredBytes, taken)
      taken += copied
      this.#gatheredBytes += copied
      if (this.#gatheredBytes === maxChunkBytes) {
        this.#flush()
        this.#gatheredAtUs = this.#offsetUs()
      }
    }
    if (this.#gatheredBytes > 0 && this.#cancelFlush === null) this.#flushSoon()
  }

  #flushSoon(): void {
    const waitedMs = performance.now() - this.#lastFlushMs
    if (waitedMs >= gatherMs) {
      const immediate = setImmediate(() => this.#flush())
      this.#cancelFlush = () => clearImmediate(immediate)
    } else {
      const timer = setTimeout(() => this.#flush(), gatherMs - waitedMs)
      this.#cancelFlush = () => clearTimeout(timer)
    }
  }

  #flush(): void {
    this.#cancelFlush?.()
    this.#cancelFlush = null
    this.#lastFlushMs = performance.now()
    if (this.#gatheredBytes === 0) return
    const bytes = this.#gathered.subarray(0, this.#gatheredBytes)
    this.#gatheredBytes = 0
    this.#record('output', this.#gatheredAtUs, bytes)
  }

  #record(kind: ChunkKind, offsetUs: number, bytes: Uint8Array): void {
    if (!this.#recording) return
    const seq = this.#seq + 1
    const frame = encodeChunk({ seq, kind, offsetUs, bytes })
    try {
      this.#spool.append(seq, frame)
    } catch (error) {
      if (!(error instanceof SpoolError)) throw error
      this.#abort(error.message)
      return
    }
    this.#seq = seq
    this.#link.send(seq, frame)
  }

  /** For what has to be said when the spool takes nothing more: it is short, and kept in memory. */
  #recordLastWords(kind: ChunkKind, bytes: Uint8Array): void {
    this.#seq += 1
    const frame = encodeChunk({ seq: this.#seq, kind, offsetUs: this.#offsetUs(), bytes })
    this.#spool.keepInMemory(this.#seq, frame)
    this.#link.send(this.#seq, frame)
  }

  #resize(size: TerminalSize): void {
    if (this.#pty === null) return
    this.#flush()
    this.#pty.resize(size)
    this.#record('resize', this.#offsetUs(), encodeResize(size))
  }

  #exited(exit: SessionExit): void {
    // From here on its process number may be another's.
    this.#pty = null
    this.#flush()
    const bytes = Buffer.from(JSON.stringify(exit))
    this.#record('exit', this.#offsetUs(), bytes)
    if (!this.#recording) this.#recordLastWords('exit', bytes)
    this.#link.giveUpIfRefused()
  }

  #stop(number: number, force: boolean): void {
    if (force) this.#signal('SIGKILL')
    else this.#hangUp()
    this.#link.tell({ type: 'command-finished', number, reason: null })
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
    this.#flush()
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

/** The caller's environment, less what describes the terminal it was typed in, and the service's secrets. */
function sessionEnvironment(sessionId: string): Record<string, string> {
  const { COLUMNS: _columns, LINES: _lines, TERMCAP: _termcap, ...inherited } = process.env
  const env: Record<string, string> = { TERM: 'xterm-256color', TELECLAUDE_SESSION_ID: sessionId }
  for (const [name, value] of Object.entries(inherited)) {
    const isOurs = name === 'TELECLAUDE_SESSION_ID' || name.startsWith('TELECLAUDE_SECRET_')
    if (value !== undefined && !isOurs) env[name] = value
  }
  return env
}
