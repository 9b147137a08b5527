// Each service's role can do what its service does, and nothing else: really tried, on a real server. One file: what a role may do
// and what it may not are the two sides of one table, on one server.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { SessionId } from '@teleclaude/core/session.ts'
import pg from 'pg'
import { z } from 'zod'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import type { Store, StoreTarget } from '../contract.ts'
import { applyPrivileges, migrate, openStore, readPrivilegeState } from '../open.ts'
import { isStoreError, newSession, queryRows } from '../test-engines.ts'
import { privileges } from './privileges.ts'

let server: TestPostgres
before(async () => {
  server = await startPostgres({ own: true })
  await asAdmin('postgres', 'CREATE ROLE teleclaude_owner LOGIN CREATEROLE')
})
after(() => server.stop())

const as = (role: string, url: string) => url.replace('postgres@', `${role}@`)
const at = (url: string): StoreTarget => ({ engine: 'postgres', url })

async function asAdmin(database: string, statement: string): Promise<readonly unknown[]> {
  return queryRows(at(server.url(database)), statement)
}

/** As PostgreSQL of the appliance has it before the migrator comes. */
async function createOwnedDatabase() {
  const url = await server.createDatabase()
  const name = new URL(url).pathname.slice(1)
  await asAdmin(name, `ALTER DATABASE ${name} OWNER TO teleclaude_owner`)
  const owner = at(as('teleclaude_owner', url))
  return { name, url, owner, admin: (statement: string) => asAdmin(name, statement) }
}

async function createReadyDatabase() {
  const database = await createOwnedDatabase()
  await migrate(database.owner)
  assert.deepEqual((await applyPrivileges(database.owner)).left, [])
  return database
}

const findings = async (target: StoreTarget) => (await readPrivilegeState(target)).differences.map(({ what }) => what)

/** The SQLSTATE, or null where it was let through. Keeps nothing. */
async function attempt(client: pg.Client, statement: string): Promise<string | null> {
  await client.query('BEGIN')
  try {
    await client.query(statement)
    return null
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error.code ?? ''
    throw error
  } finally {
    await client.query('ROLLBACK')
  }
}

const insufficient = '42501'

test('every table of the schema is named in the declaration, and nothing else is', async () => {
  const { admin } = await createReadyDatabase()
  const found = await admin(`SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY name`)
  const named = new Set(Object.values(privileges).flatMap((tables) => Object.keys(tables)))
  assert.deepEqual(
    found,
    [...named].sort().map((name) => ({ name })),
  )
})

test('an owner without a superuser makes everything right, once', async () => {
  const { owner, url } = await createOwnedDatabase()
  await migrate(owner)
  const first = await applyPrivileges(owner)
  assert.ok(first.mended.length > 0)
  assert.deepEqual(first.left, [])
  assert.deepEqual(await findings(owner), [])
  assert.deepEqual(await applyPrivileges(owner), { mended: [], left: [] })
  // Whoever may log in at all sees the same.
  assert.deepEqual(await findings(at(as('teleclaude_auditor', url))), [])
})

test('of several that apply at once all succeed', async () => {
  const { owner } = await createOwnedDatabase()
  await migrate(owner)
  const all = await Promise.all([1, 2, 3, 4].map(() => applyPrivileges(owner)))
  for (const { left } of all) assert.deepEqual(left, [])
  assert.equal(all.filter(({ mended }) => mended.length > 0).length, 1)
})

