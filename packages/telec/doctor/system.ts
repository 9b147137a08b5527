// The service of the whole machine, as one of its users sees it: where its socket lies, who it takes them for, and whether what
// it promises holds.

import { lstatSync } from 'node:fs'
import { dirname } from 'node:path'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { safeguardsSchema, type Whoami } from '@teleclaude/core/api.ts'
import { type Finding, fail, ok, reason, warn } from './finding.ts'

export const systemMends = {
  start:
    'docker compose up -d  # in the checkout of the appliance; of a systemd service: sudo systemctl start teleclaude',
  log: 'docker compose logs --tail 20 api  # in the checkout of the appliance; of a systemd service: journalctl -u teleclaude -n 20',
  update: 'sudo scripts/compose-up  # in the checkout of the appliance, after git pull',
}

/** Who can write there can put another socket in the place of the service's.
 *  @param serviceUid null where it is not known who listens */
export function checkRunDirectory(socketPath: string, serviceUid: number | null): Finding {
  const check = 'run-directory'
  const directory = dirname(socketPath)
  const quoted = shellQuote(directory)
  try {
    const stats = lstatSync(directory)
    const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0')
    if (!stats.isDirectory()) return fail(check, `${directory} is not a directory`, `ls -ld ${quoted}  # ask the admin`)
    if (stats.uid !== 0 && stats.uid !== serviceUid) {
      const what = `DANGER: ${directory} belongs to uid ${stats.uid}, who is neither root nor the service`
      return fail(check, what, `sudo chown root ${quoted}`)
    }
    const isSticky = (stats.mode & 0o1000) !== 0
    if ((stats.mode & 0o002) !== 0 || ((stats.mode & 0o020) !== 0 && !isSticky)) {
      const what = `DANGER: others than the service can write into ${directory} (mode ${mode})`
      return fail(check, what, `sudo chmod ${isSticky ? 'o-w' : 'go-w'} ${quoted}`)
    }
    return ok(check, `${directory} belongs to uid ${stats.uid}, mode ${mode}: nobody else can put a socket there`)
  } catch (error) {
    return fail(check, `cannot look at ${directory}: ${reason(error)}`, `ls -ld ${quoted}`)
  }
}

export function describeCaller({ person, role, because, refusal }: Whoami): Finding {
  const check = 'person'
  if (person !== null) return ok(check, `you are ${person}, ${role} (${because})`)
  return warn(check, `you are nobody here: ${because}`, refusal ?? 'ask an admin to add you to its people (config.yml)')
}

/** @param answer that of /v1/safeguards */
export function describeSafeguards(answer: unknown): readonly Finding[] {
  const check = 'audit-log'
  const parsed = safeguardsSchema.safeParse(answer)
  if (!parsed.success) {
    const hasDetail = typeof answer === 'object' && answer !== null && 'detail' in answer
    const why = hasDetail ? String(answer.detail) : 'its answer can not be read'
    return [warn(check, `the service does not say whether it is safe: ${why}`, systemMends.log)]
  }
  const mend = 'docker compose run --rm migrator up  # in the checkout of the appliance; then: ... migrator verify'
  return parsed.data.checks.map((safeguard) =>
    safeguard.ok ? ok(check, safeguard.what) : fail(check, safeguard.what, mend),
  )
}
