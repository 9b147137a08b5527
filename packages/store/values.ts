// What a value must be for both engines to keep it unchanged. PostgreSQL's text holds no NUL (PostgreSQL 8.3) and UTF-8
// has no lone surrogates, so the store refuses both at its door, before either engine could refuse, cut or replace them.

import { type CommandRequest, maxSendLength } from '@teleclaude/core/command.ts'
import type { BoundAccount, NewCommand, NewSession, SessionQuery, SessionScope } from './contract.ts'

const maxNameLength = 255

function canHold(text: string): boolean {
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
