// The service's own log: JSON lines on standard output, for whoever runs it.

import type { LogLevel } from '@teleclaude/config/settings.ts'
import { type Logger, pino } from 'pino'

export function createLog({ host, logLevel }: { readonly host: string; readonly logLevel: LogLevel }): Logger {
  return pino({ level: logLevel, base: { host }, timestamp: pino.stdTimeFunctions.isoTime })
}
