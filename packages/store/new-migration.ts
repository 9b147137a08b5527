// Makes the next migration's directory with both twins, empty but for a comment: `npm run migration -- new add_titles`.

import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { migrationsDirectory } from './migrations.ts'

/** @throws RangeError for a name that is not words of a-z and 0-9 with underscores between */
export async function createMigration(directory: string, name: string): Promise<readonly string[]> {
  if (!/^[a-z0-9]+(_[a-z0-9]+)*$/.test(name) || name.length > 60) {
    throw new RangeError(
      `cannot make a migration named ${name}: use words of a-z and 0-9 joined by underscores, like add_titles`,
    )
  }
  const numbers = (await readdir(directory)).map((existing) => Number(existing.slice(0, 4)))
  const number = String(Math.max(0, ...numbers) + 1).padStart(4, '0')
  const migration = join(directory, `${number}_${name}`)
  await mkdir(migration)
  const files = ['postgres.sql', 'sqlite.sql'].map((file) => join(migration, file))
  for (const file of files) await writeFile(file, `-- ${name.replaceAll('_', ' ')}\n`, { flag: 'wx' })
  return files
}

if (import.meta.main) {
  const [verb, name, ...rest] = process.argv.slice(2)
  if (verb !== 'new' || name === undefined || rest.length > 0) {
    process.stderr.write('usage: npm run migration -- new NAME\n')
    process.exitCode = 64
  } else {
    for (const file of await createMigration(migrationsDirectory, name)) process.stdout.write(`${file}\n`)
  }
}
