// The migrator as it is run: a process, a real PostgreSQL, and an owner's role that is no superuser.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { openStore } from '@teleclaude/store/open.ts'
import { lockKey } from '@teleclaude/store/postgres/migrate.ts'
import pg from 'pg'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'

const program = join(import.meta.dirname, 'main.ts')
const names = (await readdir(join(import.meta.dirname, '../../packages/store/migrations'))).sort()

let server: TestPostgres
before(async () => {
  server = await startPostgres({ own: true })
  const client = new pg.Client({ connectionString: server.url('postgres') })
  await client.connect()
  await client.query('CREATE ROLE teleclaude_owner LOGIN CREATEROLE')
  await client.end()
})
after(() => server.stop())

const as = (role: string, url: string) => url.replace('postgres@', `${role}@`)

class Database implements AsyncDisposable {
  readonly url: string
  readonly admin: pg.Client
  /** Another one, for a transaction that stays open: inside one, pg_stat_activity does not change. */
  readonly other: pg.Client
  constructor(url: string) {
    this.url = url
    this.admin = new pg.Client({ connectionString: url })
    this.other = new pg.Client({ connectionString: url })
  }

  async connect(): Promise<void> {
    await this.admin.connect()
    await this.other.connect()
  }

  /** As PostgreSQL of the appliance has it before the migrator comes. */
  static async create(): Promise<Database> {
    const database = new Database(await server.createDatabase())
    await database.connect()
    await database.admin.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} OWNER TO teleclaude_owner`)
    return database
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin.end()
    await this.other.end()
  }

  start(words: readonly string[], url = as('teleclaude_owner', this.url)): ChildProcess {
    return spawn(process.execPath, [program, ...words], {
      env: { PATH: process.env.PATH, DATABASE_URL: url, TELECLAUDE_HOST: 'testhost' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  }

  async run(words: readonly string[], url?: string) {
    return ending(this.start(words, url))
  }

  /** Resolves when a session of the migrator's is as the condition says. */
  async untilSession(condition: string): Promise<void> {
    const query = `
      SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'teleclaude migrations' AND ${condition}`
    while ((await this.admin.query(query)).rowCount === 0) await wait(10)
  }

  async assertComplete(): Promise<void> {
    const verified = await this.run(['verify'])
    assert.equal(verified.code, 0, verified.all)
  }
}

async function ending(child: ChildProcess) {
  if (child.stdout === null || child.stderr === null) throw new TypeError('cannot read from a process without pipes')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  return { code: child.exitCode, signal: child.signalCode, stdout, stderr, all: stdout + stderr }
}

describe('a new database', () => {
  test('is planned, made, and then there is nothing to do', async () => {
    await using database = await Database.create()
    const before = await database.run(['status'])
    assert.equal(before.code, 1, before.all)
    assert.match(before.stdout, /^0001_sessions +pending$/m)
    assert.match(before.stdout, /^teleclaude_api +differs/m)
    const planned = await database.run(['plan'])
    assert.equal(planned.code, 0, planned.all)
    assert.match(
      planned.stdout,
      /would apply[\s\S]*0002_audit[\s\S]*GRANT SELECT, INSERT ON TABLE audit_entries TO teleclaude_api;/,
    )
    const { rows } = await database.admin.query("SELECT FROM pg_tables WHERE schemaname = 'public'")
    assert.equal(rows.length, 0, 'a plan changes nothing')

    const made = await database.run([])
    assert.equal(made.code, 0, made.all)
    for (const name of names) assert.match(made.stdout, new RegExp(`^applied ${name} in \\d+\\.\\d\\d s$`, 'm'))
    assert.match(made.stdout, /exactly as declared/)
    const after = await database.run(['status'])
    assert.equal(after.code, 0, after.all)
    assert.match(after.stdout, /^0001_sessions +applied +\d{4}-\d\d-\d\dT[\d:.]+Z$/m)
    assert.match(after.stdout, /^teleclaude_auditor +ready$/m)
    assert.match((await database.run(['plan'])).stdout, /nothing/)
    assert.match((await database.run(['up'])).stdout, /nothing was pending.*nothing had to be mended/)
    await database.assertComplete()
  })

  test('has the migration on its record, once', async () => {
    await using database = await Database.create()
    await database.run(['up'])
    await database.run(['up'])
    const store = await openStore({ engine: 'postgres', url: as('teleclaude_api', database.url) })
    const entries = await store.audit.read('testhost', { afterSeq: 0, limit: 10 })
    await store.close()
    const said = entries.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()))
    assert.equal(said.length, 1)
    assert.deepEqual(
      [said[0].action, said[0].actor, said[0].detail],
      ['schema.migrated', { kind: 'service', name: 'migrator' }, { names: names.join(', ') }],
    )
  })

  test('is made by two at once, and both succeed', async () => {
    await using database = await Database.create()
    for (const { code, all } of await Promise.all([database.run(['up']), database.run(['up'])]))
      assert.equal(code, 0, all)
    await database.assertComplete()
  })

  test('answers programs with one object', async () => {
    await using database = await Database.create()
    const answer = async (verb: string) => JSON.parse((await database.run([verb, '--json'])).stdout)
    assert.deepEqual((await answer('plan')).migrations, names)
    assert.deepEqual((await answer('up')).applied, names)
    assert.equal((await answer('status')).current, true)
    assert.equal((await answer('verify')).holds, true)
  })
})

describe('kill -9 is mended by running again', () => {
  const killed = async (child: ChildProcess) => {
    child.kill('SIGKILL')
    assert.equal((await ending(child)).signal, 'SIGKILL')
  }

  test('while it waits for the lock', async () => {
    await using database = await Database.create()
    await database.other.query('SELECT pg_advisory_lock($1)', [lockKey('migrations')])
    const child = database.start(['up'])
    await database.untilSession("query LIKE '%pg_try_advisory_lock%'")
    await killed(child)
    await database.other.query('SELECT pg_advisory_unlock_all()')
    assert.equal((await database.run(['up'])).code, 0)
    await database.assertComplete()
  })

  for (const name of names) {
    test(`in the middle of ${name}`, async () => {
      await using database = await Database.create()
      // What the migration is about to make is being made by somebody else, who does not come to an end.
      const made = {
        '0001_sessions': 'commands',
        '0002_audit': 'auditor_cursors',
        '0003_accounts': 'accounts',
        '0005_surviving_sessions': 'session_events',
      }
      const table = new Map(Object.entries(made)).get(name) ?? 'teleclaude_migrations'
      await database.other.query('BEGIN')
      await database.other.query(`CREATE TABLE ${table} (id integer)`)
      const child = database.start(['up'])
      await database.untilSession("wait_event_type = 'Lock'")
      await killed(child)
      await database.other.query('ROLLBACK')
      assert.equal((await database.run(['up'])).code, 0)
      await database.assertComplete()
    })
  }

  test('in the middle of roles and rights, of which nothing is kept', async () => {
    await using database = await Database.create()
    await database.run(['up'])
    await database.admin.query('REVOKE ALL ON audit_entries, auditor_cursors FROM teleclaude_api, teleclaude_auditor')
    await database.other.query('BEGIN')
    await database.other.query('GRANT SELECT ON auditor_cursors TO teleclaude_auditor')
    const child = database.start(['up'])
    await database.untilSession("wait_event_type = 'Lock'")
    await killed(child)
    await database.other.query('ROLLBACK')
    const found = await database.run(['verify'])
    assert.equal(found.code, 1, found.all)
    assert.match(found.stdout, /teleclaude_api lacks SELECT, INSERT on TABLE audit_entries/)
    assert.equal((await database.run(['up'])).code, 0)
    await database.assertComplete()
  })
})

describe('a database that is not as it should be', () => {
  test('verify finds a right too many, and up mends it', async () => {
    await using database = await Database.create()
    await database.run(['up'])
    await database.admin.query('GRANT DELETE ON audit_entries TO teleclaude_api')
    const found = await database.run(['verify'])
    assert.equal(found.code, 1, found.all)
    assert.match(found.stdout, /NO +teleclaude_api has DELETE on TABLE audit_entries/)
    assert.equal((await database.run(['status'])).code, 1)
    const up = await database.run(['up'])
    assert.equal(up.code, 0, up.all)
    assert.match(up.stdout, /mended: teleclaude_api has DELETE/)
    await database.assertComplete()
  })

  test('verify finds what really lets audit entries be changed, whatever the catalogue says', async () => {
    await using database = await Database.create()
    await database.run(['up'])
    await database.admin.query(
      'CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$',
    )
    const found = await database.run(['verify'])
    assert.equal(found.code, 1, found.all)
    assert.match(found.stdout, /truncate audit entries \(really tried\) +NO +the database let it through/)
  })

  test('a role that is a superuser is reported with what an admin has to run, and is not let pass', async () => {
    await using database = await Database.create()
    await database.run(['up'])
    await database.admin.query('ALTER ROLE teleclaude_auditor SUPERUSER')
    try {
      const up = await database.run(['up'])
      assert.equal(up.code, 77, up.all)
      assert.match(
        up.stderr,
        /teleclaude_auditor is too strong: it has SUPERUSER[\s\S]*ALTER ROLE teleclaude_auditor NOSUPERUSER;/,
      )
      assert.equal((await database.run(['verify'])).code, 1)
    } finally {
      await database.admin.query('ALTER ROLE teleclaude_auditor NOSUPERUSER')
    }
    await database.assertComplete()
  })

  test('of a newer program is refused by all commands, with its migration named', async () => {
    await using database = await Database.create()
    await database.run(['up'])
    await database.admin.query("INSERT INTO teleclaude_migrations (name, checksum) VALUES ('9999_future', 'x')")
    for (const verb of ['up', 'plan', 'status', 'verify']) {
      const refused = await database.run([verb])
      assert.equal(refused.code, 65, `${verb}: ${refused.all}`)
      assert.match(refused.all, /newer than this program/)
      assert.match(refused.all, /9999_future/)
    }
  })

  test('with an edited migration is refused by up, and shown by status and verify', async () => {
    await using database = await Database.create()
    await database.run(['up'])
    await database.admin.query("UPDATE teleclaude_migrations SET checksum = 'sha256:0' WHERE name = '0001_sessions'")
    const up = await database.run(['up'])
    assert.equal(up.code, 65, up.all)
    assert.match(up.stderr, /0001_sessions was edited/)
    const status = await database.run(['status'])
    assert.equal(status.code, 1)
    assert.match(status.stdout, /^0001_sessions +edited/m)
    const verified = await database.run(['verify'])
    assert.equal(verified.code, 1)
    assert.match(verified.stdout, /edited: 0001_sessions/)
  })

  test("that is somebody else's is left alone", async () => {
    await using database = await Database.create()
    await database.admin.query('CREATE TABLE wp_posts (id integer)')
    const up = await database.run(['up'])
    assert.equal(up.code, 65, up.all)
    assert.match(up.stderr, /wp_posts/)
  })
})

describe('a managed PostgreSQL, whose owner may not create roles', () => {
  test('says which SQL its admin has to run, and goes on when that was done', async () => {
    await using managed = await startPostgres({ own: true })
    const database = new Database(await managed.createDatabase())
    await database.connect()
    try {
      await database.admin.query('CREATE ROLE teleclaude_owner LOGIN')
      await database.admin.query(`ALTER DATABASE ${new URL(database.url).pathname.slice(1)} OWNER TO teleclaude_owner`)
      const refused = await database.run(['up'])
      assert.equal(refused.code, 77, refused.all)
      assert.match(refused.stderr, /teleclaude_api is missing/)
      const statements = refused.stderr.split('\n').filter((line) => /^ {2}(CREATE|ALTER) ROLE/.test(line))
      assert.ok(statements.length >= 2)
      for (const statement of statements) await database.admin.query(statement)
      const up = await database.run(['up'])
      assert.equal(up.code, 0, up.all)
      await database.assertComplete()
    } finally {
      await database[Symbol.asyncDispose]()
    }
  })
})

describe('a database that does not answer', () => {
  test('is waited for, as long as it was said, and the reason is said once', async () => {
    await using database = await Database.create()
    const nowhere = 'postgresql://teleclaude_owner@/teleclaude?host=/nonexistent'
    const up = await database.run(['up', '--wait', '2'], nowhere)
    assert.equal(up.code, 69, up.all)
    assert.equal(up.stdout.match(/waiting: cannot reach/g)?.length, 1)
    assert.match(up.stderr, /gave up after 2 s: cannot reach .*ENOENT/)
    for (const verb of ['status', 'plan', 'verify']) assert.equal((await database.run([verb], nowhere)).code, 69)
  })

  test('is used once it answers', async () => {
    await using database = await Database.create()
    await database.admin.query('ALTER ROLE teleclaude_owner NOLOGIN')
    const child = database.start(['up'])
    const ended = ending(child)
    if (child.stdout !== null) await once(child.stdout, 'data')
    await database.admin.query('ALTER ROLE teleclaude_owner LOGIN')
    const { code, stdout, all } = await ended
    assert.equal(code, 0, all)
    assert.match(stdout, /waiting: .*not permitted to log in/)
  })
})

describe('the command line', () => {
  test('an unknown command, an unknown option and bad settings have their exit codes', async () => {
    await using database = await Database.create()
    assert.equal((await database.run(['no-such-command'])).code, 64)
    assert.equal((await database.run(['up', '--fast'])).code, 64)
    assert.equal((await database.run(['up', '--wait', 'long'])).code, 64)
    assert.equal((await database.run(['--help'])).code, 0)
    const bad = await database.run(['status'], 'mysql://somewhere')
    assert.equal(bad.code, 78, bad.all)
    assert.match(bad.stderr, /DATABASE_URL/)
  })
})
