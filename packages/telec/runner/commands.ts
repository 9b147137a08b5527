// Carries out what the service hands over of a session's command queue: one after the other, each to its end before the next.

import { setTimeout as delay } from 'node:timers/promises'
import type { CommandRequest } from '@teleclaude/core/command.ts'
import type { TerminalInput } from './terminal-input.ts'
import { encodeTypedText } from './typed-text.ts'

const defaultWritePatienceMs = 10_000
/** Agents take an Enter that comes together with a text for a part of what was pasted. */
const enterAfterMs = 100
/** VINTR of a terminal that nobody has set otherwise (termios(3)). */
const interruptByte = Buffer.of(0x03)
const enterByte = Buffer.from('\r')

export type CommandEvents = {
  /** Null where the program has ended, or never began. */
  input(): TerminalInput | null
  /** Whether the program asks for bracketed paste now. */
  bracketedPaste(): boolean
  /** Ends the program; returns at once. */
  stop(force: boolean): void
  /** `reason` is why it failed. */
  finished(number: number, reason: string | null): void
}

export class Commands {
  readonly #events: CommandEvents
  readonly #writePatienceMs: number
  #previous: Promise<void> = Promise.resolve()
  /** Stops that wait their turn: what is before them is not waited for. */
  #stopsAhead = 0
  #hurry = new AbortController()

  /** @param writePatienceMs how long a program may leave its terminal full */
  constructor({
    writePatienceMs = defaultWritePatienceMs,
    ...events
  }: CommandEvents & { readonly writePatienceMs?: number | undefined }) {
    this.#events = events
    this.#writePatienceMs = writePatienceMs
  }

  add(number: number, request: CommandRequest): void {
    if (request.kind === 'stop') {
      this.#stopsAhead += 1
      this.#hurry.abort()
    }
    this.#previous = this.#previous.then(async () => this.#events.finished(number, await this.#execute(request)))
  }

  /** Why it failed; null where it did not. */
  async #execute(request: CommandRequest): Promise<string | null> {
    switch (request.kind) {
      case 'stop':
        this.#stopsAhead -= 1
        if (this.#stopsAhead === 0) this.#hurry = new AbortController()
        this.#events.stop(request.force)
        return null
      case 'interrupt':
        return this.#type(interruptByte)
      case 'send':
        return this.#send(request)
    }
  }

  async #send({ text, enter }: Extract<CommandRequest, { kind: 'send' }>): Promise<string | null> {
    const { bytes, ifCutShort } = encodeTypedText(text, this.#events.bracketedPaste())
    const failure = await this.#type(bytes, ifCutShort)
    if (failure !== null || !enter) return failure
    await delay(enterAfterMs)
    return this.#type(enterByte)
  }

  async #type(bytes: Buffer, ifCutShort: Buffer = Buffer.alloc(0)): Promise<string | null> {
    const input = this.#events.input()
    if (input === null) return 'the program has ended'
    const patience = AbortSignal.any([AbortSignal.timeout(this.#writePatienceMs), this.#hurry.signal])
    const taken = await input.write(bytes, patience)
    if (taken === bytes.length) return null
    if (this.#events.input() === null) return `the program has ended; ${taken} of ${bytes.length} bytes were typed`
    if (taken > 0 && ifCutShort.length > 0) input.type(ifCutShort)
    const why = this.#hurry.signal.aborted ? 'the session is being stopped' : 'the program does not read its input'
    return `${why}; ${taken} of ${bytes.length} bytes were typed`
  }
}
