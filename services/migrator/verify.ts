// `migrator verify`: everything that this program says of the database, compared with what is there, and really tried.

import { renderTable } from '@teleclaude/core/table.ts'
import type { Tampering } from '@teleclaude/store/audit-contract.ts'
import type { PrivilegeDifference } from '@teleclaude/store/engine.ts'
import type { MigrationState } from '@teleclaude/store/migrations.ts'
import { openStore, readMigrationState, readPrivilegeState } from '@teleclaude/store/open.ts'
import { type Answer, type Deployment, exitCodes, tableOptions } from './answer.ts'

type Check = { readonly check: string; readonly holds: boolean; readonly result: string }

export async function verify(deployment: Deployment): Promise<Answer> {
  const state = await readMigrationState(deployment.target)
  const { differences } = await readPrivilegeState(deployment.target)
  const checks = [
    wantNone('every applied migration is known', state.unknown, 'newer than this program'),
    wantNone('no applied migration was edited', state.edited, 'edited'),
    wantNone('no migration is pending', state.pending, 'pending'),
    ...checkPrivileges(differences),
    ...(await checkTampering(deployment, state)),
  ]
  const holds = checks.every((check) => check.holds)
  const columns = [
    { title: 'CHECK', value: (line: Check) => line.check },
    { title: 'HOLDS', value: (line: Check) => (line.holds ? 'yes' : 'NO') },
    { title: 'RESULT', value: (line: Check) => line.result },
  ]
  const verdict = holds
    ? 'All of it holds.'
    : `${checks.filter((check) => !check.holds).length} of ${checks.length} checks do not hold; migrator plan shows what up would mend.`
  return {
    exitCode: holds ? 0 : state.unknown.length > 0 ? exitCodes.data : exitCodes.differs,
    text: `${renderTable(checks, columns, tableOptions)}${verdict}`,
    facts: { holds, checks },
  }
}

function wantNone(check: string, found: readonly string[], adjective: string): Check {
  const holds = found.length === 0
  return { check, holds, result: holds ? 'none' : `${adjective}: ${found.join(', ')}` }
}

const kinds: Readonly<Record<PrivilegeDifference['kind'], string>> = {
  role: "the services' roles are there and can do nothing but log in",
  owner: "everything belongs to the database's owner",
  grant: 'rights are exactly as declared, for everybody',
  trigger: 'the trigger of audit_entries is there and always fires',
}

function checkPrivileges(differences: readonly PrivilegeDifference[]): readonly Check[] {
  return Object.entries(kinds).map(([kind, check]) => {
    const found = differences.filter((difference) => difference.kind === kind)
    return { check, holds: found.length === 0, result: found.map(({ what }) => what).join('; ') || 'as declared' }
  })
}

const attempts: readonly Tampering[] = ['update', 'delete', 'truncate']

/** As the database's owner, who has every right to; the services' roles have not even that. */
async function checkTampering({ target, host }: Deployment, state: MigrationState): Promise<readonly Check[]> {
  const check = (attempt: Tampering) => `the owner can't ${attempt} audit entries (really tried)`
  if ([...state.unknown, ...state.edited, ...state.pending].length > 0) {
    const result = 'not tried: the schema is not that of this program'
    return attempts.map((attempt) => ({ check: check(attempt), holds: false, result }))
  }
  const store = await openStore(target)
  try {
    const letThrough = await store.audit.tryTampering(host)
    return attempts.map((attempt) => {
      const holds = !letThrough.includes(attempt)
      return { check: check(attempt), holds, result: holds ? 'refused' : 'the database let it through' }
    })
  } finally {
    await store.close()
  }
}
