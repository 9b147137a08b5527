// Lists and counts stay cheap however many sessions there are: every way to ask is answered from an index made for it.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import type { SessionQuery } from './contract.ts'
import { countLiveStatement as postgresCount, listStatement as postgresStatement } from './postgres/sessions.ts'
import { openConnection } from './sqlite/connection.ts'
import { countLiveStatement as sqliteCount, listStatement as sqliteStatement } from './sqlite/sessions.ts'
import { queryRows, startEngine, type TestEngine } from './test-engines.ts'

const alice = { kind: 'person', person: 'alice' } as const
const all = { kind: 'all' } as const
const page = { limit: 50, beforeOrdinal: 15_000 }

/** Each with the index that answers it; the one of all ids has its engine's name for it. */
const queries: readonly (readonly [query: SessionQuery, index: string])[] = [
  [{ scope: all, ...page }, 'sessions_by_status'],
  [{ scope: all, ...page, statuses: ['running', 'starting'] }, 'sessions_by_status'],
  [{ scope: alice, ...page }, 'sessions_by_person'],
  [{ scope: all, ...page, project: '/p/1' }, 'sessions_by_project'],
  [{ scope: alice, ...page, project: '/p/1', statuses: ['lost'] }, 'sessions_by_person_project'],
  [{ scope: all, ...page, idPrefix: 'a' }, 'sessions_by_status'],
  [{ scope: all, ...page, idPrefix: 'a1' }, 'ids'],
  [{ scope: alice, ...page, idPrefix: 'a1' }, 'sessions_by_person_id'],
  [{ scope: alice, limit: 2, idPrefix: 'a1b2c3d4-', statuses: ['ended'] }, '(ids|sessions_by_person_id)'],
  [{ scope: all, limit: 2, idPrefix: 'a1b2c3d4-0000-4000-8000-000000000000' }, 'ids'],
]

const columns = 'id, host, owner_person, owner_uid, owner_os_user, project, title, argv, terminal_cols, terminal_rows'

describe('plans on sqlite', () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('sqlite')
  })
  after(() => engine.stop())

  test('every list, and the count of live sessions, searches its index and scans no table', async () => {
    const { target } = await engine.createStore()
    assert.equal(target.engine, 'sqlite')
    const { db } = openConnection(target.file)
    const count = { sql: sqliteCount, values: ['alice', 'h'] }
    const statements = queries.map(([query, index]) => [sqliteStatement(query), index] as const)
    for (const [statement, index] of [...statements, [count, 'sessions_by_person'] as const]) {
      assert.ok(statement)
      const plan = db
        .prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${statement.sql}`)
        .all(...statement.values)
      const details = plan.map(({ detail }) => detail).join('\n')
      assert.match(
        details,
        new RegExp(`SEARCH sessions USING (COVERING )?INDEX ${index.replace('ids', 'sessions_by_id')} \\(`),
        details,
      )
      assert.doesNotMatch(details, /SCAN sessions/, details)
    }
    db.close()
  })
})

describe('plans on postgres', () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('postgres')
  })
  after(() => engine.stop())

  test('every list, and the count of live sessions, scans its index and no table', async () => {
    const { target } = await engine.createStore()
    assert.equal(target.engine, 'postgres')
    await queryRows(
      target,
      `
      INSERT INTO sessions (${columns}, created_at)
      SELECT gen_random_uuid(), 'h', CASE n % 4 WHEN 0 THEN 'alice' ELSE 'bob' END, 1, 'a', '/p/' || n % 50, 't', '{x}', 80, 24, now()
      FROM generate_series(1, 20000) AS n`,
    )
    await queryRows(
      target,
      "UPDATE sessions SET status = 'ended', exit_code = 0, ended_at = now() WHERE ordinal % 10 > 0",
    )
    await queryRows(target, 'VACUUM ANALYZE sessions')
    const client = new pg.Client({ connectionString: target.url })
    await client.connect()
    const statements = queries.map(([query, index]) => [postgresStatement(query), index] as const)
    const count = [postgresCount('h', 'alice'), '(sessions_live|sessions_by_person)'] as const
    for (const [statement, index] of [...statements, count]) {
      assert.ok(statement)
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN ${statement.sql.replaceAll('$slonik_', '$')}`,
        [...statement.values],
      )
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
      assert.match(plan, new RegExp(`(on|using) ${index.replace('ids', 'sessions_pkey')}\\b`), plan)
      assert.doesNotMatch(plan, /Seq Scan on sessions/, plan)
    }
    await client.end()
  })
})
