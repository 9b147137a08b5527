// Lists and counts stay cheap however many sessions there are: every way to ask is answered from an index made for it.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SessionId } from '@teleclaude/core/session.ts'
import type Database from 'better-sqlite3'
import pg from 'pg'
import type { GrantQuery } from './access-contract.ts'
import type { AuditQuery } from './audit-contract.ts'
import type { SessionQuery } from './contract.ts'
import {
  expiredStatement as postgresExpired,
  listStatement as postgresGrants,
  openViewsStatement as postgresOpenViews,
  viewsStatement as postgresViews,
} from './postgres/access.ts'
import { findStatement as postgresFind } from './postgres/audit-search.ts'
import { findStatement as postgresCheckpoint } from './postgres/checkpoints.ts'
import { waitingStatement as postgresWaiting } from './postgres/commands.ts'
import { readStatement as postgresEvents } from './postgres/events.ts'
import { listStatement as postgresNotices, unseenStatement as postgresUnseen } from './postgres/notices.ts'
import {
  countLiveStatement as postgresCount,
  overdueStatement as postgresOverdue,
  listStatement as postgresStatement,
} from './postgres/sessions.ts'
import { removableStatement as postgresRemovable } from './postgres/transcripts.ts'
import {
  expiredStatement as sqliteExpired,
  listStatement as sqliteGrants,
  openViewsStatement as sqliteOpenViews,
  viewsStatement as sqliteViews,
} from './sqlite/access.ts'
import { findStatement as sqliteFind } from './sqlite/audit-search.ts'
import { waitingStatement as sqliteWaiting } from './sqlite/commands.ts'
import { openConnection, type Statement } from './sqlite/connection.ts'
import { readStatement as sqliteEvents } from './sqlite/events.ts'
import { listStatement as sqliteNotices, unseenStatement as sqliteUnseen } from './sqlite/notices.ts'
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

const id = 'a1b2c3d4-0000-4000-8000-000000000000'
const deep = { limit: 50, beforeSeq: 15_000 }
const sessionId = id as SessionId

/** Each with all the indexes that answer it. */
const searches: readonly (readonly [query: AuditQuery, indexes: readonly string[]])[] = [
  [{ scope: all, ...deep }, ['entries']],
  [{ scope: all, ...deep, action: 'content.opened' }, ['by_action']],
  [{ scope: all, ...deep, actor: 'carol' }, ['by_actor']],
  [{ scope: all, ...deep, owner: 'carol' }, ['by_owner']],
  [{ scope: all, ...deep, sessionId }, ['by_session']],
  [{ scope: alice, ...deep }, ['by_actor', 'by_owner']],
  [{ scope: alice, ...deep, sinceUs: 1, untilUs: 2 }, ['by_actor', 'by_owner']],
  [{ scope: alice, ...deep, sessionId }, ['by_session']],
]

const earlier = { limit: 50, before: id }
const grantLists: readonly (readonly [query: GrantQuery, indexes: readonly string[]])[] = [
  [{ scope: all, ...earlier }, ['order']],
  [{ scope: alice, ...earlier }, ['by_grantee', 'by_owner']],
  [{ scope: all, ...earlier, sessionId }, ['by_session']],
  [{ scope: alice, ...earlier, sessionId }, ['by_session']],
  [{ scope: all, activeAtUs: 1_700_000_000_000_000, limit: 50 }, ['open']],
]

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
      const details = planOf(db, statement)
      assert.match(
        details,
        new RegExp(`SEARCH sessions USING (COVERING )?INDEX ${index.replace('ids', 'sessions_by_id')} \\(`),
        details,
      )
      assert.doesNotMatch(details, /SCAN (sessions|session_events)\b/, details)
    }
    db.close()
  })

  test('every list of audit entries, grants, views and notices searches its index and scans no table', async () => {
    const { target } = await engine.createStore()
    assert.equal(target.engine, 'sqlite')
    const { db } = openConnection(target.file)
    const entriesBy = (index: string) =>
      index === 'entries'
        ? 'audit_entries USING COVERING INDEX sqlite_autoindex_audit_entries_1 \\('
        : `audit_entries USING (COVERING )?INDEX audit_entries_${index} \\(`
    const grantsBy = (index: string) =>
      index === 'order'
        ? 'access_grants USING INTEGER PRIMARY KEY \\('
        : `access_grants USING (COVERING )?INDEX access_grants_${index} \\(`
    const views = 'access_views USING INDEX access_views'
    const notices = 'notices USING (COVERING )?INDEX notices'
    const statements = [
      ...searches.map(([query, indexes]) => [sqliteFind('h', query), indexes.map(entriesBy)] as const),
      ...grantLists
        // Those that hold now are few: all of a small index.
        .filter(([, indexes]) => !indexes.includes('open'))
        .map(([query, indexes]) => [sqliteGrants(query), indexes.map(grantsBy)] as const),
      [{ sql: sqliteExpired, values: ['h', 1, 50] }, [grantsBy('open')]],
      [{ sql: sqliteOpenViews, values: ['h'] }, [`${views}_open`]],
      [{ sql: sqliteViews, values: [JSON.stringify([id])] }, [`${views}_by_grant`]],
      [sqliteNotices({ person: 'alice', ...earlier }), [`${notices}_by_person`]],
      [sqliteNotices({ person: 'alice', unseen: true, ...earlier }), [`${notices}_unseen`]],
      [{ sql: sqliteUnseen, values: ['alice'] }, [`${notices}_unseen`]],
    ] as const
    for (const [statement, wanted] of statements) {
      assert.ok(statement)
      const details = planOf(db, statement)
      for (const search of wanted) assert.match(details, new RegExp(`SEARCH ${search}`), details)
      assert.doesNotMatch(details, /SCAN (audit_entries|access_grants|access_views|notices)\b/, details)
    }
    const holding = sqliteGrants({ scope: all, activeAtUs: 1, limit: 50 })
    assert.ok(holding)
    assert.match(planOf(db, holding), /access_grants USING (COVERING )?INDEX access_grants_open/)
    db.close()
  })
})

