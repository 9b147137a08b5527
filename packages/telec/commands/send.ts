// `telec send` and `telec interrupt`: what a session gets typed by whoever is not at its terminal. Durable: it is in the session's
// queue when these come back, and waits there for a runner that is away.

import { setTimeout as delay } from 'node:timers/promises'
import { AnswerError, type Client, ConnectionError } from '@teleclaude/client/client.ts'
import type { CommandView, NewCommandRequest, SessionView } from '@teleclaude/core/api.ts'
import { maxSendLength } from '@teleclaude/core/command.ts'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import { exitCodes, Failure } from '../failure.ts'
import { printJson } from '../output/json.ts'
import { type ServiceOptions, withService } from '../service.ts'
import { type ReasonOptions, withAccess } from '../session/access.ts'
import { findSession, shortIdLength } from '../session/find.ts'

type Output = ServiceOptions & ReasonOptions & { readonly json?: true }
export type SendOptions = Output & { readonly enter?: true; readonly stdin?: true }

/** A runner that is here takes a command at once. */
const takenWithinMs = 1_000
const pollMs = 50
/** UTF-8 has at most three bytes for each unit of UTF-16. */
const maxSendBytes = 3 * maxSendLength

export async function send(id: string, text: string | undefined, options: SendOptions): Promise<number> {
  if ((text === undefined) === (options.stdin === undefined)) {
    const why = text === undefined ? 'nothing says what' : 'there is a text and --stdin'
    throw new Failure(exitCodes.usage, `cannot send: ${why}; give a TEXT, or --stdin to read it from standard input`)
  }
  const typed = text === undefined ? await readStdin() : requireArgument(text)
  if (typed === '' && !options.enter) {
    throw new Failure(exitCodes.data, 'cannot send: the text is empty; with --enter it is the Enter key alone')
  }
  return enqueue(id, { kind: 'send', text: requireText(typed), enter: options.enter ?? false }, options)
}

export function interrupt(id: string, options: Output): Promise<number> {
  return enqueue(id, { kind: 'interrupt' }, options)
}

async function enqueue(id: string, request: NewCommandRequest, options: Output): Promise<number> {
  const { session, command } = await withService(options, async (client) => {
    const session = await findSession(client, id)
    const access = { ...options, drive: true, words: `${request.kind} ${session.id}` }
    const command = await withAccess(client, session, access, () => ask(client, session, request))
    return { session, command: await watchTaken(client, session, command) }
  })
  if (options.json) printJson({ command })
  else process.stdout.write(`Sent: command ${command.number} of ${session.id.slice(0, shortIdLength)}.\n`)
  if (command.state === 'failed' || command.state === 'expired') {
    const reason = neutralise(command.reason ?? command.state)
    throw new Failure(exitCodes.unavailable, `cannot type into the session ${session.id}: ${reason}`)
  }
  if (command.state === 'queued')
    process.stderr.write(`It waits for up to ${life(command)} for the session's runner.\n`)
  return 0
}

/** @throws Failure where nobody knows whether it was taken: a second time could be one too many */
async function ask(client: Client, session: SessionView, request: NewCommandRequest): Promise<CommandView> {
  try {
    return await client.enqueueCommand(session.id, request)
  } catch (error) {
    if (!(error instanceof ConnectionError) || error.code !== 'broken') throw error
    throw new Failure(
      exitCodes.unavailable,
      `cannot say whether it was sent: the service broke off\nWhat was: telec show ${session.id}`,
      { cause: error },
    )
  }
}

/** The command as it is once a runner has taken it, or as it was last where none does. */
async function watchTaken(client: Client, { id }: SessionView, sent: CommandView): Promise<CommandView> {
  let command = sent
  const startMs = performance.now()
  while (command.state === 'queued' && performance.now() - startMs < takenWithinMs) {
    await delay(pollMs)
    try {
      const { commands } = await client.listCommands(id)
      command = commands.find(({ number }) => number === sent.number) ?? command
    } catch (error) {
      // It is safe where it is: more is not known, and need not be.
      if (error instanceof ConnectionError || error instanceof AnswerError) return command
      throw error
    }
  }
  return command
}

function life({ createdAt, expiresAt }: CommandView): string {
  const minutes = Math.round((Date.parse(expiresAt) - Date.parse(createdAt)) / 60_000)
  return minutes === 1 ? '1 minute' : `${minutes} minutes`
}

async function readStdin(): Promise<string> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of process.stdin) {
    parts.push(part)
    length += part.length
    if (length > maxSendBytes) throw tooLong()
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts))
  } catch (error) {
    throw new Failure(exitCodes.data, 'cannot send: standard input is not valid UTF-8', { cause: error })
  }
}

/** Node has put U+FFFD where an argument was no UTF-8. */
function requireArgument(text: string): string {
  if (!text.includes('\ufffd')) return text
  const next = 'A U+FFFD that is meant goes through --stdin.'
  throw new Failure(exitCodes.data, `cannot send: the text is not valid UTF-8\n${next}`)
}

function requireText(text: string): string {
  if (text.includes('\0')) throw new Failure(exitCodes.data, 'cannot send: the text has a NUL character')
  if (text.length > maxSendLength) throw tooLong()
  return text
}

function tooLong(): Failure {
  return new Failure(
    exitCodes.data,
    `cannot send: the text is longer than ${maxSendLength} characters; send it in parts, or put it into a file`,
  )
}
