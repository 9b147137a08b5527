// The bench's side of a program in `programs/`: a process of its own, on its own core, that does what it is asked to.

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { z } from 'zod'
import { pin } from './cores.ts'

const answerSchema = z.union([z.object({ answer: z.unknown() }), z.object({ failure: z.string() })])

export class Program {
  readonly #name: string
  readonly #child: ChildProcess

  private constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.#child = child
  }

  /** Resolves once it is ready. It ends with the scope, or with this process. */
  static async start(
    scope: AsyncDisposableStack,
    name: string,
    options: { readonly args: readonly string[]; readonly core: string | undefined },
  ): Promise<Program> {
    const child = fork(join(import.meta.dirname, 'programs', `${name}.ts`), options.args)
    const exited = once(child, 'exit')
    scope.defer(async () => {
      if (child.connected) child.disconnect()
      await exited
    })
    const program = new Program(name, child)
    await program.#nextMessage()
    pin(child.pid, options.core)
    return program
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** One thing after the other. @throws Error with what the program says went wrong */
  async ask<Schema extends z.ZodType>(schema: Schema, question: object): Promise<z.output<Schema>> {
    const said = this.#nextMessage()
    this.#child.send(question)
    const message = answerSchema.parse(await said)
    if ('failure' in message) throw new Error(`the bench's program ${this.#name} failed: ${message.failure}`)
    return schema.parse(message.answer)
  }

  async #nextMessage(): Promise<unknown> {
    const listening = new AbortController()
    const options = { signal: listening.signal }
    const [event, message] = await Promise.race([
      once(this.#child, 'message', options).then(([value]: unknown[]) => ['message', value] as const),
      once(this.#child, 'exit', options).then(() => ['exit', null] as const),
    ]).finally(() => listening.abort())
    if (event === 'exit') throw new Error(`the bench's program ${this.#name} ended: what it said is above`)
    return message
  }
}
