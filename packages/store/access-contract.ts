// Access grants, what was viewed under them, and who is told, as both engines have them: a part of the store's contract (contract.ts).

import type { AccessGrant, AccessView, Notice } from '@teleclaude/core/access.ts'
import type { SessionId } from '@teleclaude/core/session.ts'
import type { SessionScope } from './contract.ts'

export type GrantQuery = {
  /** Those of everybody, or of a person: that they hold, or on what is theirs. */
  readonly scope: SessionScope
  readonly sessionId?: SessionId
  /** Only those that hold at that time. */
  readonly activeAtUs?: number
  /** Only those before that one, as the list goes: the last of the page before. */
  readonly before?: string
  readonly limit: number
}

/** Access grants, of every host. */
export interface AccessStore {
  /** With a notice to the owner, in one transaction. Durable when it resolves. Hints `access`. */
  open(grant: Omit<AccessGrant, 'ended'>, noticeId: string): Promise<void>
  find(id: string): Promise<AccessGrant | null>
  /** Newest first. */
  list(query: GrantQuery): Promise<readonly AccessGrant[]>
  /** False where it is unknown or has ended before. Hints `access`. */
  end(id: string, ended: NonNullable<AccessGrant['ended']>): Promise<boolean>
  /** Those whose time is over and whose end nobody has noted, of that host, oldest first. */
  listExpired(host: string, atUs: number, limit: number): Promise<readonly AccessGrant[]>
  beginView(view: Omit<AccessView, 'ended'>): Promise<void>
  /** False where it is unknown or has ended before. */
  endView(id: string, ended: NonNullable<AccessView['ended']>): Promise<boolean>
  /** Of that host, those that nobody has ended. */
  listOpenViews(host: string): Promise<readonly AccessView[]>
  /** Of those grants, oldest first. At most 200 grants. */
  listViews(grantIds: readonly string[]): Promise<readonly AccessView[]>
}

export interface NoticeStore {
  /** Hints `access`. */
  add(notice: Omit<Notice, 'seenAtUs'>): Promise<void>
  /** Newest first. `before`: the last one of the page before. */
  list(query: {
    readonly person: string
    readonly unseen?: boolean
    readonly before?: string
    readonly limit: number
  }): Promise<readonly Notice[]>
  countUnseen(person: string): Promise<number>
  /** That one and all before it. Returns how many had not been seen. */
  markSeen(person: string, throughId: string, atUs: number): Promise<number>
}
