// Very many sessions at once, past the store: it makes them one by one. Indexes are made when all rows are there, which takes a
// third of the time.

import type { StoreTarget } from '@teleclaude/store/contract.ts'
import { z } from 'zod'
import { openConnection } from '../../packages/store/sqlite/connection.ts'
import { queryRows } from '../../packages/store/test-engines.ts'

/** Has one of fifty of all. */
export const somebody = 'person-7'

const columns =
  'id, host, owner_person, owner_uid, owner_os_user, project, title, argv, terminal_cols, terminal_rows, status, exit_code, created_at, ended_at'

/** Of the number `n`. `time` makes an instant of microseconds, `uuid` an id. As in real life nearly all have ended. */
function values(uuid: string, argv: string, time: (us: string) => string): string {
  const created = '1700000000000000 + n * 1000000'
  return `${uuid}, 'h', 'person-' || (n % 50), 1000 + n % 50, 'account-' || (n % 50), '/home/project-' || (n % 500), 'session ' || n, '${argv}',
    80, 24, CASE n % 100 WHEN 0 THEN 'running' WHEN 1 THEN 'lost' ELSE 'ended' END,
    CASE WHEN n % 100 > 1 THEN 0 END, ${time(created)}, CASE WHEN n % 100 > 0 THEN ${time(created)} END`
}

export async function fillSessions(target: StoreTarget, count: number): Promise<void> {
  if (target.engine === 'sqlite') fillSqlite(target.file, count)
  else await fillPostgres(target, count)
}

const indexSchema = z.array(z.object({ name: z.string(), definition: z.string() }))

function fillSqlite(file: string, count: number): void {
  const { db } = openConnection(file)
  try {
    const find =
      "SELECT name, sql AS definition FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'sessions' AND sql IS NOT NULL"
    const indexes = indexSchema.parse(db.prepare(find).all())
    // While the index of ids is away, nothing can refer to one.
    db.pragma('foreign_keys = OFF')
    db.pragma('synchronous = OFF')
    db.pragma('cache_size = -262144') // KiB
    const hex = (from: number, length: number) => `substr(hex, ${from}, ${length})`
    const uuid = [hex(1, 8), hex(9, 4), hex(13, 4), hex(17, 4), hex(21, 12)].join(" || '-' || ")
    db.exec(`
      BEGIN IMMEDIATE;
      ${indexes.map(({ name }) => `DROP INDEX ${name};`).join('\n')}
      INSERT INTO sessions (${columns})
      WITH RECURSIVE
        numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT ${count}),
        ids(n, hex) AS (SELECT n, lower(hex(randomblob(16))) FROM numbers)
      SELECT ${values(uuid, '["claude"]', (us) => us)} FROM ids;
      ${indexes.map(({ definition }) => `${definition};`).join('\n')}
      COMMIT`)
  } finally {
    db.close()
  }
}

async function fillPostgres(target: StoreTarget, count: number): Promise<void> {
  const find = `
    SELECT indexname AS name, indexdef AS definition FROM pg_indexes
    WHERE schemaname = 'public' AND tablename = 'sessions' AND indexname <> 'sessions_pkey'`
  const indexes = indexSchema.parse(await queryRows(target, find))
  await queryRows(
    target,
    `BEGIN;
    ${indexes.map(({ name }) => `DROP INDEX ${name};`).join('\n')}
    INSERT INTO sessions (${columns})
    SELECT ${values('gen_random_uuid()', '{claude}', (us) => `to_timestamp((${us}) / 1000000.0)`)}
    FROM generate_series(1::bigint, ${count}) AS n;
    ${indexes.map(({ definition }) => `${definition};`).join('\n')}
    COMMIT`,
  )
  await queryRows(target, 'VACUUM ANALYZE sessions')
  // Else the server writes it all out while it is measured.
  await queryRows(target, 'CHECKPOINT')
}
