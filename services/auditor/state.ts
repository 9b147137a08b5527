// What the auditor knows by itself, in a file on its own volume: how far it has seen the log, which keys it believes, what it has
// cosigned, and what it found wrong. Nothing in the database can take its place.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeBase64, encodeBase64 } from '@teleclaude/core/base64.ts'
import { decodeFrontier, encodeFrontier } from '@teleclaude/core/merkle.ts'
import { alarmKinds } from '@teleclaude/store/audit-contract.ts'
import { z } from 'zod'
import { nullIfAbsent } from './audit-file.ts'
import { replaceFile } from './durable-file.ts'
import { type Anchor, emptyAnchor } from './log-check.ts'

const count = z.int().min(0)
const logKeySchema = z.strictObject({ epoch: count, vkey: z.string(), fromSeq: count })

const alarmSchema = z.strictObject({
  id: z.uuid(),
  kind: z.enum(alarmKinds),
  atUs: count,
  fromSeq: z.int().min(1).nullable(),
  toSeq: z.int().min(1).nullable(),
  message: z.string(),
  /** The database has it, too: those who read there are told. */
  told: z.boolean(),
})
export type KnownAlarm = z.infer<typeof alarmSchema>

const base64 = z.string().refine((text) => decodeBase64(text) !== null)

const anchorSchema = z.strictObject({
  size: count,
  frontier: base64,
  lastLeaf: base64.nullable(),
  epoch: count,
  keys: z.array(logKeySchema),
  hasSigned: z.boolean(),
  announced: z.array(logKeySchema.extend({ isLost: z.boolean() })),
  checkedSize: count,
})

const stateSchema = z.strictObject({
  v: z.literal(1),
  host: z.string(),
  verified: anchorSchema,
  cosigned: z.strictObject({ size: count, note: z.string(), line: z.string(), atUs: count }).nullable(),
  /** Those that no admin has accepted yet. */
  alarms: z.array(alarmSchema),
  /** What an admin has accepted last; null where nothing ever was. */
  accepted: z
    .strictObject({
      at: z.iso.datetime(),
      reason: z.string(),
      /** Cosignatures in its name up to this size need not be its key's. */
      size: count,
      /** The log up to there does not hold by itself, and was accepted as it is; null where it does. */
      anchor: anchorSchema.nullable(),
      /** Sinks that had no more than `until` get everything after `from` again: what they had was of another log. */
      resend: z.strictObject({ from: count, until: count }).nullable(),
    })
    .nullable(),
})

type Written = z.infer<typeof stateSchema>
type Accepted = NonNullable<Written['accepted']>
export type AuditorState = Omit<Written, 'v' | 'verified' | 'accepted'> & {
  readonly verified: Anchor
  readonly accepted: (Omit<Accepted, 'anchor'> & { readonly anchor: Anchor | null }) | null
}

/** An admin has to look at it. */
export class StateError extends Error {
  override readonly name = 'StateError'
  readonly code = 'auditor-state'
}

export function statePath(directory: string): string {
  return join(directory, 'auditor-state.json')
}

/** Null where there is none.
 *  @throws StateError for one that can't be used */
export async function readState(directory: string, host: string): Promise<AuditorState | null> {
  const path = statePath(directory)
  const text = await readFile(path, 'utf8').catch(nullIfAbsent)
  if (text === null) return null
  const state = parseState(text)
  if (state === null) {
    throw new StateError(
      `cannot use ${path}: it is not what an auditor writes; restore it from a backup, or move it away: the whole log is ` +
        'then verified anew',
    )
  }
  if (state.host !== host) {
    throw new StateError(
      `cannot use ${path}: it is that of the host ${state.host}, and this one is ${host}; set host or audit.directory right`,
    )
  }
  return state
}

function parseState(text: string): AuditorState | null {
  try {
    const { v: _, verified, accepted, ...rest } = stateSchema.parse(JSON.parse(text))
    return {
      ...rest,
      verified: toAnchor(verified),
      accepted: accepted && { ...accepted, anchor: accepted.anchor && toAnchor(accepted.anchor) },
    }
  } catch {
    return null
  }
}

/** @throws RangeError */
function toAnchor({ size, frontier, lastLeaf, ...rest }: z.infer<typeof anchorSchema>): Anchor {
  const leaf = lastLeaf === null ? null : Buffer.from(lastLeaf, 'base64')
  if ((leaf === null) !== (size === 0)) throw new RangeError('it has a last entry where there is none')
  return { ...rest, frontier: decodeFrontier(size, Buffer.from(frontier, 'base64')), lastLeaf: leaf }
}

function fromAnchor({ frontier, lastLeaf, keys, announced, ...rest }: Anchor): z.infer<typeof anchorSchema> {
  return {
    ...rest,
    size: frontier.size,
    frontier: encodeBase64(encodeFrontier(frontier)),
    lastLeaf: lastLeaf === null ? null : encodeBase64(lastLeaf),
    keys: [...keys],
    announced: [...announced],
  }
}

/** Durable when it resolves. Not to be called again before that. */
export function writeState(directory: string, state: AuditorState): Promise<void> {
  return replaceFile(statePath(directory), formatState(state), 0o640)
}

function formatState({ verified, accepted, ...rest }: AuditorState): string {
  const written: Written = {
    v: 1,
    ...rest,
    verified: fromAnchor(verified),
    accepted: accepted && { ...accepted, anchor: accepted.anchor && fromAnchor(accepted.anchor) },
  }
  return `${JSON.stringify(written)}\n`
}

export function beginState(host: string): AuditorState {
  return { host, verified: emptyAnchor, cosigned: null, alarms: [], accepted: null }
}

/** Entries up to this one are not shipped any more: they were accepted as they are, and can't be shown to be the log. */
export function startOf(state: AuditorState | null): number {
  return state?.accepted?.anchor?.frontier.size ?? 0
}
