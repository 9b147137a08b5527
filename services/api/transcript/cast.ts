// A transcript as an asciicast, versions 2 and 3 (https://docs.asciinema.org/manual/asciicast/v3/): one JSON document a line.

import { constants } from 'node:os'
import { driverSchema, sessionExitSchema } from '@teleclaude/core/api.ts'
import type { Session, SessionExit } from '@teleclaude/core/session.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { parseGap, parseResize, type TranscriptChunk } from '@teleclaude/core/transcript.ts'

/** Yields the lines, each with its newline. Output is decoded as UTF-8 across chunks, with U+FFFD for what is none.
 *  The header names the command, which is content: only for who may read the transcript. */
export async function* writeCast(
  session: Session,
  chunks: AsyncIterable<TranscriptChunk>,
  { version }: { readonly version: 2 | 3 },
): AsyncGenerator<string> {
  yield `${toJson(header(session, version))}\n`

  let lastUs = 0
  const event = (offsetUs: number, code: 'o' | 'r' | 'm' | 'x', data: string): string => {
    // Offsets come from the owner's runner: whatever it says, time does not run backwards here.
    const atUs = Math.max(offsetUs, lastUs)
    // Version 3 counts from the event before: whole microseconds, written out in full, so that no error adds up.
    const timeUs = version === 3 ? atUs - lastUs : atUs
    lastUs = atUs
    return `[${(timeUs / 1e6).toFixed(6)}, "${code}", ${toJson(data)}]\n`
  }

  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  for await (const { kind, offsetUs, bytes } of chunks) {
    switch (kind) {
      case 'output': {
        const text = decoder.decode(bytes, { stream: true })
        if (text !== '') yield event(offsetUs, 'o', text)
        break
      }
      case 'resize': {
        const { cols, rows } = parseResize(bytes)
        yield event(offsetUs, 'r', `${cols}x${rows}`)
        break
      }
      case 'driver':
        yield event(offsetUs, 'm', describeDriver(bytes))
        break
      case 'gap':
        yield event(offsetUs, 'm', `Output may be missing from here: ${parseGap(bytes).reason}`)
        break
      case 'exit': {
        const rest = decoder.decode()
        if (rest !== '') yield event(offsetUs, 'o', rest)
        if (version === 3) yield event(offsetUs, 'x', String(exitStatus(bytes)))
      }
    }
  }
  const rest = decoder.decode()
  if (rest !== '') yield event(lastUs, 'o', rest)
}

function header(session: Session, version: 2 | 3): object {
  const { cols, rows } = session.terminal
  const type = 'xterm-256color'
  const size = version === 3 ? { version, term: { cols, rows, type } } : { version, width: cols, height: rows }
  return {
    ...size,
    timestamp: Math.floor((session.startedAtUs ?? session.createdAtUs) / 1e6),
    command: session.argv.map(quoteForShell).join(' '),
    ...(session.title === '' ? {} : { title: neutralise(session.title) }),
    ...(version === 3 ? {} : { env: { TERM: type } }),
  }
}

function quoteForShell(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`
}

/** Whose typed input follows. */
function describeDriver(bytes: Uint8Array): string {
  const driver = driverSchema.nullable().parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  return driver === null ? 'Nobody drives' : `${driver.person} drives`
}

/** As a shell reports it: 128 and the signal's number for a program that was killed. */
function exitStatus(bytes: Uint8Array): number {
  const exit: SessionExit = sessionExitSchema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')))
  if (exit.kind === 'exited') return exit.code
  const numbers: Readonly<Record<string, number>> = constants.signals
  return 128 + (numbers[exit.signal] ?? 0)
}

// Characters that would act on a terminal the file is shown on; JSON.stringify escapes only those below U+0020.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

function toJson(value: unknown): string {
  return JSON.stringify(value).replace(unprintable, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  )
}
