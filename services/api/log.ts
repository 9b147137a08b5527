// The service's own log: JSON lines on standard output, for whoever runs it.

import type { LogLevel } from '@teleclaude/config/log-level.ts'
import { type Logger, pino } from 'pino'

/** @param settings null while they are not known yet */
export function createLog(settings: { readonly host: string; readonly logLevel: LogLevel } | null): Logger {
  const base = settings === null ? null : { host: settings.host }
  return pino({ level: settings?.logLevel ?? 'info', base, timestamp: pino.stdTimeFunctions.isoTime })
}
