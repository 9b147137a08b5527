// Lists and counts stay cheap however many sessions there are: every way to ask is answered from an index made for it.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import pg from 'pg'
import type { SessionQuery } from './contract.ts'
import { waitingStatement as postgresWaiting } from './postgres/commands.ts'
import { readStatement as postgresEvents } from './postgres/events.ts'
import {
  countLiveStatement as postgresCount,
  overdueStatement as postgresOverdue,
  listStatement as postgresStatement,
} from './postgres/sessions.ts'
import { removableStatement as postgresRemovable } from './postgres/transcripts.ts'
import { waitingStatement as sqliteWaiting } from './sqlite/commands.ts'
import { openConnection } from './sqlite/connection.ts'
import { readStatement as sqliteEvents } from './sqlite/events.ts'
import {
  countLiveStatement as sqliteCount,
  overdueStatement as sqliteOverdue,
  listStatement as sqliteStatement,
} from './sqlite/sessions.ts'
import { removableStatement as sqliteRemovable } from './sqlite/transcripts.ts'
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

const events = { scope: all, afterOrdinal: 15_000, limit: 500 }
const eventsOfAlice = { ...events, scope: alice }
const overdue = { createdBeforeUs: 1, silentSinceUs: 2, limit: 50 }
const removable = { endedBeforeUs: Number.MAX_SAFE_INTEGER, limit: 50 }

const columns = 'id, host, owner_person, owner_uid, owner_os_user, project, title, argv, terminal_cols, terminal_rows'

describe('plans on sqlite', () => {
  let engine: TestEngine
  before(async () => {
    engine = await startEngine('sqlite')
  })
  after(() => engine.stop())

  test('every list of sessions or events, and the count of live sessions, searches its index and scans no table', async () => {
    const { target } = await engine.createStore()
    assert.equal(target.engine, 'sqlite')
    const { db } = openConnection(target.file)
    const statements = [
      ...queries.map(([query, index]) => [sqliteStatement(query), index] as const),
      [{ sql: sqliteCount, values: ['alice', 'h'] }, 'sessions_by_person'],
      [{ sql: sqliteOverdue, values: ['h', 1, 2, 50] }, 'sessions_live'],
      [{ sql: sqliteRemovable, values: ['h', 1, 50] }, 'sessions_removable'],
      [{ sql: sqliteWaiting, values: ['h'] }, 'ids'],
      [sqliteEvents(events), 'ids'],
      [sqliteEvents(eventsOfAlice), 'ids'],
    ] as const
    for (const [statement, index] of statements) {
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
      assert.doesNotMatch(details, /SCAN (sessions|session_events)\b/, details)
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

  test('every list of sessions or events, and the count of live sessions, scans its index and no table', async () => {
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
    await queryRows(
      target,
      `UPDATE sessions SET transcript_removed_at = now(), transcript_gone = true
       WHERE status = 'ended' AND ordinal < 19000`,
    )
    await queryRows(
      target,
      `INSERT INTO session_events (id, session_id, owner_person, kind, at)
       SELECT gen_random_uuid(), id, owner_person, 'created', created_at FROM sessions, generate_series(1, 2) ORDER BY ordinal`,
    )
    await queryRows(
      target,
      `INSERT INTO commands (session_id, number, kind, force, requested_by, created_at, expires_at, state, finished_at)
       SELECT id, 1, 'stop', false, 'alice', now(), now(), CASE WHEN ordinal % 100 = 0 THEN 'queued' ELSE 'expired' END,
         CASE WHEN ordinal % 100 = 0 THEN NULL ELSE now() END
       FROM sessions`,
    )
    for (const table of ['sessions', 'session_events', 'commands']) await queryRows(target, `VACUUM ANALYZE ${table}`)
    const client = new pg.Client({ connectionString: target.url })
    await client.connect()
    const statements = [
      ...queries.map(([query, index]) => [postgresStatement(query), index] as const),
      [postgresCount('h', 'alice'), '(sessions_live|sessions_by_person)'],
      [postgresOverdue('h', overdue), 'sessions_live'],
      [postgresRemovable('h', removable), 'sessions_removable'],
      [postgresWaiting('h'), 'ids'],
      [postgresEvents(events), 'session_events_by_kind'],
      [postgresEvents(eventsOfAlice), 'session_events_by_person'],
    ] as const
    for (const [statement, index] of statements) {
      assert.ok(statement)
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN ${statement.sql.replaceAll('$slonik_', '$')}`,
        [...statement.values],
      )
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
      assert.match(plan, new RegExp(`(on|using) ${index.replace('ids', 'sessions_pkey')}\\b`), plan)
      assert.doesNotMatch(plan, /Seq Scan on (sessions|session_events|commands)\b/, plan)
    }
    await client.end()
  })
})
