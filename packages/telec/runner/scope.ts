// A session's own scope under its owner's systemd (systemd.scope(5)): `systemctl --user` shows it, its owner's logout does not end
// it. Only where the user's manager stays after the last logout (lingering, loginctl(1)): one that goes ends its scopes, which
// setsid(2) alone can survive.

import { existsSync, lstatSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'

export type ScopeFacts = {
  readonly platform: NodeJS.Platform
  readonly uid: number
  /** Null for a uid without an account. */
  readonly user: string | null
  readonly runtimeDirectory: string | undefined
  /** Where logind keeps a file for each user who lingers. */
  readonly lingerDirectory: string
}

export function readScopeFacts(env: NodeJS.ProcessEnv): ScopeFacts {
  return {
    platform: process.platform,
    uid: process.getuid?.() ?? -1,
    user: userName(),
    runtimeDirectory: env.XDG_RUNTIME_DIR,
    lingerDirectory: '/var/lib/systemd/linger',
  }
}

function userName(): string | null {
  try {
    return userInfo().username
  } catch (error) {
    // ENOENT: there is no such account.
    if (error instanceof Error && 'code' in error && error.code === 'ERR_SYSTEM_ERROR') return null
    throw error
  }
}

/** The command that runs another, whose words follow, in the session's scope; null where there is no use in one. */
export function scopeCommand(sessionId: string, facts: ScopeFacts): readonly string[] | null {
  const { platform, uid, user, runtimeDirectory, lingerDirectory } = facts
  if (platform !== 'linux' || !runtimeDirectory || user === null || user.includes('/')) return null
  if (!existsSync(join(lingerDirectory, user))) return null
  // The variable survives `su`, and then it is somebody else's systemd.
  if (lstatSync(runtimeDirectory, { throwIfNoEntry: false })?.uid !== uid) return null
  const doors = ['systemd/private', 'bus'].map((name) => join(runtimeDirectory, name))
  if (!doors.some((path) => existsSync(path))) return null
  return [
    'systemd-run',
    '--user',
    '--scope',
    '--collect',
    '--quiet',
    `--unit=teleclaude-session-${sessionId}`,
    `--description=TeleClaude session ${sessionId}`,
    '--',
  ]
}
