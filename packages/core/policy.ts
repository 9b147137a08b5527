// Who may do what. One pure function, called in one place: between the table of routes and the handler.

import type { Caller } from './caller.ts'

export const actions = [
  'health.read',
  'whoami.read',
  'safeguards.read',
  'config.read',
  'config.reload',
  'session.create',
  'session.list',
  'session.read',
  'session.stop',
  'transcript.read',
  'session.attach',
  'session.drive',
  'runner.connect',
] as const
export type Action = (typeof actions)[number]

/** What an action is about: the service itself, or one session as seen from the caller. */
export type Resource = { readonly kind: 'service' } | { readonly kind: 'session'; readonly ownership: 'own' | 'other' }

export type Decision =
  | { readonly allow: true }
  /** `hidden`: what the caller may not see does not exist for them; answer as if it were not there. */
  | { readonly allow: false; readonly hidden: boolean; readonly reason: string }

const allow: Decision = { allow: true }

const adminActions: readonly Action[] = ['config.read', 'config.reload']

/** Decides from the caller and the resource alone, without I/O. Content (`transcript.read`, attach, drive) is the owner's. */
export function decide(caller: Caller, action: Action, resource: Resource): Decision {
  if (action === 'health.read' || action === 'whoami.read') return allow
  if (caller.role === 'public' || caller.person === null) {
    return {
      allow: false,
      hidden: false,
      reason: 'this service does not know you: an admin has to add you to its people',
    }
  }
  if (adminActions.includes(action) && caller.role !== 'admin') {
    return { allow: false, hidden: false, reason: 'this is for admins' }
  }
  if (resource.kind === 'service') return allow
  if (resource.ownership === 'own') return allow
  const isMetadata = action === 'session.read' || action === 'session.stop'
  if (isMetadata && caller.role === 'admin') return allow
  return { allow: false, hidden: caller.role !== 'admin', reason: 'this session belongs to somebody else' }
}

/** Whose sessions the caller may see metadata of, as a person's name or everybody's. */
export function visibleOwner(
  caller: Caller,
): { readonly kind: 'all' } | { readonly kind: 'person'; readonly person: string } {
  if (caller.role === 'admin') return { kind: 'all' }
  return { kind: 'person', person: caller.person ?? '' }
}
