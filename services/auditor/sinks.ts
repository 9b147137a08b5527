// The sinks that the configuration names.

import type { SinkConfig } from '@teleclaude/config/sinks.ts'
import type { Store } from '@teleclaude/store/contract.ts'
import type { Logger } from 'pino'
import { FileSink } from './file-sink.ts'
import { OtlpSink } from './otlp-sink.ts'
import { renderers } from './render.ts'
import type { Sink } from './sink.ts'
import { SyslogSink } from './syslog-sink.ts'
import type { VerifiedLog } from './verified-log.ts'
import { WebhookSink } from './webhook-sink.ts'

export type SinkSurroundings = {
  readonly directory: string
  readonly store: Store
  readonly log: VerifiedLog
  readonly logger: Logger
  /** Nothing up to this entry is shipped any more: what an admin has accepted as it is can't be shown to be the log. */
  readonly startAfter: number
}

/** @param all of them: what the others have is what a file may forget */
export function makeSink(config: SinkConfig, all: readonly SinkConfig[], surroundings: SinkSurroundings): Sink {
  const render = renderers[config.format]
  const { store, log, startAfter } = surroundings
  switch (config.kind) {
    case 'file': {
      const others = all.filter(({ name }) => name !== config.name).map(({ name }) => name)
      const othersHave = () => completeThrough(store, log.host, others)
      return new FileSink({ ...surroundings, name: config.name, rule: { ...config, startAfter }, othersHave })
    }
    case 'syslog':
      return new SyslogSink({ ...config, render })
    case 'webhook':
      return new WebhookSink({ ...config, render })
    case 'otlp':
      return new OtlpSink({ ...config, host: log.host, render })
  }
}

export function confirms({ kind }: SinkConfig): boolean {
  return kind !== 'syslog'
}

/** The entry up to which all of these sinks have everything, nothing parked. */
async function completeThrough(store: Store, host: string, names: readonly string[]): Promise<number> {
  const found = await store.auditor.listSinks(host)
  const marks = names.map((name) => {
    const progress = found.find(({ sink }) => sink === name)
    return progress === undefined
      ? 0
      : Math.min(progress.seq, (progress.firstParkedSeq ?? Number.POSITIVE_INFINITY) - 1)
  })
  return Math.min(Number.MAX_SAFE_INTEGER, ...marks)
}

/** The sink whose files are in the auditor's directory. */
export function fileSinkOf(sinks: readonly SinkConfig[]): { readonly name: string; readonly keepsAll: boolean } | null {
  const file = sinks.find((sink) => sink.kind === 'file')
  return file === undefined ? null : { name: file.name, keepsAll: file.keepFiles === null }
}
