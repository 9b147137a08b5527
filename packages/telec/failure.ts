// What a command ends with: a message for a person, and an exit code of sysexits.h.

export const exitCodes = {
  usage: 64,
  data: 65,
  unavailable: 69,
  software: 70,
  notPermitted: 77,
  config: 78,
  /** timeout(1): what took longer than it may. */
  timedOut: 124,
  /** POSIX shell, 2.8.2: a command that was found but can't be executed, and one that was not found. */
  notExecutable: 126,
  notFound: 127,
} as const

/** A failure whose message is all that a person needs: "cannot <do> <what>: <why>", and what to do next. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: number
  constructor(exitCode: number, message: string, options?: { readonly cause?: unknown }) {
    super(message, options)
    this.exitCode = exitCode
  }
}
