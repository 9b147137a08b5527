// The appliance's PostgreSQL: who gets in, what each role may do, and what happens when it is away, full, or not ours.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionPage } from '@teleclaude/core/api.ts'
import { Appliance, uids } from '../support/appliance.ts'
import { lostBytes, numberedLines } from '../support/numbered-lines.ts'

const psql = ['psql', '-XAtq', '-h', '/run/teleclaude/postgres', '-d', 'teleclaude']

describe('roles and logins', () => {
  let own: Appliance
  before(async () => {
    own = await Appliance.start()
  })
  after(() => own[Symbol.asyncDispose]())

  /** As that uid, whatever container it is in: the socket's directory is open to the appliance's group alone. */
  const ask = async (uid: number, role: string, statement: string) => {
    const { code, stdout, stderr } = await own.exec('postgres', uid, ...psql, '-U', role, '-c', statement)
    return { code, said: `${stdout.toString('utf8')}${stderr}` }
  }

  test('each service logs in as its own role and as no other, and nobody else logs in at all', async () => {
    const roles = { teleclaude_owner: 60702, teleclaude_api: 60701, teleclaude_auditor: 60703, postgres: 60704 }
    const comers = [...Object.values(roles), 0, uids.alice, 999]
    for (const [role, owner] of Object.entries(roles)) {
      for (const uid of comers) {
        const { code, said } = await ask(uid, role, 'SELECT current_user')
        if (uid === owner) assert.deepEqual({ code, said: said.trim() }, { code: 0, said: role })
        else assert.match(said, /Peer authentication failed/, `uid ${uid} as ${role}`)
      }
    }
  })

  test('no password exists, and no way in but the socket', async () => {
    const { said } = await ask(60704, 'postgres', 'SELECT count(*) FROM pg_authid WHERE rolpassword IS NOT NULL')
    assert.equal(said.trim(), '0')
    const settings = await ask(60704, 'postgres', 'SHOW listen_addresses')
    assert.equal(settings.said.trim(), '')
    const { said: methods } = await ask(60704, 'postgres', 'SELECT DISTINCT type, auth_method FROM pg_hba_file_rules')
    assert.equal(methods.trim(), 'local|peer')
  })

  test('the roles of api and auditor can neither change nor delete audit entries, nor more than they need', async () => {
    const count = async () => (await ask(60704, 'postgres', 'SELECT count(*) > 0 FROM audit_entries')).said.trim()
    assert.equal(await count(), 't')
    const forbidden = [
      'UPDATE audit_entries SET seq = seq',
      'DELETE FROM audit_entries',
      'TRUNCATE audit_entries',
      'DROP TABLE audit_entries',
      'ALTER TABLE audit_entries DISABLE TRIGGER ALL',
      'CREATE TABLE mine ()',
      'CREATE TEMP TABLE mine ()',
      'CREATE ROLE mine',
      'DELETE FROM sessions',
      'DELETE FROM commands',
      'UPDATE session_events SET kind = kind',
      'UPDATE transcript_chunks SET seq = seq',
      "COPY (SELECT 1) TO PROGRAM 'true'",
    ]
    for (const statement of forbidden) {
      for (const [uid, role] of [
        [60701, 'teleclaude_api'],
        [60703, 'teleclaude_auditor'],
      ] as const) {
        const { code, said } = await ask(uid, role, statement)
        assert.notEqual(code, 0, `${role}: ${statement}`)
        assert.match(said, /permission denied|must be owner/, `${role}: ${statement}`)
      }
    }
    assert.match((await ask(60703, 'teleclaude_auditor', 'SELECT 1 FROM transcript_chunks')).said, /permission denied/)
    assert.match((await ask(60703, 'teleclaude_auditor', 'SELECT 1 FROM sessions')).said, /permission denied/)
    // The table's owner is stopped by the triggers.
    for (const statement of forbidden.slice(0, 3)) {
      assert.notEqual((await ask(60702, 'teleclaude_owner', statement)).code, 0, statement)
    }
    assert.equal(await count(), 't')
  })

  test('telec doctor shows both to whoever asks: tried, not believed', async () => {
    for (const user of ['alice', 'carol'] as const) {
      const { stdout } = await own.telec(user, ['doctor', '--json'])
      const { findings } = JSON.parse(stdout.toString('utf8')) as {
        findings: { check: string; state: string; what: string }[]
      }
      const stateOf = (check: string) => findings.find((finding) => finding.check === check)?.state
      assert.equal(stateOf('audit-log'), 'ok', JSON.stringify(findings))
      assert.equal(stateOf('database-login'), 'ok', JSON.stringify(findings))
      assert.equal(stateOf('path'), undefined, 'where one has linked a telec of one’s own is no matter here')
    }
    // Root walks into the closed directory, and PostgreSQL refuses it.
    const { stdout } = await own.telec('root', ['doctor', '--json'])
    assert.match(stdout.toString('utf8'), /"check":"database-login","state":"ok"[^}]*refuses/)
  })
})