describe('the role of the api', () => {
  const id = crypto.randomUUID() as SessionId
  const chunk = { seq: 1, kind: 'output', offsetUs: 0, bytes: new Uint8Array([65]) } as const
  const event = {
    action: 'service.started',
    actor: { kind: 'service', name: 'api' },
    session: null,
    detail: {},
  } as const
  const withText = { ...event, texts: { reason: 'why' } } as const
  const alarmId = crypto.randomUUID()
  const grant = {
    id: crypto.randomUUID(),
    host: 'testhost',
    sessionId: id,
    owner: 'alice',
    grantee: { person: 'carol', uid: 1002 },
    reason: 'why',
    drive: false,
    openedAtUs: 1,
    expiresAtUs: 2,
  } as const
  const view = {
    id: crypto.randomUUID(),
    grantId: grant.id,
    host: 'testhost',
    kind: 'attach',
    openedAtUs: 1,
  } as const
  const notice = {
    id: crypto.randomUUID(),
    kind: 'session.stopped',
    person: 'alice',
    atUs: 1,
    sessionId: id,
    by: 'carol',
    grantId: null,
  } as const
  const operations: Record<string, (store: Store) => Promise<unknown>> = {
    'sessions.create': ({ sessions }) => sessions.create(newSession({ id })),
    'sessions.find': ({ sessions }) => sessions.find(id),
    'sessions.list': ({ sessions }) => sessions.list({ scope: { kind: 'all' }, limit: 1 }),
    'sessions.markRunning': ({ sessions }) => sessions.markRunning(id, 1_700_000_000_000_002),
    'sessions.countLive': ({ sessions }) => sessions.countLive('testhost', 'alice'),
    'sessions.listLive': ({ sessions }) => sessions.listLive('testhost'),
    'sessions.listOverdue': ({ sessions }) =>
      sessions.listOverdue('testhost', { createdBeforeUs: 1_700_000_000_000_009, silentSinceUs: null, limit: 1 }),
    'sessions.setAgentStatus': ({ sessions }) =>
      sessions.setAgentStatus(id, { state: 'waiting', source: 'hook' }, 1_700_000_000_000_003),
    'sessions.rename': ({ sessions }) => sessions.rename(id, 'another', 1_700_000_000_000_003),
    'transcripts.append': ({ transcripts }) =>
      transcripts.append([{ sessionId: id, chunks: [chunk], atUs: 1_700_000_000_000_003 }]),
    'transcripts.lastSeq': ({ transcripts }) => transcripts.lastSeq(id),
    'transcripts.sealedSeq': ({ transcripts }) => transcripts.sealedSeq(id),
    'transcripts.markSealed': ({ transcripts }) => transcripts.markSealed(id, 1),
    'transcripts.read': ({ transcripts }) => transcripts.read(id, { afterSeq: 0, maxBytes: 1 }),
    'commands.enqueue': ({ commands }) =>
      commands.enqueue({
        sessionId: id,
        request: { kind: 'send', text: 'hello', enter: true },
        requestedBy: 'alice',
        createdAtUs: 1_700_000_000_000_004,
        expiresAtUs: 1_800_000_000_000_000,
      }),
    'commands.listWaiting': ({ commands }) => commands.listWaiting('testhost'),
    'commands.take': ({ commands }) => commands.take(id, 1_700_000_000_000_005),
    'commands.putBack': async ({ commands }) => {
      const isBack = await commands.putBack(id, 1)
      return isBack && (await commands.take(id, 1_700_000_000_000_005)) !== null
    },
    'commands.finish': ({ commands }) =>
      commands.finish(id, 1, { state: 'done', reason: null, atUs: 1_700_000_000_000_006 }),
    'commands.expire': ({ commands }) => commands.expire(1_700_000_000_000_007),
    'commands.list': ({ commands }) => commands.list(id, 1),
    'sessions.markLost': ({ sessions }) => sessions.markLost(id, 1_700_000_000_000_008),
    'sessions.end': ({ sessions }) => sessions.end(id, { kind: 'exited', code: 0 }, 1_700_000_000_000_009),
    'commands.close': ({ commands }) => commands.close(id, 'it has ended', 1_700_000_000_000_009),
    'transcripts.listRemovable': ({ transcripts }) =>
      transcripts.listRemovable('testhost', { endedBeforeUs: 1_700_000_000_000_010, limit: 1 }),
    'transcripts.remove': ({ transcripts }) => transcripts.remove(id, { maxChunks: 10, atUs: 1_700_000_000_000_010 }),
    'events.newest': ({ events }) => events.newest(),
    'events.read': ({ events }) => events.read({ scope: { kind: 'all' }, afterOrdinal: 0, limit: 10 }),
    'events.find': async ({ events }) => {
      const [first] = await events.read({ scope: { kind: 'all' }, afterOrdinal: 0, limit: 1 })
      return events.find({ kind: 'all' }, first?.event.id ?? '')
    },
    'events.remove': ({ events }) => events.remove(1_700_000_000_000_011, 10),
    listen: async (store) => {
      const { promise, resolve } = Promise.withResolvers<string>()
      const listening = store.listen('testhost', resolve)
      await promise
      await listening.close()
    },
    'audit.append': ({ audit }) =>
      audit.append('testhost', [withText, ...Array.from({ length: 255 }, () => event)], 1_700_000_000_000_010),
    'audit.beginEpoch': ({ audit }) =>
      audit.beginEpoch('testhost', 0, { ...event, action: 'key.changed' }, 1_700_000_000_000_010),
    'audit.readHead': ({ audit }) => audit.readHead('testhost'),
    'audit.find': ({ audit }) => audit.find('testhost', { scope: { kind: 'all' }, limit: 1 }),
    'audit.readTexts': ({ audit }) => audit.readTexts('testhost', [1]),
    'audit.readSubtrees': ({ audit }) => audit.readSubtrees('testhost', [{ level: 8, index: 0 }]),
    'audit.addCheckpoint': ({ audit }) => audit.addCheckpoint('testhost', { size: 1, note: 'note', madeAtUs: 1 }),
    'audit.findCheckpoint': ({ audit }) => audit.findCheckpoint('testhost', 'newest'),
    'audit.listCheckpoints': ({ audit }) => audit.listCheckpoints('testhost', { afterSize: 0, limit: 1 }),
    'audit.readCursor': ({ audit }) => audit.readCursor('testhost', 'file'),
    'auditor.lastWord': ({ auditor }) => auditor.lastWord('testhost'),
    'auditor.listAlarms': ({ auditor }) => auditor.listAlarms('testhost', { unacknowledged: true }),
    'auditor.acknowledgeAlarm': ({ auditor }) =>
      auditor.acknowledgeAlarm('testhost', alarmId, 'carol', 1_700_000_000_000_011),
    'auditor.listSinks': ({ auditor }) => auditor.listSinks('testhost'),
    'auditor.listParked': ({ auditor }) => auditor.listParked('testhost', { sink: null, afterSeq: 0, limit: 1 }),
    'access.open': ({ access }) => access.open(grant, crypto.randomUUID()),
    'access.find': ({ access }) => access.find(grant.id),
    'access.list': ({ access }) => access.list({ scope: { kind: 'person', person: 'alice' }, limit: 1 }),
    'access.listExpired': ({ access }) => access.listExpired('testhost', 1, 1),
    'access.beginView': ({ access }) => access.beginView(view),
    'access.listOpenViews': ({ access }) => access.listOpenViews('testhost'),
    'access.endView': ({ access }) =>
      access.endView(view.id, { atUs: 1, firstSeq: null, lastSeq: null, bytes: 0, isComplete: true }),
    'access.listViews': ({ access }) => access.listViews([grant.id]),
    'access.end': ({ access }) => access.end(grant.id, { atUs: 1, by: 'carol', why: 'ended' }),
    'notices.add': ({ notices }) => notices.add(notice),
    'notices.list': ({ notices }) => notices.list({ person: 'alice', limit: 1 }),
    'notices.countUnseen': ({ notices }) => notices.countUnseen('alice'),
    'notices.markSeen': ({ notices }) => notices.markSeen('alice', notice.id, 1),
    'audit.headSeq': ({ audit }) => audit.headSeq('testhost'),
    'audit.read': ({ audit }) => audit.read('testhost', { afterSeq: 0, limit: 1 }),
    'audit.tryTampering': ({ audit }) => audit.tryTampering('testhost'),
    'accounts.bind': ({ accounts }) =>
      accounts.bind('testhost', { uid: 1000, osUser: 'alice', boundAtUs: 1_700_000_000_000_011 }),
    'accounts.rebind': ({ accounts }) =>
      accounts.rebind('testhost', { uid: 1001, osUser: 'alice', boundAtUs: 1_700_000_000_000_012 }),
    'accounts.list': ({ accounts }) => accounts.list('testhost'),
    ping: (store) => store.ping(),
  }
  /** These are the auditor's. */
  const ofTheAuditor: Record<string, (store: Store) => Promise<unknown>> = {
    'audit.moveCursor': ({ audit }) => audit.moveCursor('testhost', 'file', 1),
    'auditor.cosign': ({ auditor }) =>
      auditor.cosign('testhost', { size: 1, signer: 'auditor', line: 'line', atUs: 1 }),
    'auditor.say': ({ auditor }) =>
      auditor.say('testhost', {
        vkey: 'key',
        startedAtUs: 1,
        atUs: 1,
        state: 'shipping',
        message: null,
        verifiedSeq: 1,
      }),
    'auditor.raiseAlarm': ({ auditor }) =>
      auditor.raiseAlarm('testhost', { id: alarmId, kind: 'gap', atUs: 1, fromSeq: 1, toSeq: 1, message: 'a gap' }),
    'auditor.park': ({ auditor }) => auditor.park('testhost', 'file', [{ seq: 1, reason: 'why' }], 2, 1),
    'auditor.noteAttempt': ({ auditor }) => auditor.noteAttempt('testhost', 'file', 1, 'why', 2),
    'auditor.unpark': ({ auditor }) => auditor.unpark('testhost', 'file', 1),
  }

  test("can do every operation of the store but the auditor's own", async () => {
    const { url } = await createReadyDatabase()
    const store = await openStore(at(as('teleclaude_api', url)))
    const all = Object.entries(store).flatMap(([name, value]) =>
      typeof value === 'function' ? [name] : Object.keys(value).map((operation) => `${name}.${operation}`),
    )
    assert.deepEqual(
      all.filter((name) => name !== 'close').sort(),
      [...Object.keys(operations), ...Object.keys(ofTheAuditor)].sort(),
    )
    const auditor = await openStore(at(as('teleclaude_auditor', url)))
    for (const run of Object.values(ofTheAuditor)) await run(auditor)
    await auditor.close()
    const results: Record<string, unknown> = {}
    for (const [name, run] of Object.entries(operations)) results[name] = await run(store)
    assert.deepEqual([results['commands.putBack'], results['commands.finish']], [true, true])
    assert.equal(results['sessions.end'], true)
    assert.equal(results['transcripts.remove'], true)
    assert.equal(results['events.find'], 1)
    assert.equal(results['events.remove'], 6)
    assert.deepEqual(results['audit.tryTampering'], [])
    assert.deepEqual(results['accounts.list'], [
      { uid: 1000, osUser: 'alice', retired: true, boundAtUs: 1_700_000_000_000_011 },
      { uid: 1001, osUser: 'alice', retired: false, boundAtUs: 1_700_000_000_000_012 },
    ])
    assert.equal(results['audit.beginEpoch'], 257)
    assert.equal(results['auditor.acknowledgeAlarm'], true)
    assert.equal(results['access.end'], true)
    assert.equal(results['notices.markSeen'], 2)
    for (const [name, run] of Object.entries(ofTheAuditor))
      await assert.rejects(run(store), isStoreError('not-writable', /42501/), name)
    await store.close()
  })
})

