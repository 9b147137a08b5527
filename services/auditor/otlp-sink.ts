// Sink: entries as log records of OpenTelemetry, in JSON over HTTP (OTLP/HTTP, https://opentelemetry.io/docs/specs/otlp/).

import type { Secret } from '@teleclaude/config/secret.ts'
import { auditEntryId } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { z } from 'zod'
import { type Answer, describeAnswer, describeFailure, HttpsPost, isAboutContent } from './https-post.ts'
import { identify, type RenderEntry } from './render.ts'
import { confirmed, type Delivery, refused, type Sink, unavailable } from './sink.ts'

export type OtlpOptions = {
  readonly name: string
  readonly host: string
  /** With its path: `/v1/logs`. */
  readonly url: string
  /** Lines of `Name: value`. */
  readonly headers: Secret | null
  readonly caFile: string | null
  readonly render: RenderEntry
  readonly timeoutMs?: number
}

/** ExportLogsServiceResponse; a count of 64 bits is text in the JSON of Protocol Buffers. */
const answerSchema = z.looseObject({
  partialSuccess: z
    .looseObject({
      rejectedLogRecords: z.union([z.int(), z.string().regex(/^\d{1,15}$/)]).optional(),
      errorMessage: z.string().optional(),
    })
    .nullish(),
})

/** SeverityNumber: INFO, WARN. */
const info = 9
const warn = 13

export class OtlpSink implements Sink {
  readonly name: string
  readonly confirms = true
  readonly limit = { maxEntries: 500, maxBytes: 512 * 1024 }
  readonly maxPauseMs = 60_000
  readonly #options: OtlpOptions
  readonly #post: HttpsPost

  constructor(options: OtlpOptions) {
    const { name, url, caFile, timeoutMs = 15_000 } = options
    this.name = name
    this.#options = options
    this.#post = new HttpsPost({ url, caFile, timeoutMs })
  }

  async deliver(batch: readonly StoredAuditEntry[], stop: AbortSignal): Promise<Delivery> {
    const body = Buffer.from(JSON.stringify(this.#request(batch)), 'utf8')
    const headers = { ...parseHeaders(this.#options.headers), 'content-type': 'application/json' }
    try {
      const answer = await this.#post.send(headers, body, stop)
      if (answer.status === 200) return readSuccess(answer, batch.length)
      const why = describeAnswer(answer)
      return isAboutContent(answer.status) ? refused(why) : unavailable(why, answer.retryAfterMs)
    } catch (error) {
      return unavailable(describeFailure(error))
    }
  }

  #request(batch: readonly StoredAuditEntry[]) {
    const { host, render } = this.#options
    return {
      resourceLogs: [
        {
          resource: { attributes: [text('service.name', 'teleclaude'), text('host.name', host)] },
          scopeLogs: [
            { scope: { name: 'teleclaude.audit' }, logRecords: batch.map((entry) => toRecord(entry, render)) },
          ],
        },
      ],
    }
  }

  async close(): Promise<void> {
    this.#post.close()
  }
}

function toRecord(entry: StoredAuditEntry, render: RenderEntry) {
  const said = identify(entry)
  const isAlarm = said.action === 'alarm.raised'
  return {
    timeUnixNano: String(BigInt(Date.parse(said.at)) * 1_000_000n),
    severityNumber: isAlarm ? warn : info,
    severityText: isAlarm ? 'WARN' : 'INFO',
    eventName: said.action,
    body: { stringValue: render(entry) },
    attributes: [
      text('teleclaude.audit.id', auditEntryId(said)),
      text('teleclaude.audit.action', said.action),
      ...(typeof said.actor.person === 'string' ? [text('enduser.id', said.actor.person)] : []),
      ...(said.session === null ? [] : [text('session.id', said.session.id)]),
    ],
  }
}

function text(key: string, value: string) {
  return { key, value: { stringValue: value } }
}

/** Some of the records may have been taken: which, it does not say. */
function readSuccess(answer: Answer, sent: number): Delivery {
  const parsed = answerSchema.safeParse(parseJson(answer))
  if (answer.isCut || !parsed.success)
    return unavailable(`it answers like no receiver of OTLP: ${describeAnswer(answer)}`)
  const { rejectedLogRecords, errorMessage } = parsed.data.partialSuccess ?? {}
  const rejected = Number(rejectedLogRecords ?? 0)
  if (rejected === 0) return confirmed
  return refused(`it took all but ${rejected} of ${sent}: ${errorMessage ?? 'it does not say why'}`, rejected >= sent)
}

/** An empty answer is an empty message. */
function parseJson({ body }: Answer): unknown {
  if (body.length === 0) return {}
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

function parseHeaders(lines: Secret | null): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const line of lines?.reveal().split('\n') ?? []) {
    const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*(.*?)\s*$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) headers[name.toLowerCase()] = value
  }
  return headers
}
