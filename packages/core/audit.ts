// The audit log's facts: who did what to what. What is recorded here is for admins and auditors to read, so nothing of a
// session's content is: no output, no arguments, no title.

import canonicalize from 'canonicalize'
import { z } from 'zod'
import { formatInstant } from './instant.ts'

export const auditActions = [
  'service.started',
  'service.stopped',
  'config.loaded',
  'config.reloaded',
  'config.refused',
  'schema.migrated',
  'session.started',
  'session.ended',
  'session.lost',
  'session.stopped',
  'session.renamed',
  'transcript.removed',
  'request.denied',
  'account.bound',
  'account.rebound',
  'stream.closed',
  'access.opened',
  'access.ended',
  'content.opened',
  'content.delivered',
  'session.commanded',
  'transcript.sealed',
  'key.changed',
  'auditor.started',
  'alarm.raised',
  'alarm.acknowledged',
] as const
export type AuditAction = (typeof auditActions)[number]

/** Who did it: somebody at the other end of a connection, or one of our services on its own account. */
export type AuditActor =
  | {
      readonly kind: 'caller'
      readonly person: string | null
      readonly osUser: string | null
      readonly uid: number
      readonly pid: number
    }
  | { readonly kind: 'service'; readonly name: 'api' | 'migrator' | 'auditor' }

export type AuditEvent = {
  readonly action: AuditAction
  readonly actor: AuditActor
  /** The session that it is about, and whose that is. */
  readonly session: { readonly id: string; readonly owner: string } | null
  /** Plain facts, by names that stay. Integers are safe ones. */
  readonly detail: Readonly<Record<string, string | number | boolean | null>>
  /** What somebody wrote, by names that `detail` does not have: it is kept beside the log, which holds a salted commitment to it
   *  under the same name (commitment.ts). Where the salt is erased, nobody can tell any more what it was, and the log still holds. */
  readonly texts?: Readonly<Record<string, string>>
}

/** An event's texts are in its detail by then, as commitments. */
export type AuditEntry = Omit<AuditEvent, 'texts'> & {
  readonly host: string
  /** Which key signs the log: 0 until it has one, then 1, and one more with each `key.changed`, which is the first entry of its
   *  epoch. */
  readonly epoch: number
  /** 1, 2, 3 ... without a gap, in the order of the commits. The order of entries is theirs, never that of a clock. */
  readonly seq: number
  readonly atUs: number
}

/** Of one entry as it is stored. */
export const maxAuditEntryBytes = 64 * 1024 - 1

/** All of an entry but its epoch and its number, which only the one who appends it knows: so that it is written once. */
export type PreparedEntry = {
  readonly action: AuditAction
  /** The texts before the epoch, between epoch and number, and after the number. */
  readonly parts: readonly [string, string, string]
}

/** @throws RangeError for what JSON can't hold: a lone surrogate, NaN */
export function prepareAuditEntry(entry: Omit<AuditEntry, 'epoch' | 'seq'>): PreparedEntry {
  const { host, atUs, action, actor, session, detail } = entry
  // RFC 8785 orders keys by their UTF-16 code units: these four come before `epoch`, and these two after `seq`.
  const first = canonicalText({ action, actor, at: formatInstant(atUs), detail }, action)
  const last = canonicalText({ session, v: 1 }, action)
  return {
    action,
    parts: [`${first.slice(0, -1)},"epoch":`, `,"host":${canonicalText(host, action)},"seq":`, `,${last.slice(1)}`],
  }
}

/** The exact bytes of an entry: JSON canonicalised by RFC 8785, in UTF-8. `v` is the version of this form.
 *  @throws RangeError for an entry longer than `maxAuditEntryBytes` */
export function finishAuditEntry({ action, parts }: PreparedEntry, epoch: number, seq: number): Uint8Array {
  const bytes = Buffer.from(parts[0] + epoch + parts[1] + seq + parts[2], 'utf8')
  if (bytes.length > maxAuditEntryBytes) {
    throw new RangeError(
      `cannot record ${action}: ${bytes.length} bytes are more than an entry's ${maxAuditEntryBytes}`,
    )
  }
  return bytes
}

/** @throws RangeError as its two halves do */
export function encodeAuditEntry(entry: AuditEntry): Uint8Array {
  return finishAuditEntry(prepareAuditEntry(entry), entry.epoch, entry.seq)
}

function canonicalText(value: object | string, action: AuditAction): string {
  try {
    return canonicalize(value) ?? ''
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new RangeError(`cannot record ${action}: it can't be written as JSON (${why})`, { cause })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const storedForm = z.looseObject({
  v: z.literal(1),
  host: z.string(),
  // Entries of before there were keys do not say it.
  epoch: z.int().min(0).default(0),
  seq: z.int().min(1),
  at: z.iso.datetime(),
  /** Also one of a later program. */
  action: z.string(),
  actor: z.looseObject({ kind: z.string(), person: z.string().nullish() }),
  session: z.looseObject({ id: z.string(), owner: z.string() }).nullable(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
})
export type ParsedAuditEntry = z.infer<typeof storedForm>

/** What an entry is found by. */
export type AuditIndex = {
  readonly action: string
  /** Who did it, where that is a person. */
  readonly actor: string | null
  /** Whose session it is about, and which. */
  readonly owner: string | null
  readonly sessionId: string | null
}

export function auditIndexOf(entry: Pick<ParsedAuditEntry, 'action' | 'actor' | 'session'>): AuditIndex {
  const { action, actor, session } = entry
  return { action, actor: actor.person ?? null, owner: session?.owner ?? null, sessionId: session?.id ?? null }
}

/** What the bytes say; null for those that are no entry in canonical form, of this or a later program's actions. */
export function parseAuditEntry(bytes: Uint8Array): ParsedAuditEntry | null {
  try {
    const text = utf8.decode(bytes)
    const value: unknown = JSON.parse(text)
    const parsed = storedForm.safeParse(value)
    return parsed.success && canonicalize(value) === text ? parsed.data : null
  } catch {
    // Neither UTF-8 nor JSON, or with a lone surrogate: no entry.
    return null
  }
}

/** The same wherever and whenever it is delivered: what a receiver tells repetitions by. */
export function auditEntryId({ host, epoch, seq }: Pick<AuditEntry, 'host' | 'epoch' | 'seq'>): string {
  return `${host}:${epoch}:${seq}`
}
