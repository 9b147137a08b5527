// A recorded transcript, read back: as the raw bytes, as text, or as an asciicast.

import type { transcriptQuerySchema } from '@teleclaude/core/api.ts'
import type { Caller, PeerCredentials } from '@teleclaude/core/caller.ts'
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
  const chunks = readChunks(service.pages, caller.credentials, session.id)
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

/** All chunks recorded so far, a page in memory at a time. */
async function* readChunks(
  pages: TranscriptPages,
  reader: PeerCredentials,
  id: SessionId,
): AsyncGenerator<TranscriptChunk> {
  let afterSeq = 0
  for (;;) {
    const page = await pages.read(reader, id, afterSeq)
    const last = page.at(-1)
    if (last === undefined) return
    yield* page
    afterSeq = last.seq
  }
}

async function* outputBytes(chunks: AsyncIterable<TranscriptChunk>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) if (chunk.kind === 'output') yield chunk.bytes
}
