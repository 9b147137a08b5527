// The migrator of the appliance: its four commands, killed anywhere, twice at once, and across versions.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionPage } from '@teleclaude/core/api.ts'
import { Appliance } from '../support/appliance.ts'
import { buildDerivedImage } from '../support/derived-image.ts'

describe('commands', () => {
  let own: Appliance
  before(async () => {
    own = await Appliance.start()
  })
  after(() => own[Symbol.asyncDispose]())

  test('status and verify exit 0 on a database that is as it should be, plan has nothing to do, up changes nothing', async () => {
    const status = await own.run('migrator', ['status'])
    assert.equal(status.code, 0, status.text)
    assert.match(status.text, /0001_sessions +applied/)
    assert.match(status.text, /teleclaude_api/)
    const verify = await own.run('migrator', ['verify'])
    assert.equal(verify.code, 0, verify.text)
    const plan = await own.run('migrator', ['plan', '--json'])
    assert.equal(plan.code, 0, plan.text)
    const up = await own.run('migrator', ['up'])
    assert.equal(up.code, 0, up.text)
  })

  test('verify finds a right too many, a trigger that is off, and an edited ledger; up mends the rights', async () => {
    const psql = async (statement: string) => {
      const { code, stderr } = await own.exec(
        'postgres',
        60704,
        ...['psql', '-XAtq', '-h', '/run/teleclaude/postgres', '-U', 'postgres', '-d', 'teleclaude', '-c', statement],
      )
      assert.equal(code, 0, stderr)
    }
    const verify = () => own.run('migrator', ['verify'])
    await psql('GRANT DELETE ON audit_entries TO teleclaude_api')
    const tooMany = await verify()
    assert.equal(tooMany.code, 1, tooMany.text)
    assert.match(tooMany.text, /DELETE.*audit_entries|audit_entries.*DELETE/)
    assert.equal((await own.run('migrator', ['up'])).code, 0)
    assert.equal((await verify()).code, 0)

    await psql('ALTER TABLE audit_entries DISABLE TRIGGER ALL')
    const off = await verify()
    assert.equal(off.code, 1, off.text)
    assert.match(off.text, /trigger/i)
    await psql('ALTER TABLE audit_entries ENABLE TRIGGER ALL')

    await psql(`UPDATE teleclaude_migrations SET checksum = 'sha256:0' WHERE name = '0001_sessions'`)
    const edited = await verify()
    assert.notEqual(edited.code, 0)
    assert.match(edited.text, /0001_sessions/)
  })
})

describe('a new database', () => {
  test('is complete in the end, however often the migrator is killed on the way', async () => {
    await using own = Appliance.prepare()
    await Promise.all([own.startService('run-directory'), own.startService('postgres')])
    await own.untilLog('postgres', /database system is ready to accept connections/)
    // Node needs some 300 ms to begin: from before that to after the end.
    for (let lifeMs = 100; lifeMs <= 1_600; lifeMs += 150) {
      await own.startService('migrator')
      await delay(lifeMs)
      await own.killIfRunning('migrator')
    }
    await own.startUpTo('migrator')
    assert.equal((await own.run('migrator', ['verify'])).code, 0)
  })

  test('is made by one of two migrators that start at once; the other waits for it, and both succeed', async () => {
    await using own = Appliance.prepare()
    await Promise.all([own.startService('run-directory'), own.startService('postgres')])
    const both = await Promise.all([own.run('migrator', ['up']), own.run('migrator', ['up'])])
    for (const { code, text } of both) assert.equal(code, 0, text)
    assert.equal((await own.run('migrator', ['verify'])).code, 0)
  })
})

describe('versions', () => {
  test('a newer migrator migrates a database with data in it; older programs then refuse it, saying so', async () => {
    await using own = await Appliance.start()
    assert.equal((await own.telec('alice', ['run', '--', 'echo', 'kept'])).code, 0)
    const migrations = '/usr/local/lib/teleclaude/packages/store/migrations/9000_next'
    await using newer = await buildDerivedImage(
      own.image('migrator'),
      `USER 0
       RUN mkdir ${migrations} \\
         && echo "ALTER TABLE sessions ADD COLUMN note text;" > ${migrations}/postgres.sql \\
         && cp ${migrations}/postgres.sql ${migrations}/sqlite.sql
       USER 60702:60700`,
    )
    const plan = await own.run('migrator', ['plan'], newer.tag)
    assert.match(plan.text, /9000_next/)
    const pending = await own.run('migrator', ['status'], newer.tag)
    assert.equal(pending.code, 1, pending.text)
    assert.match(pending.text, /9000_next +pending/)
    const up = await own.run('migrator', ['up'], newer.tag)
    assert.equal(up.code, 0, up.text)

    const older = await own.run('migrator', ['up'])
    assert.equal(older.code, 65, older.text)
    assert.match(older.text, /newer than this program \(9000_next\)/)
    const { sessions } = await own.json<SessionPage>('alice', ['ls', '--all'])
    assert.equal(sessions.length, 1)
    await own.startService('api')
    await own.untilLog('api', /newer than this program \(9000_next\)/)
  })
})
