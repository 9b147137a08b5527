// Whether the end of a login ends the sessions that were started in it: logind does so where it is told to (KillUserProcesses,
// logind.conf(5)), but for what is in a scope of the user's own systemd, and that stays only for who lingers.

import { execFile } from 'node:child_process'
import { userInfo } from 'node:os'
import { promisify } from 'node:util'
import { z } from 'zod'
import { findScope, readScopeFacts, type Scope } from '../runner/scope.ts'
import { type Finding, ok, reason, warn } from './finding.ts'

const check = 'logout'
const patienceMs = 5_000

/** What logind does at a logout, in the order of `properties`. */
const propertiesSchema = z.tuple([z.boolean(), z.array(z.string()), z.array(z.string())])
const properties = ['KillUserProcesses', 'KillOnlyUsers', 'KillExcludeUsers']
const valueSchema = z.object({ data: z.unknown() })

export type LogoutRules = {
  readonly killUserProcesses: boolean
  readonly onlyUsers: readonly string[]
  readonly excludedUsers: readonly string[]
}

/** Nothing where there is no systemd. */
export async function checkLogout(env: NodeJS.ProcessEnv): Promise<readonly Finding[]> {
  const scope = findScope('', readScopeFacts(env))
  if (scope.kind === 'none') return []
  const { username } = userInfo()
  return [judgeLogout(scope, username, scope.kind === 'available' ? null : await readRules().catch(reason))]
}

/** @param rules why they are not known, where they are not; null where they do not matter */
export function judgeLogout(scope: Exclude<Scope, { kind: 'none' }>, user: string, rules: LogoutRules | string | null) {
  if (scope.kind === 'available' || rules === null)
    return ok(check, `ends no session: ${user} lingers, and each session has a scope of its own`)
  const mend =
    scope.kind === 'not-lingering'
      ? `loginctl enable-linger  # where that is refused: sudo loginctl enable-linger ${user}`
      : `sudo systemctl restart user@${process.getuid?.()}.service  # it ends what runs in it; why: journalctl --user`
  if (typeof rules === 'string')
    return warn(check, `may end your sessions: ${scope.why}, and logind does not say: ${rules}`, mend)
  if (!endsProcesses(rules, user)) return ok(check, 'ends no session: logind leaves processes alone')
  return warn(check, `ends your sessions: ${scope.why}, and logind ends what a logout leaves`, mend)
}

/** As logind.conf(5) has it: who is excluded first, then who is named, then everybody. */
function endsProcesses({ killUserProcesses, onlyUsers, excludedUsers }: LogoutRules, user: string): boolean {
  // Root is excluded where nobody is named.
  if (excludedUsers.includes(user) || (user === 'root' && excludedUsers.length === 0)) return false
  return onlyUsers.length > 0 ? onlyUsers.includes(user) : killUserProcesses
}

/** @throws Error where there is no answer */
async function readRules(): Promise<LogoutRules> {
  const name = 'org.freedesktop.login1'
  const args = ['--json=short', 'get-property', name, '/org/freedesktop/login1', `${name}.Manager`, ...properties]
  const { stdout } = await promisify(execFile)('busctl', args, { timeout: patienceMs })
  return parseRules(stdout)
}

/** One line a property. */
export function parseRules(text: string): LogoutRules {
  const values = text
    .trimEnd()
    .split('\n')
    .map((line) => valueSchema.parse(JSON.parse(line)).data)
  const [killUserProcesses, onlyUsers, excludedUsers] = propertiesSchema.parse(values)
  return { killUserProcesses, onlyUsers, excludedUsers }
}