test('the role of the auditor reads the log, keeps its cursors, and sees nothing of the sessions', async () => {
  const { url } = await createReadyDatabase()
  const store = await openStore(at(as('teleclaude_auditor', url)))
  assert.equal(await store.audit.headSeq('testhost'), 0)
  assert.deepEqual(await store.audit.read('testhost', { afterSeq: 0, limit: 10 }), [])
  await store.audit.moveCursor('testhost', 'file', 3)
  await store.audit.moveCursor('testhost', 'file', 4)
  assert.equal(await store.audit.readCursor('testhost', 'file'), 4)
  assert.deepEqual((await store.audit.readHead('testhost')).frontier.size, 0)
  assert.equal(await store.audit.findCheckpoint('testhost', 'cosigned'), null)
  const event = {
    action: 'auditor.started',
    actor: { kind: 'service', name: 'auditor' },
    session: null,
    detail: {},
  } as const
  const refused: readonly (() => Promise<unknown>)[] = [
    () => store.sessions.list({ scope: { kind: 'all' }, limit: 1 }),
    () => store.access.list({ scope: { kind: 'all' }, limit: 1 }),
    () => store.notices.countUnseen('alice'),
    () => store.audit.readTexts('testhost', [1]),
    () => store.audit.append('testhost', [event], 1),
    () => store.audit.addCheckpoint('testhost', { size: 1, note: 'note', madeAtUs: 1 }),
    () => store.auditor.acknowledgeAlarm('testhost', crypto.randomUUID(), 'carol', 1),
  ]
  for (const isRefused of refused) await assert.rejects(isRefused(), isStoreError('not-writable', /42501/))
  await store.close()
})

