// A session's own scope under its owner's systemd (systemd.scope(5)): `systemctl --user` shows it, its owner's logout does not end
// it. Only where the user's manager stays after the last logout (lingering, loginctl(1)): one that goes ends its scopes, which
// setsid(2) alone can survive, unless logind ends what a logout leaves (KillUserProcesses, logind.conf(5)).

import { existsSync, lstatSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'

export type ScopeFacts = {
  readonly platform: NodeJS.Platform
  readonly uid: number
  /** Null for a uid without an account. */
  readonly user: string | null
  /** As the environment has it. */
  readonly runtimeDirectory: string | undefined
  /** Where logind makes a runtime directory for each user. */
  readonly runtimeDirectories: string
  /** Where logind keeps a file for each user who lingers. */
  readonly lingerDirectory: string
  /** There, where the machine was booted with systemd (sd_booted(3)). */
  readonly systemdDirectory: string
}

export type Scope =
  /** The words that run another command, whose words follow, in the scope. */
  | { readonly kind: 'available'; readonly command: readonly string[] }
  | { readonly kind: 'not-lingering' | 'no-manager'; readonly why: string }
  /** No systemd, or nobody that it knows. */
  | { readonly kind: 'none' }

export function readScopeFacts(env: NodeJS.ProcessEnv): ScopeFacts {
  return {
    platform: process.platform,
    uid: process.getuid?.() ?? -1,
    user: userName(),
    runtimeDirectory: env.XDG_RUNTIME_DIR,
    runtimeDirectories: '/run/user',
    lingerDirectory: '/var/lib/systemd/linger',
    systemdDirectory: '/run/systemd/system',
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

export function findScope(sessionId: string, facts: ScopeFacts): Scope {
  const { platform, user, lingerDirectory, systemdDirectory, runtimeDirectory } = facts
  if (platform !== 'linux' || user === null || user.includes('/') || !existsSync(systemdDirectory))
    return { kind: 'none' }
  if (!existsSync(join(lingerDirectory, user))) return { kind: 'not-lingering', why: `${user} does not linger` }
  const own = findManager(facts)
  if (own === null) return { kind: 'no-manager', why: `the systemd of ${user} does not listen` }
  const command = [
    'systemd-run',
    '--user',
    '--scope',
    '--collect',
    '--quiet',
    `--unit=teleclaude-session-${sessionId}`,
    `--description=TeleClaude session ${sessionId}`,
    '--',
  ]
  if (own === runtimeDirectory) return { kind: 'available', command }
  // It is for systemd-run alone: the program gets the environment of whoever started it.
  const restored = runtimeDirectory === undefined ? ['-u', variable] : [`${variable}=${runtimeDirectory}`]
  return { kind: 'available', command: ['env', `${variable}=${own}`, ...command, 'env', ...restored] }
}

const variable = 'XDG_RUNTIME_DIR'

/** The runtime directory of a manager that listens. By `su`, `sudo` and cron the variable is not set, or still somebody else's. */
function findManager({ uid, runtimeDirectory, runtimeDirectories }: ScopeFacts): string | null {
  const candidates = [runtimeDirectory, join(runtimeDirectories, `${uid}`)]
  return candidates.find((path) => path !== undefined && path !== '' && listens(path, uid)) ?? null
}

function listens(directory: string, uid: number): boolean {
  if (lstatSync(directory, { throwIfNoEntry: false })?.uid !== uid) return false
  return ['systemd/private', 'bus'].some((name) => existsSync(join(directory, name)))
}
