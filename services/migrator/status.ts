// `migrator status`: which migrations are applied, and whether each service's role is what it should be.

import { formatInstant } from '@teleclaude/core/instant.ts'
import { renderTable } from '@teleclaude/core/table.ts'
import { readAppliedMigrations, readMigrationState, readPrivilegeState } from '@teleclaude/store/open.ts'
import { type Answer, type Deployment, exitCodes, tableOptions } from './answer.ts'

type MigrationLine = {
  readonly name: string
  /** `edited`: the file has changed since. `unknown`: a newer program applied it. */
  readonly state: 'applied' | 'pending' | 'edited' | 'unknown'
  readonly appliedAt: string | null
}
type RoleLine = { readonly name: string; readonly ready: boolean; readonly differences: readonly string[] }

export async function readStatus({ target }: Deployment): Promise<Answer> {
  const { applied, pending, edited, unknown } = await readMigrationState(target)
  const times = new Map(
    (await readAppliedMigrations(target)).map(({ name, appliedAtUs }) => [name, formatInstant(appliedAtUs)]),
  )
  const stateOf = (name: string): MigrationLine['state'] => {
    if (unknown.includes(name)) return 'unknown'
    if (edited.includes(name)) return 'edited'
    return pending.includes(name) ? 'pending' : 'applied'
  }
  const migrations = [...applied, ...pending]
    .sort()
    .map((name) => ({ name, state: stateOf(name), appliedAt: times.get(name) ?? null }))

  const privileges = await readPrivilegeState(target)
  const of = (isMeant: (subject: string) => boolean) =>
    privileges.differences.filter(({ subject }) => isMeant(subject)).map(({ what }) => what)
  const roles = privileges.roles.map((name): RoleLine => {
    const differences = of((subject) => subject === name)
    return { name, ready: differences.length === 0, differences }
  })
  const others = of((subject) => !privileges.roles.includes(subject))
  const current = migrations.every(({ state }) => state === 'applied') && privileges.differences.length === 0
  return {
    exitCode: unknown.length > 0 ? exitCodes.data : current ? 0 : exitCodes.differs,
    text: [
      renderMigrations(migrations) + renderRoles(roles),
      ...others.map((what) => `${what}\n`),
      unknown.length === 0 ? '' : `The schema is newer than this program (${unknown.join(', ')}).\n`,
    ]
      .join('')
      .trimEnd(),
    facts: { current, migrations, roles, others },
  }
}

function renderMigrations(migrations: readonly MigrationLine[]): string {
  const columns = [
    { title: 'MIGRATION', value: (line: MigrationLine) => line.name },
    { title: 'STATE', value: (line: MigrationLine) => line.state },
    { title: 'APPLIED AT', value: (line: MigrationLine) => line.appliedAt ?? '' },
  ]
  return renderTable(migrations, columns, tableOptions)
}

function renderRoles(roles: readonly RoleLine[]): string {
  const columns = [
    { title: 'ROLE', value: (line: RoleLine) => line.name },
    { title: 'STATE', value: (line: RoleLine) => (line.ready ? 'ready' : 'differs') },
    { title: 'BECAUSE', value: (line: RoleLine) => line.differences.join('; ') },
  ]
  return renderTable(roles, columns, tableOptions)
}
