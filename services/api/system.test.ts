// System mode as a real process of its own uid, on a real database, asked by real other users.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { AuditEntry } from '@teleclaude/core/audit.ts'
import { migrate, openStore } from '@teleclaude/store/open.ts'
import { queryRows } from '../../packages/store/test-engines.ts'
import { openCheckout } from '../../test/support/open-checkout.ts'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'
import {
  alice,
  ask,
  bob,
  config,
  makeServicePlace,
  openDoorway,
  type Place,
  Service,
  service,
  stranger,
} from './test-service.ts'

const newSession = { project: '/tmp', agent: null, title: 't', argv: ['true'], terminal: { cols: 80, rows: 24 } }

if (process.getuid?.() === 0) {
  describe('system mode', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    const makePlace = (t: TestContext, options = { migrated: true }) => makeServicePlace(t, postgres, options)

    async function serve(t: TestContext, place: Place, options = { wait: false }): Promise<Service> {
      const serving = new Service(place, options)
      t.after(() => serving.stop())
      await serving.says(/^ready$/)
      return serving
    }

    async function entries(place: Place): Promise<readonly AuditEntry[]> {
      const store = await openStore({ engine: 'postgres', url: place.url })
      const stored = await store.audit.read('h', { afterSeq: 0, limit: 1000 })
      await store.close()
      return stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')))
    }

    test('everybody is who the kernel and the configuration say, and is told by which rule', async (t) => {
      const place = await makePlace(t)
      await serve(t, place)
      const who = async (uid: number) => (await ask(place.socket, uid, 'GET', '/v1/whoami')).body
      assert.partialDeepStrictEqual(await who(alice), {
        uid: alice,
        person: 'alice',
        role: 'admin',
        mode: 'system',
        because: `people: alice has os_uid ${alice}`,
      })
      assert.partialDeepStrictEqual(await who(bob), { person: 'bob', role: 'newcomer' })
      assert.partialDeepStrictEqual(await who(stranger), { person: null, role: 'public' })
      assert.partialDeepStrictEqual(await who(0), { person: null, role: 'public', osUser: 'root' })
      assert.equal((await ask(place.socket, 65_534, 'GET', '/v1/whoami')).status, 403)
    })

    test('starts, stops, denials and the stopping of another’s session are on the record', async (t) => {
      const place = await makePlace(t)
      const serving = await serve(t, place)
      const { body } = await ask(place.socket, bob, 'POST', '/v1/sessions', newSession)
      const { session } = body as { session: { id: string } }
      await ask(place.socket, stranger, 'GET', '/v1/sessions')
      await ask(place.socket, alice, 'GET', `/v1/sessions/${session.id}/transcript`)
      await ask(place.socket, alice, 'POST', `/v1/sessions/${session.id}/commands`, { kind: 'stop', force: true })
      await ask(place.socket, bob, 'POST', `/v1/sessions/${session.id}/commands`, { kind: 'stop' })
      await serving.stop()
      const all = await entries(place)
      assert.deepEqual(
        all.map(({ action }) => action),
        [
          'key.changed',
          'service.started',
          'config.loaded',
          'account.bound',
          'session.started',
          'request.denied',
          'request.denied',
          'account.bound',
          'session.stopped',
          'service.stopped',
        ],
      )
      const [, started, configured, bobBound, begun, unknown, refused, aliceBound, stopped] = all
      const subject = { id: session.id, owner: 'bob' }
      assert.partialDeepStrictEqual(started, { detail: { mode: 'system' } })
      assert.match(
        String(configured?.detail.lines),
        new RegExp(`^people.alice: {"role":"admin","os_uid":\\[${alice}\\]}$`, 'm'),
      )
      assert.partialDeepStrictEqual(bobBound, {
        actor: { uid: bob },
        detail: { uid: bob, osUser: null, person: 'bob' },
      })
      assert.partialDeepStrictEqual(aliceBound, { actor: { uid: alice }, detail: { uid: alice, person: 'alice' } })
      assert.partialDeepStrictEqual(begun, { actor: { person: 'bob', uid: bob }, session: subject })
      assert.partialDeepStrictEqual(unknown, {
        actor: { person: null, uid: stranger },
        detail: { request: 'session.list' },
      })
      assert.partialDeepStrictEqual(refused, {
        actor: { person: 'alice' },
        session: subject,
        detail: { request: 'transcript.read' },
      })
      assert.partialDeepStrictEqual(stopped, { actor: { person: 'alice' }, session: subject, detail: { force: true } })
    })

    test('a reload counts from the next request on; only an admin, or a signal, can ask for it', async (t) => {
      const place = await makePlace(t)
      const serving = await serve(t, place)
      const roleOf = async (uid: number) => (await ask(place.socket, uid, 'GET', '/v1/whoami')).body.role
      const reload = (uid: number) => ask(place.socket, uid, 'POST', '/v1/config/reload', {})
      for (const uid of [bob, stranger]) {
        assert.equal((await reload(uid)).status, 403)
        assert.equal((await ask(place.socket, uid, 'GET', '/v1/config')).status, 403)
      }
      writeFileSync(place.configFile, config.replace('newcomer', 'member'))
      const answer = await reload(alice)
      assert.equal(answer.status, 200)
      assert.deepEqual(answer.body, {
        changes: [`people.bob: {"role":"newcomer","os_uid":[${bob}]} -> {"role":"member","os_uid":[${bob}]}`],
        needsRestart: [],
        warnings: [],
      })
      assert.equal(await roleOf(bob), 'member')

      writeFileSync(place.configFile, `${config}rle: 5\n`)
      const refused = await reload(alice)
      assert.equal(refused.status, 409)
      assert.partialDeepStrictEqual(refused.body, { code: 'config' })
      assert.match(String(refused.body.detail), /config\.yml:5:1: rle is no key/)
      assert.equal(await roleOf(bob), 'member')
      const signalled = serving.says(/configuration not reloaded: the old one stays/)
      serving.child.kill('SIGHUP')
      await signalled

      writeFileSync(place.configFile, config.replace(/.*bob.*\n/, ''))
      // That of alice's reload has been said before.
      serving.said.length = 0
      serving.child.kill('SIGHUP')
      await serving.says(/^configuration reloaded$/)
      assert.equal(await roleOf(bob), 'public')

      const changed = (await entries(place)).filter(({ action }) => /^config\.re/.test(action))
      assert.deepEqual(
        changed.map(({ action, actor }) => [action, actor.kind === 'caller' ? actor.person : actor.name]),
        [
          ['config.reloaded', 'alice'],
          ['config.refused', 'alice'],
          ['config.refused', 'api'],
          ['config.reloaded', 'api'],
        ],
      )
      assert.match(String(changed[3]?.detail.lines), /^people\.bob: .* -> not set$/m)
    })

    test('what can be mended is waited for: each reason is said once, and the service comes up by itself', async (t) => {
      const place = await makePlace(t, { migrated: false })
      rmSync(dirname(place.socket), { recursive: true })
      writeFileSync(place.configFile, 'people:\n  - name: alice\n    rle: admin\n    os_uid: 1\n')
      const serving = new Service(place, { wait: true })
      t.after(() => serving.stop())
      await serving.says(/config\.yml:3:5: people\[0\]\.rle is no key .* did you mean role\?/)
      writeFileSync(place.configFile, config)
      await serving.says(/cannot use the directory .*: it is not there; make it/)
      mkdirSync(dirname(place.socket), { mode: 0o777 })
      chmodSync(dirname(place.socket), 0o777)
      await serving.says(/others can write into it; close it: sudo chmod go-w/)
      chmodSync(dirname(place.socket), 0o755)
      await serving.says(/uid 60701, which this service runs as, can't write into it/)
      chownSync(dirname(place.socket), service.uid, service.gid)
      await serving.says(/its schema is older than this program.*docker compose run --rm migrator up/)
      mkdirSync(place.socket)
      await migrate({ engine: 'postgres', url: place.url })
      await serving.says(/cannot listen on .*api\.sock: a directory is there/)
      rmSync(place.socket, { recursive: true })
      await serving.says(/^ready$/)
      assert.equal(new Set(serving.said).size, serving.said.length, serving.said.join('\n'))
      assert.equal((await ask(place.socket, alice, 'GET', '/readyz')).status, 200)
      assert.deepEqual(
        (await entries(place)).map(({ action }) => action),
        ['key.changed', 'service.started', 'config.loaded'],
      )
    })

    test('without the audit log’s key it does not start: it says which one, and comes up when that is back', async (t) => {
      const place = await makePlace(t)
      await (await serve(t, place)).stop()
      const key = readFileSync(place.auditKey)
      rmSync(place.auditKey)
      const serving = new Service(place, { wait: true })
      t.after(() => serving.stop())
      await serving.says(
        /cannot go on with the audit log: its key of epoch 1 is teleclaude\.audit\/h\+.* it is not there\./,
      )
      writeFileSync(place.auditKey, key, { mode: 0o600 })
      await serving.says(/can't be read by uid 60701/)
      chownSync(place.auditKey, service.uid, service.gid)
      chmodSync(place.auditKey, 0o644)
      await serving.says(/it can be read by everybody \(mode 0644\)/)
      chmodSync(place.auditKey, 0o600)
      await serving.says(/^ready$/)
      const changed = (await entries(place)).filter(({ action }) => action === 'key.changed')
      assert.equal(changed.length, 1)
    })

    test('a stop is heard while it waits', async (t) => {
      const place = await makePlace(t)
      rmSync(place.configFile)
      const serving = new Service(place, { wait: true })
      t.after(() => serving.stop())
      await serving.says(/config\.yml:1:1: is not there/)
      serving.child.kill()
      assert.deepEqual(await serving.ended, [0, null])
    })

    test('without waiting it ends with the reason; a newer schema and a second instance end it in any case', async (t) => {
      const place = await makePlace(t)
      const end = async (change: { env?: NodeJS.ProcessEnv; wait?: boolean; place?: Partial<Place> }) => {
        const own = new Service({ ...place, ...change.place }, { wait: false, ...change })
        t.after(() => own.stop())
        assert.deepEqual(await own.ended, [1, null])
        return own.stderr
      }
      assert.match(await end({ place: { configFile: join(place.directory, 'none.yml') } }), /^ConfigError config: /)
      assert.match(await end({ env: { DATABASE_URL: '' } }), /^ConfigError config: .*\n {2}DATABASE_URL is not set/)
      const gone = 'postgresql://u@/x?host=/nowhere'
      assert.match(await end({ env: { DATABASE_URL: gone } }), /^StoreError unavailable: /)
      const older = await makePlace(t, { migrated: false })
      assert.match(await end({ place: { url: older.url } }), /^StoreError schema-older: /)

      const first = await serve(t, place)
      assert.match(await end({ wait: true }), /^StoreError lock-held: .*teleclaude api pid/)
      await first.stop()
      await queryRows(
        { engine: 'postgres', url: place.url },
        "INSERT INTO teleclaude_migrations (name, checksum, applied_at) VALUES ('9999_future', 'sha256:x', now())",
      )
      assert.match(await end({ wait: true }), /^StoreError schema-newer: /)
    })

    test('without what asks the kernel who calls it does not start, and says so, waiting or not', async (t) => {
      const place = await makePlace(t)
      const koffi = JSON.stringify({ url: 'file:///nowhere/koffi.js', format: 'commonjs', shortCircuit: true })
      const hook = `import { registerHooks } from 'node:module'
        registerHooks({ resolve: (name, context, next) => (name === 'koffi' ? ${koffi} : next(name, context)) })`
      const { node, telec } = openCheckout()
      const program = join(dirname(telec), '../../../services/api/main.ts')
      const env = {
        PATH: process.env.PATH,
        DATABASE_URL: place.url,
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`,
      }
      for (const words of [[], ['--wait']]) {
        const { status, stderr } = spawnSync(node, [program, ...words], { ...service, cwd: '/', env, encoding: 'utf8' })
        assert.equal(status, 69, stderr)
        assert.match(
          stderr,
          /^teleclaude api: cannot identify peers: koffi does not load: .*; install the dependencies again .*\n$/,
        )
      }
    })

    test('an admin named by the deployment is one', async (t) => {
      const place = await makePlace(t)
      writeFileSync(join(place.directory, '.env'), `TELECLAUDE_ADMIN_UID=${stranger}\n`)
      await serve(t, place)
      const { body } = await ask(place.socket, stranger, 'GET', '/v1/whoami')
      assert.partialDeepStrictEqual(body, { person: `uid-${stranger}`, role: 'admin' })
    })

    test('while the database is away every route that needs it says so, and goes on when it is back', async (t) => {
      const place = await makePlace(t)
      await serve(t, place)
      const doorway = new URL(place.url).searchParams.get('host') ?? ''
      // Nobody but root gets in any more, and who is in has to leave.
      chmodSync(doorway, 0o700)
      await queryRows(
        { engine: 'postgres', url: place.url },
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
      )
      for (const path of ['/readyz', '/v1/sessions', '/v1/safeguards']) {
        const answer = await ask(place.socket, alice, 'GET', path)
        assert.equal(answer.status, 503, path)
        assert.equal(answer.headers['retry-after'], '1')
      }
      assert.equal((await ask(place.socket, alice, 'GET', '/v1/whoami')).status, 200)
      chmodSync(doorway, 0o711)
      let status = 503
      while (status !== 200) status = (await ask(place.socket, alice, 'GET', '/readyz')).status
      assert.equal((await ask(place.socket, alice, 'GET', '/v1/sessions')).status, 200)
    })
  })
}
