// What a value must be for both engines to keep it unchanged. PostgreSQL's text holds no NUL (PostgreSQL 8.3) and UTF-8
// has no lone surrogates, so the store refuses both at its door, before either engine could refuse, cut or replace them.

import { type AccessGrant, maxReasonLength, type Notice } from '@teleclaude/core/access.ts'
import { type CommandRequest, maxSendLength } from '@teleclaude/core/command.ts'
import type { Alarm, AuditorWord, AuditQuery } from './audit-contract.ts'
import type { BoundAccount, NewCommand, NewSession, SessionQuery, SessionScope } from './contract.ts'

export const maxNameLength = 255
/** What PostgreSQL's integer holds. */
export const maxEpoch = 2 ** 31 - 1

/** Whether both engines can hold it: nothing that is stored is such text otherwise. */
export function canHold(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** @throws RangeError for text that a database can't hold, naming the value. Callers have parsed their input before. */
export function requireText(text: string, name: string, maxLength = Number.POSITIVE_INFINITY): void {
  if (!canHold(text)) throw new RangeError(`cannot store ${name}: it holds a NUL character or a lone surrogate`)
  if (text.length > maxLength) throw new RangeError(`cannot store ${name}: it is longer than ${maxLength} characters`)
}

export function requireNewSession(session: NewSession): void {
  requireText(session.host, "the session's host", maxNameLength)
  requireText(session.owner.person, "the session's owner", maxNameLength)
  requireText(session.owner.osUser, "the session's account", maxNameLength)
  requireText(session.project, "the session's project")
  if (session.agent !== null) requireText(session.agent, "the session's agent", maxNameLength)
  requireText(session.title, "the session's title")
  if (session.argv.length === 0) throw new RangeError("cannot store the session's arguments: there are none")
  for (const argument of session.argv) requireText(argument, "the session's arguments")
}

export function requireHost(host: string): void {
  requireText(host, "the audit log's host", maxNameLength)
}

export function requireNewCommand(command: NewCommand): void {
  requireText(command.requestedBy, "the command's requester", maxNameLength)
  if (command.request.kind === 'send') requireText(command.request.text, "the command's text", maxSendLength)
}

/** A request as columns: what is not of its kind is null or false. */
export function requestColumns(request: CommandRequest) {
  return {
    kind: request.kind,
    force: request.kind === 'stop' && request.force,
    text: request.kind === 'send' ? request.text : null,
    enter: request.kind === 'send' && request.enter,
  }
}

export function requireAccount(host: string, { osUser }: Pick<BoundAccount, 'osUser'>): void {
  requireText(host, "the account's host", maxNameLength)
  if (osUser === null) return
  requireText(osUser, "the account's name", maxNameLength)
  // Stored as empty is who has none.
  if (osUser === '') throw new RangeError("the account's name is empty")
}

/** Whether anything could be in the scope: no owner's name holds such text. */
export function canReach(scope: SessionScope): boolean {
  return scope.kind === 'all' || canHold(scope.person)
}

/** Whether any entry could match at all. */
export function canBeFound({ scope, sessionId, actor, owner, action }: AuditQuery): boolean {
  return canReach(scope) && [sessionId, actor, owner, action].every((text) => canHold(text ?? ''))
}

export function requireGrant({
  host,
  owner,
  grantee,
  reason,
}: Pick<AccessGrant, 'host' | 'owner' | 'grantee' | 'reason'>): void {
  requireText(host, "the access grant's host", maxNameLength)
  requireText(owner, "the access grant's owner", maxNameLength)
  requireText(grantee.person, "the access grant's holder", maxNameLength)
  requireText(reason, "the access grant's reason", maxReasonLength)
}

export function requireNotice({ person, by }: Pick<Notice, 'person' | 'by'>): void {
  requireText(person, "the notice's person", maxNameLength)
  requireText(by, "the notice's cause", maxNameLength)
}

const maxMessageLength = 10_000

export function requireMessage({ message }: Pick<Alarm | AuditorWord, 'message'>): void {
  if (message !== null) requireText(message, "the auditor's message", maxMessageLength)
}

export function requireSink(sink: string): void {
  requireText(sink, "the sink's name", maxNameLength)
}

export function requireParked(reason: string): void {
  requireText(reason, 'why an entry is parked', maxMessageLength)
}

/** @throws RangeError */
export function requireFew(values: readonly unknown[], most: number, name: string): void {
  if (values.length > most) throw new RangeError(`cannot read ${name}: ${values.length} at once are more than ${most}`)
}

/** Whether any session could match at all: none holds such text. */
export function canMatch(query: SessionQuery): boolean {
  return canReach(query.scope) && canHold(query.project ?? '') && query.statuses?.length !== 0
}

/** First and last id that start with the prefix, both included; null where no id can.
 *  Ids are compared in byte order by both engines, so that this range is one stretch of an index. */
export function idRange(prefix: string): { readonly first: string; readonly last: string } | null {
  const first = prefix + '00000000-0000-0000-0000-000000000000'.slice(prefix.length)
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(first)) return null
  return { first, last: prefix + 'ffffffff-ffff-ffff-ffff-ffffffffffff'.slice(prefix.length) }
}

export function isId(text: string): boolean {
  return idRange(text)?.first === text
}

/** Whether the prefix leaves so few sessions (1 in 256 at most) that they are found by id and then sorted. A shorter one
 *  matches so many that a page is sooner filled by walking the list. */
export function isSelective(query: SessionQuery): boolean {
  return query.idPrefix !== undefined && query.idPrefix.length >= 2
}

/** One read returns at most this many chunks, so that its cost does not grow with what follows. */
export const maxChunksPerRead = 1000

/** And at most so many entries' texts. */
export const maxTextsPerRead = 1000

/** And the views of so many grants. */
export const maxGrantsPerRead = 200
