// What holds where nobody configured anything else.

/** Shown at the start of every session, before anything is recorded. */
export const auditNotice = 'Sessions on this system are subject to admin audit.'

export const logLevel = 'info'

/** Lets go of a session, which goes on. */
export const detachKey = 'ctrl-\\ d'

/** How long a command waits for a session whose runner is away. */
export const commandExpiryMinutes = 10

/** What one user may have of a service of the whole machine. */
export const limits = {
  connections: 320,
  requestsPerSecond: 100,
  streams: 256,
  sessions: { newcomer: 5, contributor: 20, member: 50, admin: 100 },
} as const

/** What is asked of the audit log before somebody else's content is shown. */
export const auditPolicy = { require: 'committed', onAlarm: 'warn', auditorKey: null } as const

/** Of the auditor's file, before the next is begun. */
export const auditFileMb = 256
