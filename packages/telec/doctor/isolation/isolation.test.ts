// `telec doctor --isolation` on a real service of the machine and on a daemon of one user, sound and with something open.

import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import type { CommandList, SessionView } from '@teleclaude/core/api.ts'
import {
  alice,
  ask,
  config,
  makeServicePlace,
  openDoorway,
  type Place,
  reconfigure,
  Service,
  service,
} from '../../../../services/api/test-service.ts'
import { Installation, telecPath } from '../../../../test/support/installation.ts'
import { openCheckout } from '../../../../test/support/open-checkout.ts'
import { startPostgres, type TestPostgres } from '../../../../test/support/postgres-server.ts'
import { queryRows } from '../../../store/test-engines.ts'
import type { Finding } from '../finding.ts'
import { checkIsolation } from './isolation.ts'
import type { Places } from './places.ts'
import { findThrowawayUid, parseSubordinates } from './throwaway-uid.ts'

const isRoot = process.getuid?.() === 0
const canMakeUserNamespaces = isRoot && spawnSync('unshare', ['-U', 'true']).status === 0

test('subordinate ids are read as subuid(5) has them, and nothing else is', () => {
  const text = 'alice:100000:65536\n1001:165536:65536\n\nbob:x:1\ncarol:5\n'
  assert.deepEqual(parseSubordinates(text), [
    { start: 100_000, count: 65_536 },
    { start: 165_536, count: 65_536 },
  ])
})

type Run = { readonly stdout: string; readonly stderr: string; readonly exitCode: number | null }

