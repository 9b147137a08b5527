// A transcript as the text its terminal showed. The emulation runs in a process of its own that may touch nothing, a piece at a
// time and only as fast as the reader takes it, with bounds on number, memory and time: transcripts are hostile, and so may
// their readers be.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { constants, setPriority } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { parseGap, parseResize, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import type { FromRenderer, ToRenderer } from './render-process.ts'
import { RenderSlots } from './render-slots.ts'

export type RenderErrorCode =
  /** It took more time than any ordinary transcript of its length. */
  | 'too-costly'
  /** The reader took nothing for long while others waited for their turn. */
  | 'reader-stalled'
  /** The renderer failed, or ran out of memory. */
  | 'renderer-failed'

export class RenderError extends Error {
  override readonly name = 'RenderError'
  readonly code: RenderErrorCode
  constructor(code: RenderErrorCode, why: string, options?: { readonly cause?: unknown }) {
    super(`cannot render the transcript as text: ${why}; read it in another format (raw or cast)`, options)
    this.code = code
  }
}

export type RenderLimits = {
  /** Transcripts rendered at the same time; others wait. */
  readonly jobs: number
  /** How long a reader may take nothing while others wait. */
  readonly stallMs: number
  /** What a job may take, and what each MiB of output adds to it. An ordinary one takes a tenth of a second a MiB. */
  readonly jobMs: number
  readonly mebibyteMs: number
  /** Of a renderer's heap; what is outside of it is bounded by what the emulator holds. */
  readonly heapMebibytes: number
}

const defaultLimits: RenderLimits = { jobs: 4, stallMs: 30_000, jobMs: 30_000, mebibyteMs: 2_000, heapMebibytes: 64 }

export type RenderText = (
  size: TerminalSize,
  chunks: AsyncIterable<TranscriptChunk>,
  /** `uid`: whose job it is. */
  options: { readonly colour: boolean; readonly uid: number },
) => AsyncIterable<string>

/** Pieces of the text of a transcript: the lines as they scrolled off the screen, then the screen; lines that were wrapped are
 *  whole again, and blank lines at the end are left out. No control characters but newlines and, with `colour`, SGR sequences.
 *  The iterator's `return` ends the work at once.
 *  @throws RenderError from the iterator. */
export const renderText: RenderText = textRenderer(defaultLimits)

export function textRenderer(limits: RenderLimits): RenderText {
  const slots = new RenderSlots(limits)
  return (size, chunks, { colour, uid }) => ({
    [Symbol.asyncIterator]() {
      const abandoned = new AbortController()
      const pieces = render({ size, chunks, colour, uid, limits, slots, abandoned: abandoned.signal })
      return {
        next: () => pieces.next(),
        // A generator's own `return` waits for the piece under way, which may be long in coming.
        return: () => {
          abandoned.abort()
          return pieces.return(undefined)
        },
      }
    },
  })
}

type Job = {
  readonly size: TerminalSize
  readonly chunks: AsyncIterable<TranscriptChunk>
  readonly colour: boolean
  readonly uid: number
  readonly limits: RenderLimits
  readonly slots: RenderSlots
  readonly abandoned: AbortSignal
}

async function* render({
  size,
  chunks,
  colour,
  uid,
  limits,
  slots,
  abandoned,
}: Job): AsyncGenerator<string, undefined> {
  using slot = await slots.take(uid, abandoned)
  if (slot === null || abandoned.aborted) return
  await using renderer = startRenderer(limits, AbortSignal.any([abandoned, slot.revoked]))
  try {
    await renderer.ask({ kind: 'start', size, colour })
    for await (const message of messagesOf(chunks)) {
      for (let text = await renderer.ask(message); text !== null; text = await renderer.ask({ kind: 'more' })) {
        slot.readerPaused()
        yield text
        slot.readerBack()
      }
    }
  } catch (error) {
    if (abandoned.aborted) return
    if (slot.revoked.aborted)
      throw new RenderError('reader-stalled', 'its reader paused for too long while others waited')
    throw error
  }
}

const program = fileURLToPath(new URL('./render-process.ts', import.meta.url))
const programRoot = fileURLToPath(new URL('../../../', import.meta.url))

function startRenderer(limits: RenderLimits, stop: AbortSignal) {
  const child = fork(program, [], {
    // It reads the program's own files; it writes no file and starts no process or thread.
    execArgv: [
      '--max-semi-space-size=4',
      `--max-old-space-size=${limits.heapMebibytes}`,
      '--permission',
      `--allow-fs-read=${programRoot}`,
    ],
    env: {},
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  // What takes long must not be in the way of what is short.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
  const gone = new AbortController()
  const failed = (how: string, cause?: unknown) =>
    gone.abort(new RenderError('renderer-failed', `the renderer ${how}`, { cause }))
  child.on('error', (error) => failed('failed', error))
  child.on('exit', (code, signal) => failed(`ended with ${signal ?? code}`))
  const kill = () => child.kill('SIGKILL')
  stop.addEventListener('abort', kill, { once: true })
  let remainingMs = limits.jobMs

  return {
    /** The next piece of text, or null where it takes another part of the transcript to make one. */
    async ask(message: ToRenderer): Promise<string | null> {
      if (message.kind === 'output') remainingMs += (message.bytes.length / 2 ** 20) * limits.mebibyteMs
      const askedMs = performance.now()
      const late = AbortSignal.timeout(Math.max(0, Math.ceil(remainingMs)))
      try {
        const answered = once(child, 'message', { signal: AbortSignal.any([stop, gone.signal, late]) })
        child.send(message)
        const answer: FromRenderer = (await answered)[0]
        return answer.kind === 'text' ? answer.text : null
      } catch (error) {
        if (late.aborted) throw new RenderError('too-costly', 'it takes more time than any ordinary one of its length')
        throw gone.signal.aborted ? gone.signal.reason : error
      } finally {
        remainingMs -= performance.now() - askedMs
      }
    },
    async [Symbol.asyncDispose](): Promise<void> {
      stop.removeEventListener('abort', kill)
      kill()
      if (!gone.signal.aborted) await once(gone.signal, 'abort')
    },
  }
}

/** The transcript in messages of some size, whatever the size of its chunks. Of resizes with nothing between them the last one counts. */
async function* messagesOf(chunks: AsyncIterable<TranscriptChunk>): AsyncGenerator<ToRenderer, undefined> {
  const enoughBytes = 128 * 1024
  let held: Uint8Array[] = []
  let heldBytes = 0
  let resize: TerminalSize | null = null
  const output = (): ToRenderer => {
    const bytes = Buffer.concat(held)
    held = []
    heldBytes = 0
    return { kind: 'output', bytes }
  }

  for await (const chunk of chunks) {
    if (chunk.kind === 'output') {
      if (resize !== null) yield { kind: 'resize', size: resize }
      resize = null
      held.push(chunk.bytes)
      heldBytes += chunk.bytes.length
      if (heldBytes >= enoughBytes) yield output()
    } else if (chunk.kind === 'resize') {
      if (heldBytes > 0) yield output()
      resize = parseResize(chunk.bytes)
    } else if (chunk.kind === 'gap') {
      held.push(
        Buffer.from(
          `\r\n[TeleClaude: output may be missing from here: ${neutralise(parseGap(chunk.bytes).reason)}]\r\n`,
        ),
      )
      heldBytes += 1
    }
  }
  if (heldBytes > 0) yield output()
  if (resize !== null) yield { kind: 'resize', size: resize }
  yield { kind: 'end' }
}
