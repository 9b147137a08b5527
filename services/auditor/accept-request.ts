// How `auditor accept` reaches the auditor that runs: by a file in the directory that nobody else can write to. It is answered by
// another one.

import { randomUUID } from 'node:crypto'
import { readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { nullIfAbsent } from './audit-file.ts'
import { replaceFile } from './durable-file.ts'
import { StateError } from './state.ts'

const pollMs = 100
/** The log is read once for it, which takes its time. */
const patienceMs = 600_000

const requestSchema = z.strictObject({ id: z.uuid(), reason: z.string() })
export type AcceptRequest = z.infer<typeof requestSchema>

export const acceptedLogSchema = z.strictObject({
  size: z.int(),
  /** The key that signs it now; null where it has none. */
  vkey: z.string().nullable(),
  /** What is wrong with it, and was accepted; null for nothing. Entries of before are not shipped any more. */
  fault: z.string().nullable(),
  /** Where what the auditor remembered is kept; null where that was nothing. */
  keptState: z.string().nullable(),
  /** Where files are kept that are not of this log; null where they are. */
  keptFiles: z.string().nullable(),
})
export type AcceptedLog = z.infer<typeof acceptedLogSchema>

const answerSchema = z.strictObject({
  id: z.uuid(),
  accepted: acceptedLogSchema.nullable(),
  /** Why not. */
  refusal: z.string().nullable(),
})
export type AcceptAnswer = z.infer<typeof answerSchema>

const requestPath = (directory: string) => join(directory, 'auditor-accept.json')
const answerPath = (directory: string) => join(directory, 'auditor-accepted.json')

/** Null where there is none, or nothing that one could act on. */
export async function readAcceptRequest(directory: string): Promise<AcceptRequest | null> {
  return parse(requestSchema, await readFile(requestPath(directory), 'utf8').catch(nullIfAbsent))
}

export async function answerAcceptRequest(directory: string, answer: AcceptAnswer): Promise<void> {
  await replaceFile(answerPath(directory), JSON.stringify(answer), 0o640)
  await unlink(requestPath(directory)).catch(nullIfAbsent)
}

/** Asks the auditor that runs.
 *  @throws StateError where it refuses, or does not answer */
export async function requestAccept(directory: string, reason: string): Promise<AcceptedLog> {
  const id = randomUUID()
  await replaceFile(requestPath(directory), JSON.stringify({ id, reason }), 0o640)
  for (let waitedMs = 0; waitedMs < patienceMs; waitedMs += pollMs) {
    const answer = parse(answerSchema, await readFile(answerPath(directory), 'utf8').catch(nullIfAbsent))
    if (answer?.id === id) {
      if (answer.accepted !== null) return answer.accepted
      throw new StateError(answer.refusal ?? 'cannot accept the log: the auditor does not say why')
    }
    await wait(pollMs)
  }
  await unlink(requestPath(directory)).catch(nullIfAbsent)
  throw new StateError('cannot accept the log: the auditor that runs does not answer; stop it, and try again')
}

function parse<T>(schema: z.ZodType<T>, text: string | null): T | null {
  if (text === null) return null
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    return null
  }
}
