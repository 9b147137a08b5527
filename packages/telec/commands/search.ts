// `telec search`: in which sessions something stood on the screen, and in which lines.

import type { Client } from '@teleclaude/client/client.ts'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { type SessionView, type TranscriptMatch, transcriptMatchSchema } from '@teleclaude/core/api.ts'
import { paint } from '@teleclaude/core/style.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { explainCut } from '../audit/export-stream.ts'
import { exitCodes, Failure } from '../failure.ts'
import { printJson } from '../output/json.ts'
import { readLines } from '../output/lines.ts'
import { startProgress } from '../output/progress.ts'
import { wantsColourOn } from '../preferences.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { type ReasonOptions, withAccess } from '../session/access.ts'
import { describeStatus } from '../session/end.ts'
import { findSession, shortIdLength, titleWithOwner } from '../session/find.ts'

export type SearchOptions = ServiceOptions &
  ReasonOptions & {
    readonly ignoreCase?: true
    /** Of each session. */
    readonly limit: number
    readonly json?: true
  }

const pageLimit = 200
/** A match's text, escaped. */
const maxLineLength = 16 * 1024
const notFound = 1

type Found = {
  readonly session: SessionView
  readonly matches: readonly TranscriptMatch[]
  /** There are others. */
  readonly more: boolean
}

/** Searches the sessions of these ids, or else all of one's own. Returns 0 where there is anything, else 1, as grep(1). */
export async function search(text: string, ids: readonly string[], options: SearchOptions): Promise<number> {
  if (text === '' || /\p{Cc}/u.test(text)) {
    throw new Failure(
      exitCodes.usage,
      'cannot search for that: it has to be a text of one line, as it stood on the screen',
    )
  }
  if (ids.length === 0 && options.reason !== undefined) {
    const next = `Name the session to open: telec search ${neutralise(shellQuote(text))} ID --reason TEXT`
    throw new Failure(exitCodes.usage, `cannot search with a reason: your own sessions need none\n${next}`)
  }
  const colour = !options.json && (await wantsColourOn(process.stdout, options))
  return withService(options, async (client) => {
    const sessions =
      ids.length === 0 ? await listOwn(client) : await Promise.all(ids.map((id) => findSession(client, id)))
    const all: Found[] = []
    const progress = startProgress('Searched', sessions.length)
    for (const session of sessions) {
      const access = { ...options, drive: false, words: `search ${neutralise(shellQuote(text))} ${session.id}` }
      const found = await withAccess(client, session, access, () => searchOne(client, session, text, options))
      progress.step()
      if (found.matches.length === 0) continue
      all.push(found)
      progress.end()
      if (!options.json) process.stdout.write(describe(found, text, options, colour))
    }
    progress.end()
    if (options.json) printJson({ searched: sessions.length, found: all.map(view) })
    else if (all.length === 0) process.stderr.write(describeNothing(sessions.length))
    return all.length > 0 ? 0 : notFound
  })
}

/** Newest first; what was removed because it was old can't be searched. */
async function listOwn(client: Client): Promise<readonly SessionView[]> {
  const sessions: SessionView[] = []
  let cursor: string | null = null
  const { person } = await client.whoami()
  do {
    const page = await client.listSessions({
      limit: pageLimit,
      ...(person === null ? {} : { person }),
      ...(cursor === null ? {} : { cursor }),
    })
    sessions.push(...page.sessions.filter((session) => session.own && session.transcriptRemovedAt === null))
    cursor = page.nextCursor
  } while (cursor !== null)
  return sessions
}

async function searchOne(
  client: Client,
  session: SessionView,
  text: string,
  { ignoreCase, limit }: SearchOptions,
): Promise<Found> {
  const matches: TranscriptMatch[] = []
  try {
    const query = { text, ignoreCase: ignoreCase ? 'true' : 'false', limit: limit + 1 } as const
    const stream = await client.searchTranscript(session.id, query)
    for await (const line of readLines(stream, maxLineLength))
      matches.push(transcriptMatchSchema.parse(JSON.parse(line)))
  } catch (error) {
    throw explainCut(error, `search all of the session ${session.id}`)
  }
  return { session, matches: matches.slice(0, limit), more: matches.length > limit }
}

function view({ session, matches, more }: Found) {
  return { session: session.id, owner: session.owner.person, title: session.title, matches, more }
}

function describe(
  { session, matches, more }: Found,
  text: string,
  { ignoreCase }: SearchOptions,
  colour: boolean,
): string {
  const id = paint(session.id.slice(0, shortIdLength), 'bold', colour)
  const width = String(matches.at(-1)?.line ?? 0).length
  const lines = matches.map((match) => {
    const number = paint(String(match.line).padStart(width), 'dim', colour)
    return `  ${number}  ${highlight(neutralise(match.text), text, ignoreCase === true, colour)}`
  })
  const rest = more ? ['  and more: -n shows them'] : []
  return `${[`${id}  ${titleWithOwner(session)} (${describeStatus(session)})`, ...lines, ...rest].join('\n')}\n`
}

/** Lower case may be longer than what it is of: then nothing is marked, rather than the wrong part. */
function highlight(line: string, text: string, ignoreCase: boolean, colour: boolean): string {
  const fold = (each: string) => (ignoreCase ? each.toLowerCase() : each)
  const folded = fold(line)
  const at = folded.indexOf(fold(text))
  if (!colour || at === -1 || folded.length !== line.length) return line
  const end = at + text.length
  return `${line.slice(0, at)}${paint(line.slice(at, end), 'red', colour)}${line.slice(end)}`
}

function describeNothing(searched: number): string {
  const where = searched === 1 ? 'the session' : `${searched} sessions`
  return `It stands in no line of ${searched === 0 ? 'your sessions: there are none' : where}.\n`
}