const namesSchema = z.array(z.object({ name: z.string() }))

const attempts: Readonly<Record<string, (table: string, column: string) => string>> = {
  SELECT: (table) => `SELECT FROM ${table} LIMIT 0`,
  INSERT: (table) => `INSERT INTO ${table} DEFAULT VALUES`,
  UPDATE: (table, column) => `UPDATE ${table} SET ${column} = ${column} WHERE false`,
  DELETE: (table) => `DELETE FROM ${table} WHERE false`,
  TRUNCATE: (table) => `TRUNCATE ${table} CASCADE`,
  DROP: (table) => `DROP TABLE ${table} CASCADE`,
  ALTER: (table) => `ALTER TABLE ${table} ADD COLUMN more text`,
  'DISABLE TRIGGER': (table) => `ALTER TABLE ${table} DISABLE TRIGGER ALL`,
  'CREATE INDEX': (table, column) => `CREATE INDEX ON ${table} (${column})`,
  'CREATE RULE': (table) => `CREATE RULE never AS ON INSERT TO ${table} DO INSTEAD NOTHING`,
  LOCK: (table) => `LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`,
  VACUUM: (table) => `REINDEX TABLE ${table}`,
}
/** UPDATE and DELETE bring the right to lock a table along (PostgreSQL manual, LOCK). */
const impliedBy: Readonly<Record<string, readonly string[]>> = { LOCK: ['UPDATE', 'DELETE'] }
const updatable: Readonly<Record<string, string>> = {
  sessions: 'title',
  commands: 'reason',
  transcript_chunks: 'kind',
  session_events: 'kind',
  accounts: 'os_user',
  audit_checkpoints: 'size',
  audit_subtrees: 'position',
  audit_texts: 'text',
  audit_cosignatures: 'size',
  auditor_words: 'state',
  audit_alarms: 'message',
  access_grants: 'reason',
  access_views: 'kind',
  notices: 'kind',
}

