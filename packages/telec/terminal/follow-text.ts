// Follows a session as text: the last lines of what it has shown, or all of them, and those to come, until it ends. A service that
// restarts is waited for, and nothing is missed.

import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import type { ToViewer } from '@teleclaude/core/link.ts'
import { closeCodes, viewerProtocol } from '@teleclaude/core/protocol.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import {
  decodeChunk,
  decodeSnapshotPart,
  parseResize,
  snapshotFrameCode,
  type TranscriptChunk,
} from '@teleclaude/core/transcript.ts'
import { exitCodes, Failure } from '../failure.ts'
import { isAway, isBusy, patienceMs, retryMs } from '../patience.ts'
import { readLastLines } from '../session/last-lines.ts'
import { describeAccess } from './opened.ts'
import { SettledText } from './settled-text.ts'

/** What waits to be drawn, before the service has to wait. */
const maxWaiting = 64

/** `lines`: how many of the last ones come first. Resolves at the session's end.
 *  @throws Failure when the service stays away, or does not let the caller in any more */
export async function followText(client: Client, session: SessionView, lines: number | 'all'): Promise<void> {
  const text = new SettledText(session.terminal, (told) => process.stdout.write(told))
  let afterSeq = lines === 'all' ? 0 : await beginWithLast(client, session, text, lines)
  let awaySinceMs: number | null = null
  for (;;) {
    try {
      const query = { show: 'record', afterSeq } as const
      const socket = await client.openStream(`/v1/sessions/${session.id}/attach`, viewerProtocol, query)
      awaySinceMs = null
      const isOver = await readChunks(socket, async (chunk) => {
        if (afterSeq !== 'end' && chunk.seq <= afterSeq) return
        if (chunk.kind === 'output') await text.write(chunk.bytes)
        else if (chunk.kind === 'resize') text.resize(parseResize(chunk.bytes))
        afterSeq = chunk.seq
      })
      if (isOver) {
        text.end()
        return
      }
    } catch (error) {
      if (!isAway(error) && !isBusy(error)) throw error
    }
    awaySinceMs ??= performance.now()
    if (performance.now() - awaySinceMs > patienceMs) {
      throw new Failure(
        exitCodes.unavailable,
        'cannot follow the session any more: the service is away; the session goes on',
      )
    }
    await delay(retryMs)
  }
}

type Stream = Awaited<ReturnType<Client['openStream']>>

/** Tells the last lines so far, and returns the chunk that the others come after. */
async function beginWithLast(
  client: Client,
  { id }: SessionView,
  text: SettledText,
  lines: number,
): Promise<number | 'end'> {
  const query = { show: 'screen', afterSeq: 'end' } as const
  const socket = await client.openStream(`/v1/sessions/${id}/attach`, viewerProtocol, query)
  const parts: Uint8Array[] = []
  let seq = 0
  socket.on('message', (data, isBinary) => {
    if (!isBinary) return
    const frame = data as Buffer
    // What comes instead of a snapshot is the record: the session has ended, or its runner is away.
    if (frame[0] !== snapshotFrameCode) return socket.close()
    const part = decodeSnapshotPart(frame)
    parts.push(part.bytes)
    if (!part.isLast) return
    seq = part.seq
    socket.close()
  })
  socket.resume()
  await once(socket, 'close')
  if (seq > 0) {
    await text.begin(Buffer.concat(parts), lines)
    return seq
  }
  process.stdout.write(await readLastLines(client, id, { limit: lines, colour: false }))
  return 'end'
}

/** Returns whether the session is over; false where the connection broke before.
 *  @throws Failure where the caller may not any more */
async function readChunks(socket: Stream, take: (chunk: TranscriptChunk) => Promise<void>): Promise<boolean> {
  let isOver = false
  let waiting = 0
  let taken = Promise.resolve()
  socket.on('message', (data, isBinary) => {
    if (!isBinary) {
      const message = JSON.parse((data as Buffer).toString('utf8')) as ToViewer
      isOver = message.type === 'end'
      if (message.type === 'access') process.stderr.write(`${describeAccess(message)}\n`)
      return
    }
    const chunk = decodeChunk(data as Buffer)
    if (++waiting === maxWaiting) socket.pause()
    taken = taken.then(async () => {
      await take(chunk)
      if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain')
      if (--waiting === 0) socket.resume()
    })
  })
  socket.resume()
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer]
  await taken
  if (code !== closeCodes.notPermitted) return isOver
  throw new Failure(
    exitCodes.notPermitted,
    `cannot follow the session any more: ${neutralise(reason.toString('utf8'))}`,
  )
}
