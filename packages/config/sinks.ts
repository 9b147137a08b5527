// Where the auditor ships the audit log, as the machine's configuration says it.

import { auditFileMb } from './defaults.ts'
import type { Layers } from './layers.ts'
import { sinkNameOf, sinksSchema, type WrittenSink } from './schema/audit.ts'
import type { Secret } from './secret.ts'
import type { KeyPath } from './yaml.ts'

export type SinkConfig = {
  /** Unlike that of any other. */
  readonly name: string
  /** `native`: the exact bytes that the log is made of. `ocsf`: Open Cybersecurity Schema Framework. */
  readonly format: 'native' | 'ocsf'
} & (
  | {
      readonly kind: 'file'
      readonly maxBytes: number
      /** Closed files that are kept; null for all. */
      readonly keepFiles: number | null
    }
  | {
      readonly kind: 'syslog'
      readonly to:
        | { readonly via: 'socket'; readonly path: string }
        | { readonly via: 'tcp' | 'tls'; readonly host: string; readonly port: number; readonly caFile: string | null }
    }
  | { readonly kind: 'webhook'; readonly url: string; readonly secret: Secret; readonly caFile: string | null }
  | {
      readonly kind: 'otlp'
      readonly url: string
      /** Lines of "Name: value". */
      readonly headers: Secret | null
      readonly caFile: string | null
    }
)

const at: KeyPath = ['audit', 'sinks']

function writtenSinks(layers: Layers): readonly WrittenSink[] {
  const audit: unknown = Reflect.get(Object(layers.file.yaml.value), 'audit')
  // What is wrong with them is among the file's faults.
  return sinksSchema.safeParse(Reflect.get(Object(audit), 'sinks')).data ?? []
}

/** At least one. What is wrong makes the layers' `finish` throw. */
export function readSinks(layers: Layers): readonly SinkConfig[] {
  const written = writtenSinks(layers)
  if (written.length === 0) return [fileSink('file', {})]
  layers.note('audit.sinks', written.map(sinkNameOf).join(', '), at)
  return written.flatMap((sink, index) => readSink(layers, sink, [...at, index]) ?? [])
}

/** For services that ship nothing: the secrets of the sinks are not theirs to read. */
export function passOverSinks(layers: Layers): void {
  for (const { webhook, otlp } of writtenSinks(layers)) {
    for (const reference of [webhook?.secret, otlp?.headers])
      if (reference !== undefined) layers.passOver(reference.secret)
  }
}

/** Names of those of which it can't be told whether they have got what was sent to them. */
export function unconfirmedSinks(layers: Layers): readonly string[] {
  return writtenSinks(layers)
    .filter(({ syslog }) => syslog !== undefined)
    .map(sinkNameOf)
}

function fileSink(name: string, { max_mb = auditFileMb, keep_files }: NonNullable<WrittenSink['file']>): SinkConfig {
  return { name, format: 'native', kind: 'file', maxBytes: max_mb * 1_000_000, keepFiles: keep_files ?? null }
}

/** Null where a secret of it is missing, which has been said. */
function readSink(layers: Layers, sink: WrittenSink, path: KeyPath): SinkConfig | null {
  const base = { name: sinkNameOf(sink), format: sink.format ?? 'native' } as const
  const { syslog, webhook, otlp } = sink
  if (syslog !== undefined) {
    if (syslog.socket !== undefined) return { ...base, kind: 'syslog', to: { via: 'socket', path: syslog.socket } }
    const via = syslog.tls === undefined ? 'tcp' : 'tls'
    return {
      ...base,
      kind: 'syslog',
      to: { via, ...splitHostAndPort(syslog[via] ?? ''), caFile: syslog.ca_file ?? null },
    }
  }
  if (webhook !== undefined) {
    const secret = layers.secretAt(webhook.secret.secret, [...path, 'webhook', 'secret'])
    return secret && { ...base, kind: 'webhook', url: webhook.url, secret, caFile: webhook.ca_file ?? null }
  }
  if (otlp !== undefined) {
    const { url, headers: reference, ca_file } = otlp
    const headers = reference === undefined ? null : layers.secretAt(reference.secret, [...path, 'otlp', 'headers'])
    if (reference !== undefined && headers === null) return null
    return { ...base, kind: 'otlp', url, headers, caFile: ca_file ?? null }
  }
  return fileSink(base.name, sink.file ?? {})
}

/** An IPv6 address without its brackets, as connecting wants it. */
function splitHostAndPort(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}
