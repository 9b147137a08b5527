// The doctor and the words of telec, as users of a real service of the whole machine get them.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { queryRows } from '../../../packages/store/test-engines.ts'
import {
  alice,
  makeServicePlace,
  openDoorway,
  type Place,
  Service,
  service,
  stranger,
} from '../../../services/api/test-service.ts'
import { openCheckout } from '../../../test/support/open-checkout.ts'
import { startPostgres, type TestPostgres } from '../../../test/support/postgres-server.ts'
import type { Finding } from './finding.ts'

if (process.getuid?.() === 0) {
  describe('a user of the service of the machine', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    let database: string
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
      database = new URL(postgres.url('x')).searchParams.get('host') ?? ''
      // As in the appliance, but for the tests themselves: who is not known by name is refused.
      await setAuthentication('local all postgres trust\nlocal all all peer\n')
    })
    after(() => postgres.stop())

    /** Resolves when the server goes by these lines of pg_hba.conf. */
    async function setAuthentication(lines: string): Promise<void> {
      const target = { engine: 'postgres', url: postgres.url('postgres') } as const
      const loadedAt = async () => JSON.stringify(await queryRows(target, 'SELECT pg_conf_load_time()::text'))
      const before = await loadedAt()
      writeFileSync(join(database, 'data/pg_hba.conf'), lines)
      await queryRows(target, 'SELECT pg_reload_conf()')
      while ((await loadedAt()) === before);
    }

    /** The shared directory as the appliance keeps it. */
    async function makePlace(t: TestContext): Promise<Place> {
      const place = await makeServicePlace(t, postgres, { migrated: true })
      const run = dirname(place.socket)
      chownSync(run, 0, service.gid)
      chmodSync(run, 0o1775)
      symlinkSync(database, join(run, 'postgres'))
      return place
    }

    async function telec(t: TestContext, uid: number, words: readonly string[]) {
      const home = mkdtempSync('/tmp/teleclaude-')
      t.after(() => rmSync(home, { recursive: true }))
      chownSync(home, uid, uid)
      const { node, telec: program } = openCheckout()
      const child = spawn(node, [program, ...words], {
        uid,
        gid: uid,
        cwd: '/',
        env: { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: home },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const [stdout, stderr, [exitCode]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close'),
      ])
      return { stdout, stderr, exitCode }
    }

    async function examine(t: TestContext, uid: number, socket: string) {
      const { stdout, stderr, exitCode } = await telec(t, uid, ['--socket', socket, 'doctor', '--json'])
      assert.equal(stderr, '')
      const { findings }: { findings: readonly Finding[] } = JSON.parse(stdout)
      const find = (check: string, state: Finding['state']): string => {
        const found = findings.find((finding) => finding.check === check && finding.state === state)
        assert.ok(found, `no ${check} is ${state}: ${stdout}`)
        return found.what
      }
      return { findings, find, exitCode }
    }

    async function serve(t: TestContext): Promise<Place> {
      const place = await makePlace(t)
      const serving = new Service(place, { wait: false })
      t.after(() => serving.stop())
      await serving.says(/^ready$/)
      return place
    }

    test('all is well: who listens, who one is, what was tried; nothing of single-user mode', async (t) => {
      const place = await serve(t)
      const { find, findings, exitCode } = await examine(t, alice, place.socket)
      assert.equal(exitCode, 0, JSON.stringify(findings))
      assert.match(find('daemon', 'ok'), /uid 60701/)
      assert.match(find('run-directory', 'ok'), /belongs to uid 0, mode 1775/)
      assert.match(find('person', 'ok'), /you are alice, admin \(people: alice has os_uid/)
      assert.equal(find('audit-log', 'ok'), "the api's database role can't change or delete entries (tried)")
      assert.match(find('database-login', 'ok'), /refuses you/)
      const checks = new Set(findings.map(({ check }) => check))
      for (const check of ['settings', 'database-file']) assert.ok(!checks.has(check), check)
      assert.ok(findings.every(({ what }) => !what.includes('.teleclaude/run')))
    })

    test('who is not known is told whom to ask; a closed database is as good as one that refuses', async (t) => {
      const place = await serve(t)
      chmodSync(database, 0o700)
      t.after(() => openDoorway(postgres))
      const { find } = await examine(t, stranger, place.socket)
      assert.match(find('person', 'warn'), /you are nobody here: no person has os_uid 54003/)
      assert.match(find('audit-log', 'warn'), /does not know you/)
      assert.match(find('database-login', 'ok'), /closed to you/)
      rmSync(join(dirname(place.socket), 'postgres'))
      assert.match((await examine(t, alice, place.socket)).find('database-login', 'ok'), /another database/)
    })

    test('a database that lets one in, and a directory that others can write into, are dangers', async (t) => {
      const place = await serve(t)
      await setAuthentication('local all all trust\n')
      const { find, exitCode } = await examine(t, alice, place.socket)
      assert.equal(exitCode, 69)
      assert.match(find('database-login', 'fail'), /DANGER: PostgreSQL at .* lets you in as teleclaude_/)
      chmodSync(dirname(place.socket), 0o1777)
      assert.match((await examine(t, alice, place.socket)).find('daemon', 'fail'), /DANGER: .*uid 60701/)
      chmodSync(dirname(place.socket), 0o0775)
      assert.match((await examine(t, alice, place.socket)).find('daemon', 'fail'), /DANGER/)
    })

    test('telec says who one is and why, and starts no daemon of one’s own beside the service', async (t) => {
      const place = await serve(t)
      const who = await telec(t, alice, ['--socket', place.socket, 'whoami'])
      assert.match(
        who.stdout,
        /^You are alice, admin, on h \(system mode\)\.\n.*\nThe rule: people: alice has os_uid 54001\.\n$/,
      )
      const gone = await telec(t, alice, ['--socket', join(dirname(place.socket), 'none.sock'), 'ls'])
      assert.equal(gone.exitCode, 69)
      assert.match(gone.stderr, /there is no socket at .*\nStart the service there/)
      chmodSync(place.socket, 0o600)
      const closed = await telec(t, alice, ['--socket', place.socket, 'ls'])
      assert.equal(closed.exitCode, 77)
      assert.match(closed.stderr, /you may not use the socket .*\nIts owner or the admin says who may: ls -l /)
    })

    test('a session runs as whoever calls, with nothing but a spool and a log of theirs', async (t) => {
      const place = await serve(t)
      const { stdout, stderr, exitCode } = await telec(t, alice, [
        '--socket',
        place.socket,
        'run',
        '--',
        'sh',
        '-c',
        'id -u; exit 3',
      ])
      assert.equal(exitCode, 3, stderr)
      assert.match(stdout, /54001/)
      assert.match(stderr, /^Be nice\.$/m)
    })
  })
}
