// Sink: batches of entries as Standard Webhooks, signed so that the receiver knows whom they are from
// (https://www.standardwebhooks.com). Entries stand in the message as their exact bytes.

import type { Secret } from '@teleclaude/config/secret.ts'
import { auditEntryId } from '@teleclaude/core/audit.ts'
import type { StoredAuditEntry } from '@teleclaude/store/audit-contract.ts'
import { Webhook } from 'standardwebhooks'
import { describeAnswer, describeFailure, HttpsPost, isAboutContent } from './https-post.ts'
import { identify, type RenderEntry } from './render.ts'
import { confirmed, type Delivery, refused, type Sink, SinkConfigError, unavailable } from './sink.ts'

export type WebhookOptions = {
  readonly name: string
  readonly url: string
  /** `whsec_` and base64. */
  readonly secret: Secret
  readonly caFile: string | null
  readonly render: RenderEntry
  readonly timeoutMs?: number
}

const messageType = 'teleclaude.audit'

export class WebhookSink implements Sink {
  readonly name: string
  readonly confirms = true
  /** Receivers commonly take up to 1 MiB. */
  readonly limit = { maxEntries: 500, maxBytes: 512 * 1024 }
  readonly maxPauseMs = 60_000
  readonly #post: HttpsPost
  readonly #webhook: Webhook
  readonly #render: RenderEntry

  constructor({ name, url, secret, caFile, render, timeoutMs = 15_000 }: WebhookOptions) {
    this.name = name
    this.#post = new HttpsPost({ url, caFile, timeoutMs })
    this.#webhook = makeWebhook(name, secret)
    this.#render = render
  }

  async deliver(batch: readonly StoredAuditEntry[], stop: AbortSignal): Promise<Delivery> {
    const id = messageId(batch)
    const at = new Date()
    const bodies = batch.map((entry) => this.#render(entry))
    const body = `{"type":"${messageType}","timestamp":"${at.toISOString()}","data":{"entries":[${bodies.join(',')}]}}`
    try {
      const answer = await this.#post.send(
        {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
          'webhook-signature': this.#webhook.sign(id, at, body),
        },
        Buffer.from(body, 'utf8'),
        stop,
      )
      if (answer.status >= 200 && answer.status < 300) return confirmed
      const why = describeAnswer(answer)
      return isAboutContent(answer.status) ? refused(why) : unavailable(why, answer.retryAfterMs)
    } catch (error) {
      return unavailable(describeFailure(error))
    }
  }

  async close(): Promise<void> {
    this.#post.close()
  }
}

function makeWebhook(name: string, secret: Secret): Webhook {
  try {
    return new Webhook(secret.reveal())
  } catch {
    // Its message may repeat some of it.
    throw new SinkConfigError(name, 'its secret is not whsec_ and base64; look at it in secrets.yml')
  }
}

/** The same each time for the same entries: `host:epoch:seq` of the first, and of the last where there are several. */
function messageId(batch: readonly StoredAuditEntry[]): string {
  const ids = [batch[0], batch.length > 1 ? batch.at(-1) : undefined].flatMap((entry) =>
    entry === undefined ? [] : [auditEntryId(identify(entry))],
  )
  return ids.join('..')
}
