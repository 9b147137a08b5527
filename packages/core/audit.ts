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
}

export type AuditEntry = AuditEvent & {
  readonly host: string
  /** 1, 2, 3 ... without a gap, in the order of the commits. The order of entries is theirs, never that of a clock. */
  readonly seq: number
  readonly atUs: number
}

/** Of one entry as it is stored. */
export const maxAuditEntryBytes = 64 * 1024 - 1

/** The exact bytes of an entry: JSON canonicalised by RFC 8785, in UTF-8. `v` is the version of this form.
 *  @throws RangeError for an entry longer than `maxAuditEntryBytes`, and for what JSON can't hold: a lone surrogate, NaN */
export function encodeAuditEntry(entry: AuditEntry): Uint8Array {
  const { host, seq, atUs, action, actor, session, detail } = entry
  const bytes = canonicalBytes({ v: 1, host, seq, at: formatInstant(atUs), action, actor, session, detail }, action)
  if (bytes.length > maxAuditEntryBytes) {
    throw new RangeError(
      `cannot record ${action}: ${bytes.length} bytes are more than an entry's ${maxAuditEntryBytes}`,
    )
  }
  return bytes
}

function canonicalBytes(value: object, action: AuditAction): Buffer {
  try {
    return Buffer.from(canonicalize(value) ?? '', 'utf8')
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new RangeError(`cannot record ${action}: it can't be written as JSON (${why})`, { cause })
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const storedForm = z.looseObject({ v: z.literal(1), host: z.string(), seq: z.int(), at: z.iso.datetime() })

/** What of an entry says which one it is; null for bytes that are no entry in canonical form, of this or a later program's
 *  actions. */
export function identifyAuditEntry(bytes: Uint8Array): { readonly host: string; readonly seq: number } | null {
  const entry = parseAuditEntry(bytes)
  return entry === null ? null : { host: entry.host, seq: entry.seq }
}

/** When the entry was made, in milliseconds since 1970; null for bytes that are no entry. */
export function auditEntryTimeMs(bytes: Uint8Array): number | null {
  const entry = parseAuditEntry(bytes)
  return entry === null ? null : Date.parse(entry.at)
}

function parseAuditEntry(bytes: Uint8Array): z.infer<typeof storedForm> | null {
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
