// What a command of the migrator ends with: facts for programs, text for people, and an exit code of sysexits(3).

import { ConfigError } from '@teleclaude/config/config-error.ts'
import type { TableOptions } from '@teleclaude/core/table.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { StoreError, type StoreErrorCode, type StoreTarget } from '@teleclaude/store/contract.ts'
import { CommanderError } from 'commander'

export type Deployment = { readonly target: StoreTarget; readonly host: string }

export type Answer = { readonly exitCode: number; readonly text: string; readonly facts: object }

export const exitCodes = { differs: 1, usage: 64, data: 65, unavailable: 69, software: 70, notPermitted: 77 } as const

/** What the database's role was not permitted to do; the message has what somebody else has to run. */
export class NotPermittedError extends Error {
  override readonly name = 'NotPermittedError'
}

const storeExitCodes: Readonly<Record<StoreErrorCode, number>> = {
  unavailable: exitCodes.unavailable,
  'schema-older': exitCodes.unavailable,
  'lock-held': exitCodes.unavailable,
  'not-a-database': exitCodes.data,
  'schema-newer': exitCodes.data,
  'migration-edited': exitCodes.data,
  'not-writable': exitCodes.notPermitted,
  'migration-failed': exitCodes.software,
  'sequence-broken': exitCodes.software,
  'audit-broken': exitCodes.data,
}

/** Says on standard error what went wrong, and returns the exit code that says it to a program. */
export function explain(error: unknown): number {
  // Commander has said it itself.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage
  const exitCode = exitCodeOf(error)
  const isOurFault = exitCode === exitCodes.software && error instanceof Error && !(error instanceof StoreError)
  print(
    process.stderr,
    isOurFault ? (error.stack ?? error.message) : error instanceof Error ? error.message : String(error),
  )
  return exitCode
}

function exitCodeOf(error: unknown): number {
  if (error instanceof ConfigError) return error.exitCode
  if (error instanceof NotPermittedError) return exitCodes.notPermitted
  return error instanceof StoreError ? storeExitCodes[error.code] : exitCodes.software
}

/** Names come from a database that somebody else may have written to. */
export function print(stream: NodeJS.WriteStream, text: string): void {
  stream.write(`${text.split('\n').map(neutralise).join('\n')}\n`)
}

/** Nothing is cut, for each cell may be what somebody has to know. Colours would not survive `print`. */
export const tableOptions: TableOptions = { width: null, colour: false }
