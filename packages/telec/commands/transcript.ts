// `telec transcript` and `tail`: what was recorded of a session, and what is still to come.

import { pipeline } from 'node:stream/promises'
import type { Client } from '@teleclaude/client/client.ts'
import type { SessionView } from '@teleclaude/core/api.ts'
import { exitCodes, Failure } from '../failure.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { type ReasonOptions, withAccess } from '../session/access.ts'
import { isOver } from '../session/end.ts'
import { findSession, shortIdLength } from '../session/find.ts'
import { readLastLines } from '../session/last-lines.ts'

export type TranscriptOptions = ServiceOptions &
  ReasonOptions & {
    readonly format: 'text' | 'raw' | 'cast'
    readonly castVersion: '2' | '3'
    readonly follow?: true
  }

export async function transcript(id: string, options: TranscriptOptions): Promise<number> {
  if (options.format === 'raw' && process.stdout.isTTY) {
    const next = 'Send it to a file or a pipe, or leave --format out to read it as text.'
    throw new Failure(
      exitCodes.usage,
      `cannot show the raw transcript on a terminal: its bytes could do anything to it\n${next}`,
    )
  }
  const colour = options.format === 'text' && (await wantsColourOn(process.stdout, options)) ? 'true' : 'false'
  const { client, session } = await find(id, options)
  const access = { ...options, drive: false, words: `transcript ${session.id}` }
  return withAccess(client, session, access, () => show(client, session, { ...options, colour }))
}

async function show(
  client: Client,
  session: SessionView,
  { colour, ...options }: TranscriptOptions & { readonly colour: 'true' | 'false' },
): Promise<number> {
  if (options.follow && options.format === 'text' && !isOver(session)) return follow(client, session, 'all')
  const query = {
    format: options.format,
    colour,
    version: options.castVersion,
    follow: options.follow ? 'true' : 'false',
  } as const
  const stream = await client.readTranscript(session.id, isOver(session) ? { ...query, follow: 'false' } : query)
  await unlessCutOff(client, session, pipeline(stream, process.stdout, { end: false }))
  // What a flood printed may be on its way still, though its program has ended.
  if (!options.follow && !isOver(session)) {
    const all = `telec transcript --follow ${session.id.slice(0, shortIdLength)}`
    process.stderr.write(`This is what is recorded so far; the session goes on. All of it: ${all}\n`)
  }
  return 0
}

export async function tail(
  id: string,
  options: ServiceOptions & ReasonOptions & { readonly lines: number },
): Promise<number> {
  const { client, session } = await find(id, options)
  return withAccess(client, session, { ...options, drive: false, words: `tail ${session.id}` }, async () => {
    if (!isOver(session)) return follow(client, session, options.lines)
    const reading = readLastLines(client, session.id, { limit: options.lines, colour: false })
    process.stdout.write(await unlessCutOff(client, session, reading))
    return 0
  })
}

function find(
  id: string,
  options: ServiceOptions,
): Promise<{ readonly client: Client; readonly session: SessionView }> {
  return withService(options, async (client) => ({ client, session: await findSession(client, id) }))
}

/** The emulator is loaded by who needs it alone. */
async function follow(client: Client, session: SessionView, lines: number | 'all'): Promise<number> {
  const { followText } = await import('../terminal/follow-text.ts')
  await followText(client, session, lines)
  return 0
}

async function unlessCutOff<Result>(client: Client, { id }: SessionView, reading: Promise<Result>): Promise<Result> {
  try {
    return await reading
  } catch (error) {
    const isCutOff = error instanceof Error && 'code' in error && error.code === 'ECONNRESET'
    if (!isCutOff) throw error
    // An answer that has begun can't say why it ends. Who may not any more is told so here.
    await client.readSession(id)
    throw new Failure(exitCodes.unavailable, 'cannot show all of the transcript: the service broke off; try again')
  }
}