const elsewhere = [
  'CREATE TABLE mine (id integer)',
  'CREATE TEMPORARY TABLE mine (id integer)',
  'CREATE SCHEMA mine',
  'CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS $$SELECT 1$$',
  'CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$',
  'DROP FUNCTION refuse_audit_change() CASCADE',
  'DROP TRIGGER audit_entries_stay ON audit_entries',
  'DROP TRIGGER audit_checkpoints_stay ON audit_checkpoints',
  'SELECT refuse_audit_change()',
  'CREATE ROLE mine',
  'SET ROLE teleclaude_owner',
  'SET ROLE postgres',
  'ALTER ROLE CURRENT_USER SUPERUSER',
  'ALTER ROLE CURRENT_USER CREATEROLE',
  'SET session_replication_role = replica',
  "COPY (SELECT 1) TO PROGRAM 'true'",
  "COPY (SELECT 1) TO '/tmp/never'",
  "SELECT pg_read_file('PG_VERSION')",
  "SELECT pg_ls_dir('.')",
  'SELECT * FROM pg_authid',
  'ALTER SYSTEM SET fsync = off',
  'ALTER DATABASE CURRENT OWNER TO CURRENT_USER',
  'CREATE EXTENSION dblink',
  'CREATE PUBLICATION mine',
]

for (const role of Object.keys(privileges)) {
  test(`${role} is refused everything else, on every table and beside them`, async () => {
    const { url, name, admin, owner } = await createReadyDatabase()
    const tables = namesSchema.parse(
      await admin(`SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'`),
    )
    const client = new pg.Client({ connectionString: as(role, url) })
    await client.connect()
    try {
      for (const { name: table } of tables) {
        const granted: readonly string[] = privileges[role]?.[table] ?? []
        for (const [what, statement] of Object.entries(attempts)) {
          const column = updatable[table] ?? (table === 'teleclaude_migrations' ? 'name' : 'seq')
          const outcome = await attempt(client, statement(table, column))
          const isGranted = (impliedBy[what] ?? [what]).some((privilege) => granted.includes(privilege))
          assert.equal(outcome !== insufficient, isGranted, `${what} on ${table}: ${outcome}`)
        }
      }
      for (const statement of elsewhere) {
        const outcome = await attempt(client, statement.replace('DATABASE CURRENT', `DATABASE ${name}`))
        // Some are refused because they can't be inside a transaction, before anybody's rights are looked at.
        assert.ok(outcome === insufficient || outcome === '25001', `${statement}: ${outcome}`)
      }
      // PostgreSQL only warns that nothing was granted.
      await client.query('GRANT ALL ON audit_entries TO PUBLIC')
    } finally {
      await client.end()
    }
    assert.deepEqual(await findings(owner), [])
  })
}

test('nobody else may so much as connect', async () => {
  const { url } = await createReadyDatabase()
  await asAdmin('postgres', 'CREATE ROLE somebody LOGIN')
  const client = new pg.Client({ connectionString: as('somebody', url) })
  await assert.rejects(client.connect(), /permission denied for database/)
})

