// A recorded transcript, read back: as the raw bytes, as text, or as an asciicast.

import type { transcriptQuerySchema } from '@teleclaude/core/api.ts'
import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'
import { formatInstant } from '@teleclaude/core/instant.ts'
import { ProblemError } from '@teleclaude/core/problem.ts'
import type { Session, SessionId } from '@teleclaude/core/session.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import type { z } from 'zod'
import type { Answer } from '../http/route.ts'
import type { Service } from '../service.ts'
import { writeCast } from '../transcript/cast.ts'
import type { TranscriptPages } from '../transcript/pages.ts'
import { renderText } from '../transcript/text.ts'

export async function readTranscript({
  service,
  caller,
  session,
  query,
}: {
  readonly service: Service
  readonly caller: Caller
  readonly session: Session
  readonly query: z.output<typeof transcriptQuerySchema>
}): Promise<Answer> {
  if (session.transcriptRemovedAtUs !== null) {
    const at = formatInstant(session.transcriptRemovedAtUs)
    throw new ProblemError('removed', `cannot read the transcript: it was old, and removed on ${at}`)
  }
  if (query.follow === 'true' && query.format === 'text') {
    throw new ProblemError(
      'invalid',
      'cannot follow the transcript as text: follow it as raw or cast, or use telec tail',
    )
  }
  const follow = query.follow === 'true' ? follower(service, session.id) : null
  const chunks = readChunks(service.pages, caller.credentials, session.id, follow)
  switch (query.format) {
    case 'raw':
      return { status: 200, contentType: 'application/octet-stream', stream: outputBytes(chunks) }
    case 'cast':
      return {
        status: 200,
        contentType: 'application/x-asciicast',
        stream: writeCast(session, chunks, { version: query.version === '2' ? 2 : 3 }),
      }
    case 'text':
      return {
        status: 200,
        contentType: 'text/plain; charset=utf-8',
        stream: renderText(session.terminal, chunks, { colour: query.colour === 'true', uid: caller.credentials.uid }),
      }
  }
}

/** Resolves to whether there may be more, once that is known. */
type Follower = () => Promise<boolean>

/** A session of another host is looked at as often as one of this one that sends nothing: there is no telling. */
const lookMs = 1_000

function follower({ store, hub }: Service, id: SessionId): Follower {
  let wasOver = false
  return async () => {
    // What is there when it is over is read to its end.
    if (wasOver) return false
    await hub.untilRecorded(id, lookMs)
    const session = await store.sessions.find(id)
    wasOver = session === null || session.status === 'ended' || session.status === 'lost'
    return true
  }
}

/** All chunks recorded so far, a page in memory at a time; where they are followed, those to come as well. */
async function* readChunks(
  pages: TranscriptPages,
  reader: PeerCredentials,
  id: SessionId,
  follow: Follower | null,
): AsyncGenerator<TranscriptChunk> {
  let afterSeq = 0
  for (;;) {
    const page = await pages.read(reader, id, afterSeq)
    const last = page.at(-1)
    if (last === undefined) {
      if (follow === null || !(await follow())) return
      continue
    }
    yield* page
    afterSeq = last.seq
  }
}

async function* outputBytes(chunks: AsyncIterable<TranscriptChunk>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) if (chunk.kind === 'output') yield chunk.bytes
}
