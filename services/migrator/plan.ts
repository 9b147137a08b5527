// `migrator plan`: what `up` would do.

import type { PrivilegeDifference } from '@teleclaude/store/engine.ts'
import { requireApplicable } from '@teleclaude/store/migrations.ts'
import { readMigrationState, readPrivilegeState } from '@teleclaude/store/open.ts'
import type { Answer, Deployment } from './answer.ts'

/** @throws StoreError where `up` would refuse the database */
export async function plan({ target }: Deployment): Promise<Answer> {
  const state = await readMigrationState(target)
  requireApplicable(state, 'the database')
  const { differences } = await readPrivilegeState(target)
  const parts: string[] = []
  if (state.pending.length > 0) {
    parts.push(['up would apply these migrations:', ...state.pending.map((name) => `  ${name}`)].join('\n'))
  }
  if (differences.length > 0) parts.push(`up would set roles and rights:\n${sqlText(differences)}`)
  return {
    exitCode: 0,
    text: parts.length === 0 ? 'up would do nothing: everything is as this program needs it.' : parts.join('\n'),
    facts: {
      migrations: state.pending,
      privileges: differences.map(({ what, sql }) => ({ what, sql })),
    },
  }
}

/** One statement a line. */
export function sqlText(differences: readonly PrivilegeDifference[]): string {
  return differences
    .flatMap(({ sql }) => sql.split('; '))
    .map((statement) => `  ${statement};`)
    .join('\n')
}
