// The stream of `GET /v1/events`: what happens to sessions. Apart from the client, for its schema is not on the way of every start.

import { type SessionEventView, sessionEventViewSchema } from '@teleclaude/core/api.ts'
import { type SessionEventKind, sessionEventKinds } from '@teleclaude/core/event.ts'
import { type Client, ConnectionError } from './client.ts'

export type FollowedEvent =
  /** What happened before this is not known: whoever has to know looks. The first one, where no id was named. */
  { readonly kind: 'reset' } | { readonly kind: SessionEventKind; readonly id: string; readonly data: SessionEventView }

/** Of an event with its longest session, and then some. */
const maxEventLength = 4 * 1024 * 1024

/** Events as they come, over one connection; those after the named one first. Ends when `signal` aborts.
 *  @throws ConnectionError when the connection is over otherwise, AnswerError */
export async function* followEvents(
  client: Client,
  { lastEventId, signal }: { readonly lastEventId?: string | undefined; readonly signal?: AbortSignal },
): AsyncGenerator<FollowedEvent> {
  const stream = await client.readEvents(lastEventId === undefined ? {} : { lastEventId })
  const abort = (): unknown => stream.destroy()
  signal?.addEventListener('abort', abort)
  if (signal?.aborted) abort()
  try {
    stream.setEncoding('utf8')
    let text = ''
    for await (const part of stream) {
      text += part
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const event = parseEvent(block)
        if (event !== null) yield event
      }
      if (text.length > maxEventLength) throw new Error(`an event has over ${maxEventLength} characters`)
    }
  } catch (error) {
    if (signal?.aborted) return
    if (!(error instanceof Error && 'code' in error)) throw error
    throw new ConnectionError('broken', 'cannot follow what happens to sessions: the service broke off', {
      cause: error,
    })
  } finally {
    signal?.removeEventListener('abort', abort)
    stream.destroy()
  }
  if (signal?.aborted) return
  throw new ConnectionError('broken', 'cannot follow what happens to sessions: the service ended the stream')
}

/** Null for what is none that this version knows: a comment, or an event of a newer service. */
function parseEvent(block: string): FollowedEvent | null {
  const fields = new Map(
    block
      .split('\n')
      .map((line) => /^(id|event|data): ?(.*)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name = '', value = '']) => [name, value]),
  )
  if (fields.get('event') === 'reset') return { kind: 'reset' }
  const kind = sessionEventKinds.find((known) => fields.get('event') === `session.${known}`)
  const id = fields.get('id')
  if (kind === undefined || id === undefined) return null
  return { kind, id, data: sessionEventViewSchema.parse(JSON.parse(fields.get('data') ?? '')) }
}
