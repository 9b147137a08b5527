// What the api adds to the audit log. Who asks for something that has to be on the record waits for this first: where it can't
// be recorded it is not done.

import type { AuditActor, AuditEvent } from '@teleclaude/core/audit.ts'
import type { Caller } from '@teleclaude/core/caller.ts'
import { nowUs } from '@teleclaude/core/instant.ts'
import type { Session } from '@teleclaude/core/session.ts'
import type { Store } from '@teleclaude/store/contract.ts'

export type CallerActor = AuditActor & { readonly kind: 'caller' }

export const theApi: AuditActor = { kind: 'service', name: 'api' }

export function actorOf({ person, osUser, credentials: { uid, pid } }: Caller): CallerActor {
  return { kind: 'caller', person, osUser, uid, pid }
}

export function subjectOf(session: Pick<Session, 'id' | 'owner'>): NonNullable<AuditEvent['session']> {
  return { id: session.id, owner: session.owner.person }
}

export type AuditedHost = { readonly store: Pick<Store, 'audit'>; readonly host: string }

/** Resolves to the number of the last once they are durable, in this order and with nothing between them; to 0 where there are none.
 *  @throws StoreError: treat them as not recorded */
export async function recordAll({ store, host }: AuditedHost, events: readonly AuditEvent[]): Promise<number> {
  const [first, ...others] = events
  return first === undefined ? 0 : store.audit.append(host, [first, ...others], nowUs())
}

export function record(where: AuditedHost, event: AuditEvent): Promise<number> {
  return recordAll(where, [event])
}