describe('what is too much is found, and taken back by applying again', () => {
  for (const [what, statement, says] of [
    [
      'a right on a table',
      'GRANT DELETE ON audit_entries TO teleclaude_api',
      /teleclaude_api has DELETE on TABLE audit_en/,
    ],
    [
      'a right that may be passed on',
      'GRANT SELECT ON sessions TO teleclaude_api WITH GRANT OPTION',
      /WITH GRANT OPTION/,
    ],
    ['a right on a column', 'GRANT UPDATE (entry) ON audit_entries TO teleclaude_api', /UPDATE \(entry\) on TABLE/],
    [
      "everybody's right",
      'GRANT SELECT ON transcript_chunks TO PUBLIC',
      /PUBLIC has SELECT on TABLE transcript_chunks/,
    ],
    ["everybody's schema", 'GRANT CREATE ON SCHEMA public TO PUBLIC', /PUBLIC has CREATE on SCHEMA public/],
    [
      'a right on a sequence',
      'GRANT USAGE ON SEQUENCE sessions_ordinal_seq TO teleclaude_api',
      /on SEQUENCE sessions_ordinal_seq/,
    ],
    ['a function of everybody', 'GRANT EXECUTE ON FUNCTION refuse_audit_change() TO PUBLIC', /EXECUTE on ROUTINE/],
    ['a trigger that is off', 'ALTER TABLE audit_entries DISABLE TRIGGER ALL', /trigger audit_entries_stay/],
    ['a trigger that can be told not to fire', 'ALTER TABLE audit_entries ENABLE TRIGGER ALL', /not always enabled/],
    [
      "a checkpoints' trigger that is gone",
      'DROP TRIGGER audit_checkpoints_stay ON audit_checkpoints',
      /audit_checkpoints_stay/,
    ],
    ["a texts' trigger that is off", 'ALTER TABLE audit_texts DISABLE TRIGGER audit_texts_stay', /audit_texts_stay/],
    [
      'a right on all columns',
      'GRANT UPDATE ON audit_alarms TO teleclaude_api',
      /teleclaude_api has UPDATE on TABLE audit_al/,
    ],
    ['a trigger that is gone', 'DROP TRIGGER audit_entries_stay ON audit_entries', /trigger audit_entries_stay/],
    [
      'a right that is lacking',
      'REVOKE INSERT ON audit_entries FROM teleclaude_api',
      /lacks INSERT on TABLE audit_entries/,
    ],
    ['a role that may not log in', 'ALTER ROLE teleclaude_api NOLOGIN', /teleclaude_api may not log in/],
    ['a role that inherits', 'ALTER ROLE teleclaude_api INHERIT', /too strong: it has INHERIT/],
  ] as const) {
    test(what, async () => {
      const { owner, admin } = await createReadyDatabase()
      await admin(statement)
      const found = await findings(owner)
      assert.equal(found.length, 1, found.join('\n'))
      assert.match(found[0] ?? '', says)
      const { mended, left } = await applyPrivileges(owner)
      assert.deepEqual([mended.length, left], [1, []])
      assert.deepEqual(await findings(owner), [])
    })
  }
})

describe('what only a superuser can mend is found, left, and mended by one', () => {
  for (const [what, statement, undo, says] of [
    [
      'a superuser',
      'ALTER ROLE teleclaude_api SUPERUSER',
      'NOSUPERUSER',
      /teleclaude_api is too strong: it has SUPERUSER/,
    ],
    ['one who passes row security', 'ALTER ROLE teleclaude_api BYPASSRLS', 'NOBYPASSRLS', /it has BYPASSRLS/],
    ['a member of a mighty role', 'GRANT pg_write_all_data TO teleclaude_api', '', /a member of pg_write_all_data/],
    ["somebody else's table", 'ALTER TABLE sessions OWNER TO postgres', '', /TABLE sessions belongs to postgres/],
  ] as const) {
    test(what, async () => {
      const { owner, url, admin } = await createReadyDatabase()
      await admin(statement)
      try {
        const { left } = await applyPrivileges(owner)
        assert.equal(left.length, 1, left.map((difference) => difference.what).join('\n'))
        assert.match(left[0]?.what ?? '', says)
        assert.match((await findings(owner))[0] ?? '', says)
        assert.deepEqual((await applyPrivileges(at(url))).left, [])
        assert.deepEqual(await findings(owner), [])
      } finally {
        if (undo !== '') await admin(`ALTER ROLE teleclaude_api ${undo}`)
        await admin('REVOKE pg_write_all_data FROM teleclaude_api')
      }
    })
  }
})
