// `migrator up`: waits for the database, applies migrations, sets roles and rights. Each step is whole or not at all, and
// all of them can be run again, so that a kill anywhere is mended by the next run.

import { nowUs } from '@teleclaude/core/instant.ts'
import { StoreError, type StoreTarget } from '@teleclaude/store/contract.ts'
import type { MigrationProgress } from '@teleclaude/store/migrations.ts'
import { applyPrivileges, migrate, openStore, readMigrationState, waitForDatabase } from '@teleclaude/store/open.ts'
import { type Answer, type Deployment, NotPermittedError } from './answer.ts'
import { sqlText } from './plan.ts'

export type UpOptions = { readonly waitMs: number; readonly say: (line: string) => void }

/** @throws StoreError; NotPermittedError with the SQL that somebody else has to run */
export async function up({ target, host }: Deployment, { waitMs, say }: UpOptions): Promise<Answer> {
  await waitUntilReachable(target, waitMs, say)
  const { applied } = await migrate(target, { onProgress: tellProgress(say) })
  // Before the roles get their rights: nobody works on a schema whose change is not on the record.
  if (applied.length > 0) await record({ target, host }, applied)
  const { mended, left } = await applyPrivileges(target)
  for (const { what } of mended) say(`mended: ${what}`)
  if (left.length > 0) {
    const reasons = left.map(({ what }) => `  ${what}`).join('\n')
    throw new NotPermittedError(
      `cannot set roles and rights as they have to be: the database's role may not\n${reasons}\n` +
        `let an admin of the database run this, then run the migrator again:\n${sqlText(left)}`,
    )
  }
  const { applied: all } = await readMigrationState(target)
  const did = applied.length === 0 ? 'nothing was pending' : `${applied.length} applied now`
  const rights = mended.length === 0 ? 'nothing had to be mended' : `${mended.length} mended now`
  return {
    exitCode: 0,
    text: `The database is as this program needs it: ${all.length} migrations (${did}); roles and rights exactly as declared (${rights}).`,
    facts: { applied, mended: mended.map(({ what, sql }) => ({ what, sql })) },
  }
}

/** @throws StoreError 'unavailable' with the last reason */
async function waitUntilReachable(target: StoreTarget, waitMs: number, say: UpOptions['say']): Promise<void> {
  const signal = AbortSignal.timeout(waitMs)
  const reasons: string[] = []
  try {
    await waitForDatabase(target, {
      signal,
      onWaiting(why) {
        reasons.push(why.message)
        say(`waiting: ${why.message}`)
      },
    })
  } catch (error) {
    if (!signal.aborted) throw error
    throw new StoreError(
      'unavailable',
      `gave up after ${waitMs / 1_000} s: ${reasons.at(-1) ?? 'the database did not answer'}`,
      { cause: error },
    )
  }
}

function tellProgress(say: UpOptions['say']): (progress: MigrationProgress) => void {
  let begunMs = performance.now()
  return (progress) => {
    if (progress.step === 'begun') begunMs = performance.now()
    if (progress.step === 'applied')
      say(`applied ${progress.name} in ${((performance.now() - begunMs) / 1_000).toFixed(2)} s`)
  }
}

async function record({ target, host }: Deployment, applied: readonly string[]): Promise<void> {
  const store = await openStore(target)
  try {
    await store.audit.append(
      host,
      [
        {
          action: 'schema.migrated',
          actor: { kind: 'service', name: 'migrator' },
          session: null,
          detail: { names: applied.join(', ') },
        },
      ],
      nowUs(),
    )
  } finally {
    await store.close()
  }
}
