// What a command says at its end, and the exit code it says it with.

import { ConfigError } from '@teleclaude/config/config-error.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { StoreError } from '@teleclaude/store/contract.ts'
import { CommanderError, InvalidArgumentError } from 'commander'
import { AuditAlarm } from './alarm.ts'
import { AuditorKeyError } from './auditor-key.ts'
import { SinkConfigError, SinkError } from './sink.ts'
import { StateError } from './state.ts'

/** sysexits(3); 1 where the audit log is not what it should be. */
const exitCodes = { alarm: 1, usage: 64, unavailable: 69, software: 70, config: 78 } as const

/** Names and reasons may come from a file or a database that somebody else wrote. */
function neutralised(text: string): string {
  return `${text.split('\n').map(neutralise).join('\n')}\n`
}

export function print(text: string): void {
  process.stdout.write(neutralised(text))
}

/** Says why, on standard error, and returns the exit code. */
export function explain(error: unknown): number {
  // It has spoken already.
  if (error instanceof CommanderError) {
    if (error instanceof InvalidArgumentError) process.stderr.write(neutralised(error.message))
    return error.exitCode === 0 ? 0 : exitCodes.usage
  }
  const isExpected =
    error instanceof StoreError ||
    error instanceof ConfigError ||
    error instanceof AuditAlarm ||
    error instanceof StateError ||
    error instanceof AuditorKeyError ||
    error instanceof SinkError ||
    error instanceof SinkConfigError ||
    (error instanceof Error && 'syscall' in error)
  const text = error instanceof Error ? (isExpected ? error.message : error.stack) : String(error)
  process.stderr.write(neutralised(text ?? ''))
  if (error instanceof ConfigError) return error.exitCode
  if (error instanceof AuditAlarm) return exitCodes.alarm
  const isOfConfig = [StateError, AuditorKeyError, SinkConfigError].some((type) => error instanceof type)
  if (isOfConfig) return exitCodes.config
  if (error instanceof StoreError && error.code !== 'unavailable' && error.code !== 'lock-held') return exitCodes.config
  return isExpected ? exitCodes.unavailable : exitCodes.software
}
