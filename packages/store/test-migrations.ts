// For the tests of single migrations: a database as it was before one, and a migration that is killed.

import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { migrationsDirectory } from './migrations.ts'

/** A directory with all that come before that one. It goes at the end of the tests. */
export async function migrationsBefore(name: string): Promise<string> {
  const older = await mkdtemp(join(tmpdir(), 'teleclaude-migrations-'))
  after(() => rm(older, { recursive: true }))
  for (const migration of await readdir(migrationsDirectory))
    if (migration < name) await cp(join(migrationsDirectory, migration), join(older, migration), { recursive: true })
  return older
}

/** For spawnScript: migrates `target`, and is killed once `name` has run and is not committed. */
export const killedScript = `
  import { migrate } from './open.ts'
  const { target, name } = JSON.parse(process.argv[1])
  await migrate(target, { onProgress: (at) => { if (at.step === 'ran' && at.name === name) process.kill(process.pid, 'SIGKILL') } })`
