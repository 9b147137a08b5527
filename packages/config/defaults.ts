// What holds where nobody configured anything else.

/** Shown at the start of every session, before anything is recorded. */
export const auditNotice = 'Sessions on this system are subject to admin audit.'

export const logLevel = 'info'

/** Lets go of a session, which goes on. */
export const detachKey = 'ctrl-\\ d'
