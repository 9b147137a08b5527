// What the running auditor says of itself, in a file beside the audit log: `status` reads it and asks nobody.

import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatInstant, nowUs } from '@teleclaude/core/instant.ts'
import type { AuditorWord } from '@teleclaude/store/audit-contract.ts'
import type { Logger } from 'pino'
import { z } from 'zod'
import { nullIfAbsent } from './audit-file.ts'

export const auditorStates = [
  /** Everything there is gets checked and shipped. */
  'shipping',
  /** The database, the disk or a sink does not let it; it tries again and again. */
  'waiting',
  /** The audit log is not what it should be: nothing beyond that is cosigned or shipped. */
  'alarm',
  'stopped',
] as const

export type AuditorState = (typeof auditorStates)[number]

const logLevels = { shipping: 'info', waiting: 'warn', alarm: 'error', stopped: 'info' } as const

const sinkWordSchema = z.strictObject({
  name: z.string(),
  state: z.enum(['shipping', 'waiting', 'alarm']),
  message: z.string().nullable(),
})
export type SinkWord = z.infer<typeof sinkWordSchema>

const heartbeatSchema = z.strictObject({
  host: z.string(),
  pid: z.int(),
  at: z.iso.datetime(),
  startedAt: z.iso.datetime(),
  state: z.enum(auditorStates),
  /** Why it is in that state, for a person. */
  message: z.string().nullable(),
  sinks: z.array(sinkWordSchema),
})
export type Heartbeat = z.infer<typeof heartbeatSchema>

export type SaidWord = Pick<AuditorWord, 'state' | 'message' | 'atUs' | 'startedAtUs'>

const fileIn = (directory: string) => join(directory, 'auditor.json')

/** The state of this process: logged when it changes, written again at each beat. */
export class Heart {
  readonly #directory: string
  readonly #host: string
  readonly #log: Logger
  /** Null until it knows that it is the one: another auditor may be at work in the directory. */
  #state: { readonly state: AuditorState; readonly message: string | null } | null = null
  #writing: Promise<void> = Promise.resolve()
  #reason = ''
  #canWrite = true
  readonly #startedUs = nowUs()
  #sinks: readonly SinkWord[] = []
  /** Tells the database, where it can be told. */
  #tell: ((word: SaidWord) => Promise<void>) | null = null

  constructor(directory: string, host: string, log: Logger) {
    this.#directory = directory
    this.#host = host
    this.#log = log
  }

  /** @param tell resolves also where the database could not be told */
  tellWith(tell: (word: SaidWord) => Promise<void>): void {
    this.#tell = tell
  }

  /** Of the sinks, at the next beat. */
  note(sinks: readonly SinkWord[]): void {
    this.#sinks = sinks
  }

  /** @param because why it is in that state. The same state is said once for each code that errors have. */
  async become(state: AuditorState, because: Error | null = null): Promise<void> {
    const message = because === null ? null : because.message
    if (state === this.#state?.state && message === this.#state.message) return
    this.#state = { state, message }
    const reason = because !== null && 'code' in because ? `${state}: ${because.code}` : state
    if (reason !== this.#reason) this.#log[logLevels[state]]({ state, err: because ?? undefined }, message ?? state)
    this.#reason = reason
    await this.beat()
  }

  /** One after the other. A directory that can't be written makes the word go stale, which is what `status` then sees. */
  beat(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    if (this.#state === null) return
    const file = fileIn(this.#directory)
    const atUs = nowUs()
    const word: Heartbeat = {
      host: this.#host,
      pid: process.pid,
      at: formatInstant(atUs),
      startedAt: formatInstant(this.#startedUs),
      ...this.#state,
      sinks: [...this.#sinks],
    }
    try {
      await writeFile(`${file}.new`, `${JSON.stringify(word)}\n`, { mode: 0o640 })
      await rename(`${file}.new`, file)
      this.#canWrite = true
    } catch (error) {
      if (this.#canWrite) this.#log.warn({ err: error }, `cannot write ${file}: status can't see this auditor`)
      this.#canWrite = false
    }
    await this.#tell?.({ ...this.#state, atUs, startedAtUs: this.#startedUs })
  }
}

/** Null where none has been written. */
export async function readHeartbeat(directory: string): Promise<Heartbeat | null> {
  const text = await readFile(fileIn(directory), 'utf8').catch(nullIfAbsent)
  if (text === null) return null
  const parsed = heartbeatSchema.safeParse(parseJson(text))
  if (!parsed.success) throw new Error(`cannot read ${fileIn(directory)}: it is not what an auditor writes; remove it`)
  return parsed.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The schema says what is wrong.
    return undefined
  }
}
