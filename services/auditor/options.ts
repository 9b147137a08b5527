// What an auditor is run with.

import type { SinkConfig } from '@teleclaude/config/sinks.ts'
import type { StoreTarget } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'

export type AuditorOptions = {
  readonly target: StoreTarget
  readonly host: string
  /** Of the audit files, and of the auditor's own. */
  readonly directory: string
  readonly sinks: readonly SinkConfig[]
  readonly log: Logger
}
