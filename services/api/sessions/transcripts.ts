// A recorded transcript, read back: as the raw bytes, as text, or as an asciicast; or the lines of it in which something stands.

import type { searchQuerySchema, TranscriptMatch, transcriptQuerySchema } from '@teleclaude/core/api.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import type { z } from 'zod'
import { type Content, openContent } from '../access/content-gate.ts'
import type { Answer, AskedOfSession } from '../http/route.ts'
import type { Service } from '../service.ts'
import { writeCast } from '../transcript/cast.ts'
import { findLines } from '../transcript/matching-lines.ts'
import { renderText } from '../transcript/text.ts'

export async function readTranscript({
  query,
  ...asked
}: AskedOfSession & { readonly query: z.output<typeof transcriptQuerySchema> }): Promise<Answer> {
  const { service, caller, session } = asked
  requireTranscript(session)
  if (query.follow === 'true' && query.format === 'text') {
    throw new ProblemError(
      'invalid',
      'cannot follow the transcript as text: follow it as raw or cast, or use telec tail',
    )
  }
  const follows = query.follow === 'true'
  const content = await openContent(asked, follows ? 'follow' : 'transcript')
  const gone = new AbortController()
  const chunks = readChunks(content, follows ? follower(service, session.id, gone.signal) : async () => false)
  const over = () => {
    gone.abort()
    content.over()
  }
  switch (query.format) {
    case 'raw':
      return { status: 200, contentType: 'application/octet-stream', stream: outputBytes(chunks), over }
    case 'cast':
      return {
        status: 200,
        contentType: 'application/x-asciicast',
        stream: writeCast(session, chunks, { version: query.version === '2' ? 2 : 3 }),
        over,
      }
    case 'text':
      return {
        status: 200,
        contentType: 'text/plain; charset=utf-8',
        stream: renderText(session.terminal, chunks, { colour: query.colour === 'true', uid: caller.credentials.uid }),
        over,
      }
  }
}

/** Who searches, reads: that they do is on the record as any other reading of the transcript. */
export async function searchTranscript({
  query: { text, ignoreCase, limit },
  ...asked
}: AskedOfSession & { readonly query: z.output<typeof searchQuerySchema> }): Promise<Answer> {
  const { caller, session } = asked
  requireTranscript(session)
  const content = await openContent(asked, 'transcript')
  const chunks = readChunks(content, async () => false)
  const pieces = renderText(session.terminal, chunks, { colour: false, uid: caller.credentials.uid })
  const matches = findLines(pieces, { text, ignoreCase: ignoreCase === 'true' })
  return { status: 200, contentType: 'application/jsonl', stream: asLines(matches, limit), over: content.over }
}

async function* asLines(matches: AsyncIterable<TranscriptMatch>, limit: number): AsyncGenerator<string> {
  let count = 0
  for await (const match of matches) {
    yield `${JSON.stringify(match)}\n`
    count += 1
    if (count === limit) return
  }
}

/** @throws ProblemError 'removed' */
function requireTranscript({ transcriptRemovedAtUs: removedAtUs }: Session): void {
  if (removedAtUs === null) return
  throw new ProblemError(
    'removed',
    `cannot read the transcript: it was old, and removed on ${formatInstant(removedAtUs)}`,
  )
}

/** Resolves to whether there may be more, once that is known. */
type Follower = () => Promise<boolean>

/** A session of another host is looked at as often as one of this one that sends nothing: there is no telling. */
const lookMs = 1_000

/** @param gone nobody reads it any more */
function follower({ store, hub }: Service, id: SessionId, gone: AbortSignal): Follower {
  let wasOver = false
  return async () => {
    // What is there when it is over is read to its end.
    if (wasOver) return false
    await hub.untilRecorded(id, lookMs)
    if (gone.aborted) return false
    const session = await store.sessions.find(id)
    wasOver = session === null || session.status === 'ended' || session.status === 'lost'
    return true
  }
}

/** All chunks recorded so far, a page in memory at a time; where they are followed, those to come as well. */
async function* readChunks(content: Content, goesOn: Follower): AsyncGenerator<TranscriptChunk> {
  let afterSeq = 0
  for (;;) {
    const page = await content.read(afterSeq)
    const last = page.at(-1)
    if (last === undefined) {
      if (!(await goesOn())) return
      continue
    }
    for (const chunk of page) {
      content.sending(chunk.seq, chunk.kind === 'output' ? chunk.bytes.length : 0)
      yield chunk
    }
    afterSeq = last.seq
  }
}

async function* outputBytes(chunks: AsyncIterable<TranscriptChunk>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) if (chunk.kind === 'output') yield chunk.bytes
}