function planOf(db: Database.Database, { sql, values }: Statement): string {
  const plan = db.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(...values)
  return plan.map(({ detail }) => detail).join('\n')
}

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

  test('every list of audit entries, grants, views and notices scans its index and no table', async () => {
    const { target } = await engine.createStore()
    assert.equal(target.engine, 'postgres')
    const somebody = "CASE WHEN n % 4 = 0 THEN 'alice' WHEN n % 1000 = 1 THEN 'carol' ELSE 'bob' END"
    await queryRows(
      target,
      `INSERT INTO audit_entries (host, seq, at, entry, action, actor, owner, session_id)
       SELECT 'h', n, now(), repeat('x', 300)::bytea, CASE n % 100 WHEN 0 THEN 'content.opened' ELSE 'session.started' END,
         ${somebody}, ${somebody}, gen_random_uuid()
       FROM generate_series(1, 20000) AS n`,
    )
    await queryRows(
      target,
      `INSERT INTO audit_checkpoints (host, size, note, made_at) SELECT 'h', n, repeat('x', 300), now() FROM generate_series(1, 20000) AS n`,
    )
    await queryRows(
      target,
      `INSERT INTO audit_cosignatures (host, size, signer, line, made_at)
       SELECT 'h', n, 's', repeat('x', 100), now() FROM generate_series(1, 20000) AS n`,
    )
    await queryRows(
      target,
      `INSERT INTO sessions (${columns}, created_at)
       SELECT gen_random_uuid(), 'h', 'alice', 1, 'a', '/p', 't', '{x}', 80, 24, now() FROM generate_series(1, 5000)`,
    )
    await queryRows(
      target,
      `INSERT INTO access_grants (id, host, session_id, owner, grantee, grantee_uid, reason, drive, opened_at, expires_at,
         ended_at, ended_why)
       SELECT gen_random_uuid(), 'h', (ARRAY(SELECT id FROM sessions ORDER BY ordinal))[n % 5000 + 1], ${somebody}, ${somebody}, 1,
         repeat('x', 100), false, now(), now(), CASE WHEN n % 1000 > 0 THEN now() END, CASE WHEN n % 1000 > 0 THEN 'expired' END
       FROM generate_series(1, 20000) AS n`,
    )
    await queryRows(
      target,
      `INSERT INTO access_views (id, grant_id, host, kind, opened_at, ended_at)
       SELECT gen_random_uuid(), id, 'h', 'attach', now(), CASE WHEN ordinal % 1000 > 0 THEN now() END FROM access_grants`,
    )
    await queryRows(
      target,
      `INSERT INTO notices (id, person, kind, at, session_id, done_by, grant_id, seen_at)
       SELECT gen_random_uuid(), owner, 'access.opened', now(), session_id, grantee, id,
         CASE WHEN ordinal % 1000 > 0 THEN now() END
       FROM access_grants ORDER BY ordinal`,
    )
    const tables = [
      'audit_entries',
      'audit_checkpoints',
      'audit_cosignatures',
      'access_grants',
      'access_views',
      'notices',
    ]
    for (const table of tables) await queryRows(target, `VACUUM ANALYZE ${table}`)
    const client = new pg.Client({ connectionString: target.url })
    await client.connect()
    const entriesBy = (index: string) => (index === 'entries' ? 'audit_entries_pkey' : `audit_entries_${index}`)
    const grantsBy = (index: string) => (index === 'order' ? 'access_grants_in_order' : `access_grants_${index}`)
    const statements = [
      ...searches.map(([query, indexes]) => [postgresFind('h', query), indexes.map(entriesBy)] as const),
      ...grantLists.map(([query, indexes]) => [postgresGrants(query), indexes.map(grantsBy)] as const),
      [postgresExpired('h', 1_700_000_000_000_000, 50), ['access_grants_open']],
      [postgresOpenViews('h'), ['access_views_open']],
      [postgresViews([id]), ['access_views_by_grant']],
      [postgresNotices({ person: 'alice', ...earlier }), ['notices_by_person']],
      [postgresNotices({ person: 'alice', unseen: true, ...earlier }), ['notices_unseen']],
      [postgresUnseen('alice'), ['notices_unseen']],
      [postgresCheckpoint('h', 'newest'), ['audit_checkpoints_pkey']],
      [postgresCheckpoint('h', 'cosigned'), ['audit_cosignatures_pkey', 'audit_checkpoints_pkey']],
      [postgresCheckpoint('h', { atLeast: 5000 }), ['audit_checkpoints_pkey']],
    ] as const
    for (const [statement, indexes] of statements) {
      assert.ok(statement)
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(
        `EXPLAIN ${statement.sql.replaceAll('$slonik_', '$')}`,
        [...statement.values],
      )
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
      for (const index of indexes) assert.match(plan, new RegExp(`(on|using) ${index}\\b`), plan)
      assert.doesNotMatch(plan, new RegExp(`Seq Scan on (${tables.join('|')})\\b`), plan)
    }
    await client.end()
  })
})