describe('days without it', () => {
  test('30 s away: 503 with Retry-After, sessions go on, and afterwards every byte is there, once', async () => {
    await using own = await Appliance.start()
    const running = own.telec('alice', ['run', '--', 'sh', '-c', numberedLines({ lines: 400, everySeconds: 0.1 })])
    const live = async () => (await own.json<SessionPage>('alice', ['ls', '--all'])).sessions[0]
    while (((await live())?.transcriptBytes ?? 0) === 0) await delay(100)
    await own.stopService('postgres')
    const goneMs = performance.now()
    let asked = 0
    while (performance.now() - goneMs < 30_000) {
      const { code, head } = await own.curl('/v1/sessions', 'alice')
      assert.equal(code, 503)
      assert.match(head, /^retry-after: \d+$/im)
      assert.equal((await own.curl('/readyz', 'alice')).code, 503)
      assert.equal((await own.curl('/healthz', 'alice')).code, 200)
      asked += 1
      await delay(500)
    }
    assert.ok(asked > 10, 'the api answers at once while the database is away')
    await own.startAgain('postgres')
    const { code, stderr } = await running
    assert.equal(code, 0, stderr)
    await own.untilReady()
    const session = await live()
    assert.equal(session?.status, 'ended')
    const raw = await own.telec('alice', ['transcript', '--format', 'raw', session?.id ?? ''])
    assert.equal(lostBytes(raw.stdout, { lines: 400 }), null)
    const { State } = await (await own.container('api')).inspect()
    assert.equal((await (await own.container('api')).inspect()).RestartCount, 0, State.Error)
  })

  test('frozen: answered with 503 within seconds, recovers when it thaws', async () => {
    await using own = await Appliance.start()
    await (await own.container('postgres')).pause()
    const frozenMs = performance.now()
    for (;;) {
      const askedMs = performance.now()
      const { code } = await own.curl('/v1/sessions', 'alice')
      if (code === 503 && performance.now() - askedMs < 1_000) break
      assert.ok(performance.now() - frozenMs < 60_000, `answers ${code}`)
    }
    await (await own.container('postgres')).unpause()
    await own.untilReady()
    assert.equal((await own.curl('/v1/sessions', 'alice')).code, 200)
    assert.equal((await (await own.container('api')).inspect()).RestartCount, 0)
  })

  test('full: nothing is acknowledged that is not kept; goes on when there is room', async () => {
    await using own = await Appliance.start({ databaseBytes: 192 * 1024 * 1024 })
    const fill = await own.exec('postgres', null, 'sh', '-c', 'cat /dev/zero > /var/lib/teleclaude/fill || :')
    assert.match(fill.stderr + fill.stdout.toString('utf8'), /No space left/)
    const running = own.telec('alice', ['run', '--', 'sh', '-c', 'sleep 2; echo kept'])
    const first = await Promise.race([running, delay(15_000, null)])
    if (first !== null && first.code !== 0) assert.match(first.stderr, /^telec: cannot /m)
    const { code } = await own.curl('/v1/sessions', 'alice')
    assert.ok(code === 200 || code === 503, String(code))
    await own.exec('postgres', null, 'rm', '/var/lib/teleclaude/fill')
    for (;;) {
      const again = await own.telec('alice', ['run', '--', 'echo', 'afterwards'])
      if (again.code === 0) break
      await delay(500)
    }
    const { sessions } = await own.json<SessionPage>('alice', ['ls', '--all'])
    for (const { id, status } of sessions.filter((session) => session.status === 'ended')) {
      const { code } = await own.telec('alice', ['transcript', id])
      assert.equal(code, 0, status)
    }
    await running
  })
})

describe('a volume that it can not use', () => {
  test('of another major version is refused unchanged, with what to do', async () => {
    await using own = Appliance.prepare()
    await own.startService('run-directory')
    await own.asRoot(
      'postgres',
      'install -d -o 60704 -g 60700 -m 0700 /var/lib/teleclaude/postgres; echo 17 > /var/lib/teleclaude/postgres/PG_VERSION',
    )
    await own.startService('postgres')
    await own.untilLog('postgres', /made by PostgreSQL 17, and this is PostgreSQL 18; .*docs\/appliance\.md/)
    const { text } = await own.asRoot('postgres', 'cat /var/lib/teleclaude/postgres/PG_VERSION')
    assert.equal(text.trim(), '17')
  })

  test('of another owner is refused, with what to do', async () => {
    await using own = Appliance.prepare()
    await own.startService('run-directory')
    await own.asRoot('postgres', 'touch /var/lib/teleclaude/kept; chown 12345 /var/lib/teleclaude')
    await own.startService('postgres')
    await own.untilLog('postgres', /belongs to uid 12345, and it runs as uid 60704; .*docs\/appliance\.md/)
  })

  test('that was cut off while it was made is made again', async () => {
    await using own = Appliance.prepare()
    await own.startService('run-directory')
    await own.startService('postgres')
    await own.untilLog('postgres', /performing post-bootstrap initialization/)
    await own.kill('postgres')
    await own.startAgain('postgres')
    await own.untilLog('postgres', /database system is ready to accept connections/)
  })
})