async function run(command: readonly [string, ...string[]], env: NodeJS.ProcessEnv, uid?: number): Promise<Run> {
  const [program, ...args] = command
  const identity = uid === undefined ? {} : { uid, gid: uid }
  const child = spawn(program, args, { ...identity, env, cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [exitCode]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { stdout, stderr, exitCode }
}

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  chmodSync(directory, 0o755)
  return directory
}

class Findings {
  readonly all: readonly Finding[]
  constructor(all: readonly Finding[]) {
    this.all = all
  }
  /** What the check's findings of that state say, one a line. */
  of(check: string, state: Finding['state']): string {
    const found = this.all.filter((finding) => finding.check === check && finding.state === state)
    assert.ok(found.length > 0, `no ${check} is ${state}: ${JSON.stringify(this.all)}`)
    return found.map(({ what }) => what).join('\n')
  }
  mend(check: string): void {
    const found = this.all.find((finding) => finding.check === check && finding.state === 'fail')
    execFileSync('sh', ['-c', `sudo() { "$@"; }; ${found?.mend ?? 'exit 1'}`])
  }
}

test('whoever is not root is told how to run it', async (t) => {
  const home = makeDirectory(t)
  const { node, telec } = isRoot ? openCheckout() : { node: process.execPath, telec: telecPath }
  const uid = isRoot ? alice : undefined
  const env = { PATH: process.env.PATH, HOME: home, XDG_CACHE_HOME: home }
  if (uid !== undefined) chownSync(home, uid, uid)
  const { stderr, exitCode } = await run([node, telec, 'doctor', '--isolation'], env, uid)
  assert.equal(exitCode, 77)
  assert.match(stderr, /takes root .*\nRun it as root: sudo telec doctor --isolation\n$/)
})

if (isRoot) {
  describe('on the service of the machine', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    type Sound = { readonly place: Place; readonly places: Places; readonly examine: () => Promise<Findings> }

    /** A service, a home, and what else there can be, all of it as it should be. */
    async function makeSound(t: TestContext): Promise<Sound> {
      const place = await makeServicePlace(t, postgres, { migrated: true })
      const run = dirname(place.socket)
      chownSync(run, 0, service.gid)
      chmodSync(run, 0o1775)
      mkdirSync(join(run, 'postgres'), { mode: 0o750 })
      const serving = new Service(place, { wait: false })
      t.after(() => serving.stop())
      await serving.says(/^ready$/)

      const directory = makeDirectory(t)
      const home = join(directory, 'alice')
      mkdirSync(home)
      chownSync(home, alice, alice)
      const places = {
        secrets: [join(directory, 'secrets.yml'), join(directory, 'none')],
        state: [join(directory, 'state')],
        homes: [home, join(directory, 'nobody')],
        engines: [join(directory, 'engine.sock')],
      }
      writeFileSync(join(directory, 'secrets.yml'), '', { mode: 0o600 })
      mkdirSync(join(directory, 'state'), { mode: 0o750 })
      const engine = createServer().listen(join(directory, 'engine.sock'))
      t.after(() => engine.close())
      await once(engine, 'listening')
      chmodSync(join(directory, 'engine.sock'), 0o660)
      const target = { socket: place.socket, pid: serving.child.pid ?? 0 }
      return {
        place,
        places,
        examine: async () => new Findings(await checkIsolation(findThrowawayUid(), target, places)),
      }
    }

    type Running = AsyncDisposable & { readonly id: string }

    /** A session of alice's, whose runner has ended when it is disposed of. */
    async function startSession({ place, places }: Sound): Promise<Running> {
      const { node, telec } = openCheckout()
      const [home = ''] = places.homes
      const env = { PATH: process.env.PATH, HOME: home, SHELL: '/bin/sh' }
      const words = [node, telec, '--socket', place.socket] as const
      const { stdout, stderr } = await run([...words, 'run', '--detach', '--', 'cat'], env, alice)
      const id = stdout.trim()
      assert.match(id, /^[0-9a-f-]{36}$/, stderr)
      return {
        id,
        async [Symbol.asyncDispose]() {
          await run([...words, 'stop', '--force', id], env, alice)
          const spool = join(singleUserLayout(home).spoolDir, id)
          while (existsSync(spool)) await delay(20)
        },
      }
    }

    test('all is refused and closed, by every route there is, and for a session that runs', async (t) => {
      const sound = await makeSound(t)
      await using _session = await startSession(sound)
      const findings = await sound.examine()
      assert.deepEqual(
        findings.all.filter(({ state }) => state !== 'ok'),
        [],
      )
      assert.match(findings.of('caller', 'ok'), /is nobody to the service: no person has os_uid/)
      assert.match(
        findings.of('routes', 'ok'),
        /is refused \d+ of \d+ requests; the other 3 are about health and whoami/,
      )
      assert.match(findings.of('streams', 'ok'), /is refused 4 of 4 WebSockets/)
      assert.match(findings.of('existence', 'ok'), /word for word/)
      assert.match(findings.of('database-login', 'ok'), /is closed to uid/)
      for (const check of ['socket-directory', 'secrets', 'state', 'homes', 'process', 'engine'])
        assert.match(findings.of(check, 'ok'), /^uid \d+ can /, check)
    })

    test('what lies open is found, each with what closes it', async (t) => {
      const sound = await makeSound(t)
      const { place, places, examine } = sound
      await using _session = await startSession(sound)
      const run = dirname(place.socket)
      const [home = ''] = places.homes
      const { spoolDir, root } = singleUserLayout(home)
      const opened = [run, ...places.secrets.slice(0, 1), ...places.state, spoolDir, root, ...places.engines]
      for (const path of opened) chmodSync(path, 0o777)

      const findings = await examine()
      assert.match(
        findings.of('socket-directory', 'fail'),
        /DANGER: .* can put files into .*\n.* can take .*api\.sock away.*\n.* can take .*postgres away/,
      )
      assert.match(findings.of('secrets', 'fail'), /can open .*secrets\.yml/)
      assert.match(findings.of('state', 'fail'), /can open .*state\n.*can put files into/)
      assert.match(
        findings.of('homes', 'fail'),
        /can open .*spool\n.*can put files into .*\n.*can put files into .*spool/,
      )
      assert.match(findings.of('engine', 'fail'), /can use the container engine .* root/)
      // Nothing was changed by finding that out.
      assert.deepEqual(readdirSync(run).sort(), ['api.sock', 'postgres'])
      assert.equal((await ask(place.socket, alice, 'GET', '/readyz')).status, 200)

      for (const check of ['socket-directory', 'secrets', 'state', 'engine']) findings.mend(check)
      const mended = await examine()
      for (const check of ['socket-directory', 'secrets', 'engine']) mended.of(check, 'ok')
    })

    test('in a directory where each may take away only what is theirs, others can still put something', async (t) => {
      const { place, examine } = await makeSound(t)
      chmodSync(dirname(place.socket), 0o1777)
      const findings = await examine()
      assert.match(findings.of('socket-directory', 'fail'), /^DANGER: .* can put files into [^\n]*$/)
    })

    test('a database that asks nobody is found', async (t) => {
      const { place, examine } = await makeSound(t)
      const link = join(dirname(place.socket), 'postgres')
      rmSync(link, { recursive: true })
      symlinkSync(new URL(postgres.url('x')).searchParams.get('host') ?? '', link)
      assert.match((await examine()).of('database-login', 'fail'), /DANGER: .* lets uid \d+ in as teleclaude_/)
    })

    test('a uid that is let in is found at every route, and nothing comes of the asking', async (t) => {
      const sound = await makeSound(t)
      const { place, examine } = sound
      await using session = await startSession(sound)
      const { id } = session
      const person = `  - { name: mallory, role: admin, os_uid: ${findThrowawayUid()} }\n`
      await reconfigure(place, config.replace('people:\n', `people:\n${person}`))
      const findings = await examine()
      assert.match(findings.of('caller', 'fail'), /DANGER: uid \d+, which has no account, is mallory, admin/)
      const lets = findings.of('routes', 'fail')
      for (const request of [
        'GET /v1/sessions',
        'POST /v1/sessions',
        'POST /v1/config/reload',
        `POST /v1/sessions/${id}/commands`,
      ])
        assert.ok(lets.includes(`${request} lets uid`), `${request}: ${lets}`)
      // Past the gate, what is asked of every one of them is refused for its body.
      const posted = lets.split('\n').filter((line) => line.includes(' POST '))
      assert.deepEqual(
        posted.filter((line) => !/ lets uid \d+ in: 422, cannot use the body/.test(line)),
        [],
      )
      assert.match(findings.of('existence', 'fail'), /tells whether there is such a session/)

      const view = (await ask(place.socket, alice, 'GET', `/v1/sessions/${id}`)).body as unknown as SessionView
      assert.equal(view.status, 'running')
      const { commands } = (await ask(place.socket, alice, 'GET', `/v1/sessions/${id}/commands`))
        .body as unknown as CommandList
      assert.deepEqual(commands, [])
      const rows = await queryRows({ engine: 'postgres', url: place.url }, 'SELECT count(*)::int AS n FROM sessions')
      assert.equal(JSON.stringify(rows), '[{"n":1}]')
    })

    test('as a command: for people and as JSON, and with the exit code of whether all is well', async (t) => {
      const { place } = await makeSound(t)
      const env = { PATH: process.env.PATH, HOME: makeDirectory(t) }
      const command = [process.execPath, telecPath, '--socket', place.socket, 'doctor', '--isolation'] as const
      const { stdout } = await run([...command], env)
      assert.match(stdout, /^ok {4}routes +uid \d+ is refused \d+ of \d+ requests; /m)
      chmodSync(dirname(place.socket), 0o777)
      const { stdout: json, exitCode } = await run([...command, '--json'], env)
      const report: { ok: boolean; findings: Finding[] } = JSON.parse(json)
      assert.equal(report.ok, false)
      assert.match(new Findings(report.findings).of('socket-directory', 'fail'), /DANGER/)
      assert.equal(exitCode, 69)
      const gone = await run(
        [process.execPath, telecPath, '--socket', '/nowhere/api.sock', 'doctor', '--isolation'],
        env,
      )
      assert.match(gone.stdout, /^fail {2}socket {2}there is no socket at \/nowhere\/api\.sock$/m)
      assert.equal(gone.exitCode, 69)
    })

    if (canMakeUserNamespaces) {
      test('root of a user namespace is told that it is not root enough', async (t) => {
        const { place } = await makeSound(t)
        const command = [process.execPath, telecPath, '--socket', place.socket, 'doctor', '--isolation'] as const
        const { stdout, exitCode } = await run(['unshare', '-U', '--map-root-user', ...command], {
          PATH: process.env.PATH,
          HOME: makeDirectory(t),
        })
        assert.match(stdout, /^fail {2}throwaway-user +cannot become uid \d+ and try: .*E(PERM|INVAL)/m)
        assert.equal(exitCode, 69)
      })
    }
  })

  describe('on somebody’s own daemon', () => {
    test('another uid does not get to it, and is refused where it does', async () => {
      await using own = await Installation.make('sqlite')
      await own.startDaemon()
      const { runDir, root, socket } = singleUserLayout(own.home)
      const places = { secrets: [], state: [], homes: [own.home], engines: [] }
      const examine = async () => new Findings(await checkIsolation(findThrowawayUid(), { socket, pid: 0 }, places))
      const closed = await examine()
      assert.match(closed.of('routes', 'ok'), /can not even connect to the socket/)
      assert.match(closed.of('homes', 'ok'), /neither look into/)

      for (const path of [own.home, root, runDir]) chmodSync(path, 0o755)
      chmodSync(socket, 0o666)
      const open = await examine()
      assert.match(open.of('caller', 'ok'), /refuses uid \d+ altogether/)
      assert.match(open.of('routes', 'ok'), /is refused (\d+) of \1 requests$/)
      assert.match(open.of('streams', 'ok'), /is refused (\d+) of \1 WebSockets$/)
      assert.match(open.of('homes', 'fail'), /can open .*run$/)
    })
  })
}
