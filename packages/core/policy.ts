// Who may do what. One pure function, called in one place: between the table of routes and the handler.

import type { Caller } from './caller.ts'

export const actions = [
  'health.read',
  'whoami.read',
  'safeguards.read',
  'config.read',
  'config.reload',
  'people.read',
  'people.rebind',
  'policy.explain',
  'session.create',
  'session.list',
  'events.read',
  'session.read',
  'session.stop',
  'session.rename',
  'session.send',
  'session.report',
  'transcript.read',
  'session.attach',
  'session.drive',
  'runner.connect',
  'access.open',
  'access.list',
  'access.end',
  'notices.read',
  'audit.read',
  'audit.prove',
  'audit.export',
  'audit.acknowledge',
  'audit.rotate',
  'metrics.read',
] as const
export type Action = (typeof actions)[number]

/** Whose something is, seen from the caller. */
export type Ownership = 'own' | 'other'

/** What an action is about: the service itself, or one person or session. */
export type Resource =
  | { readonly kind: 'service' }
  | { readonly kind: 'person'; readonly ownership: Ownership }
  | {
      readonly kind: 'session'
      readonly ownership: Ownership
      /** What an access grant that holds now lets the caller do with somebody else's content; nothing where it is left out. */
      readonly access?: Access | null
    }

/** To look only, or also to type. */
export type Access = 'view' | 'drive'

export type Decision =
  | { readonly allow: true }
  /** `hidden`: what the caller may not see does not exist for them; answer as if it were not there. */
  | { readonly allow: false; readonly hidden: boolean; readonly reason: string }

const allow: Decision = { allow: true }

function deny(reason: string): Decision {
  return { allow: false, hidden: false, reason }
}

/** Those that are about one session. */
export const sessionActions = [
  'session.read',
  'session.stop',
  'session.rename',
  'session.send',
  'session.report',
  'transcript.read',
  'session.attach',
  'session.drive',
  'runner.connect',
  'access.open',
] as const satisfies readonly Action[]

/** For everybody, and also while nothing else can be told. */
export const openActions: readonly Action[] = ['health.read', 'whoami.read']
const adminActions: readonly Action[] = [
  'config.read',
  'config.reload',
  'people.read',
  'people.rebind',
  'access.open',
  'access.end',
  'audit.export',
  'audit.acknowledge',
  'audit.rotate',
  'metrics.read',
]
/** What an admin may do with a session of somebody else without a grant. The rest is content, and the owner's. */
const metadataActions: readonly Action[] = ['session.read', 'session.stop', 'session.rename', 'access.open']
/** What a grant lets an admin do with it. */
const grantedActions: Readonly<Record<Access, readonly Action[]>> = {
  view: ['transcript.read', 'session.attach'],
  drive: ['transcript.read', 'session.attach', 'session.drive', 'session.send'],
}

const notTheirs = 'this session belongs to somebody else'
const noGrant = 'this session belongs to somebody else: open it first, with a reason (telec access open)'
const noDriving = 'this session belongs to somebody else, and your access is to look only (telec access open --drive)'

/** Decides from the caller and the resource alone, without I/O. Content (`transcript.read`, attach, drive, send) is the owner's, and
 *  an admin's only under an access grant. */
export function decide(
  caller: Pick<Caller, 'person' | 'role' | 'refusal'>,
  action: Action,
  resource: Resource,
): Decision {
  const { kind } = resource
  const isOthers = kind !== 'service' && resource.ownership === 'other'
  if (kind === 'service' && openActions.includes(action)) return allow
  // Also for who is nobody: what they may do is no secret from themselves.
  if (action === 'policy.explain' && kind === 'person' && !isOthers) return allow
  if (caller.role === 'public' || caller.person === null) return deny(caller.refusal)
  if (caller.role === 'admin') {
    if (kind !== 'session' || !isOthers || metadataActions.includes(action)) return allow
    return decideContent(action, resource.access ?? null)
  }
  // Whatever is asked about it, or whether there is one could be told from the answer.
  if (kind === 'session' && isOthers) return { allow: false, hidden: true, reason: notTheirs }
  if (action === 'policy.explain') return deny('what others may do is for admins to ask')
  if (adminActions.includes(action)) return deny('this is for admins')
  return kind === 'person' && isOthers ? deny('this is about somebody else') : allow
}

function decideContent(action: Action, access: Access | null): Decision {
  if (access !== null && grantedActions[access].includes(action)) return allow
  if (!grantedActions.drive.includes(action)) return deny(notTheirs)
  return deny(access === null ? noGrant : noDriving)
}

/** Whose sessions the caller may see metadata of, as a person's name or everybody's. */
export function visibleOwner(
  caller: Pick<Caller, 'person' | 'role' | 'refusal'>,
): { readonly kind: 'all' } | { readonly kind: 'person'; readonly person: string } {
  if (decide(caller, 'session.read', { kind: 'session', ownership: 'other' }).allow) return { kind: 'all' }
  return { kind: 'person', person: caller.person ?? '' }
}
