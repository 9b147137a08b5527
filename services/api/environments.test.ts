// Where the kernel's word for who calls is not what one might expect: user namespaces and effective ids, on a real service of the
// machine. docs/environments.md says which environments these are; test/integration/environments.test.ts has those in containers.

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, type TestContext, test } from 'node:test'
import type { Whoami } from '@teleclaude/core/api.ts'
import { openCheckout } from '../../test/support/open-checkout.ts'
import { startPostgres, type TestPostgres } from '../../test/support/postgres-server.ts'
import { alice, bob, config, makeServicePlace, openDoorway, type Place, reconfigure, Service } from './test-service.ts'

const isRoot = process.getuid?.() === 0
const canMakeUserNamespaces = isRoot && spawnSync('unshare', ['-U', 'true']).status === 0

/** A range of ids that a user, or an engine, may use in namespaces (subuid(5)). */
const subordinate = { first: 2_000_000, count: 65_536 } as const
const identityMap = '0 0 4294967295'

type Ran = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
type Command = readonly [string, ...string[]]

async function run([program, ...args]: Command): Promise<Ran> {
  const child = spawn(program, args, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code, stdout, stderr }
}

/** Runs a command in a user namespace of that uid's own, with a map that root writes: as newuidmap(1) does for the ranges of
 *  subuid(5), and engines for themselves. @param map of uids and gids, as in user_namespaces(7) */
async function runMapped(uid: number, map: string, command: Command): Promise<Ran> {
  const wait = 'echo; read -r _ && exec "$@"'
  const args = [...as(uid), 'unshare', '-U', 'sh', '-c', wait, 'sh', ...command].slice(1)
  // setpriv, unshare and sh are one process, one after the other.
  const child = spawn('setpriv', args, { cwd: '/', stdio: 'pipe' })
  const stderr = text(child.stderr)
  const ended = once(child, 'close')
  const [first]: Buffer[] = await once(child.stdout, 'data')
  assert.equal(String(first), '\n')
  for (const kind of ['uid', 'gid']) writeFileSync(`/proc/${child.pid}/${kind}_map`, map)
  child.stdin.end('\n')
  const stdout = await text(child.stdout)
  const [code] = await ended
  return { code, stdout, stderr: await stderr }
}

function as(uid: number): Command {
  return ['setpriv', '--reuid', `${uid}`, '--regid', `${uid}`, '--clear-groups']
}

function askWho({ socket }: Place): Command {
  const script = `require('node:http').get({ socketPath: process.argv[1], path: '/v1/whoami' }, (answer) => answer.pipe(process.stdout))`
  return [openCheckout().node, '-e', script, '--', socket]
}

const parse = ({ stdout, stderr }: Ran): Whoami => {
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout) as Whoami
}

if (isRoot) {
  describe('callers', { timeout: 120_000 }, () => {
    let postgres: TestPostgres
    before(async () => {
      postgres = await startPostgres({ own: true })
      openDoorway(postgres)
    })
    after(() => postgres.stop())

    async function serve(t: TestContext): Promise<Place> {
      const place = await makeServicePlace(t, postgres, { migrated: true })
      const serving = new Service(place, { wait: false })
      t.after(() => serving.stop())
      await serving.says(/^ready$/)
      return place
    }

    test('are whom they act as: the effective ids count, as a set-user-ID program has them, and not the real ones', async (t) => {
      const place = await serve(t)
      const ids = ['--ruid', `${alice}`, '--euid', `${bob}`, '--rgid', `${alice}`, '--egid', '31000', '--clear-groups']
      const { uid, gid, person } = parse(await run(['setpriv', ...ids, ...askWho(place)]))
      assert.deepEqual({ uid, gid, person }, { uid: bob, gid: 31_000, person: 'bob' })
    })

    test('are who made the connection, whoever it is handed to', async (t) => {
      const place = await serve(t)
      const user = `
        const socket = new (require('node:net').Socket)({ fd: 0 })
        socket.pipe(process.stdout)
        socket.write('GET /v1/whoami HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n')`
      const maker = `
        process.seteuid(${alice})
        const socket = require('node:net').connect(process.argv[1], () => {
          process.seteuid(0)
          const options = { uid: ${bob}, gid: ${bob}, stdio: [socket, 'inherit', 'inherit'] }
          require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(user)}], options)
          socket.destroy()
        })`
      const { stdout, stderr } = await run([openCheckout().node, '-e', maker, '--', place.socket])
      assert.match(stdout, /^HTTP\/1\.1 200 /, stderr)
      assert.partialDeepStrictEqual(JSON.parse(stdout.split('\r\n\r\n')[1] ?? ''), { uid: alice, person: 'alice' })
    })

    if (canMakeUserNamespaces) {
      test('in a user namespace of their own are who they are outside: without a name, as its root, and one deeper', async (t) => {
        const place = await serve(t)
        const unshare = ['unshare', '-U'] as const
        const asRoot = [...unshare, '--map-root-user'] as const
        for (const inside of [unshare, asRoot, [...asRoot, ...asRoot]]) {
          const { uid, person } = parse(await run([...as(alice), ...inside, ...askWho(place)]))
          assert.deepEqual({ uid, person }, { uid: alice, person: 'alice' }, inside.join(' '))
        }
      })

      test('can be in any of their subordinate groups, and in none of those that they have outside', async (t) => {
        const place = await serve(t)
        const map = `0 ${alice} 1\n1 ${subordinate.first} ${subordinate.count}`
        const inside = ['setpriv', '--reuid', '0', '--regid', '5', '--clear-groups'] as const
        const { uid, gid, groups, person } = parse(await runMapped(alice, map, [...inside, ...askWho(place)]))
        assert.deepEqual(
          { uid, gid, groups, person },
          { uid: alice, gid: subordinate.first + 4, groups: [], person: 'alice' },
        )
      })

      test('as one of their subordinate uids are nobody, unless a person has that very uid', async (t) => {
        const place = await serve(t)
        const map = `0 ${alice} 1\n1 ${subordinate.first} ${subordinate.count}`
        const ask = async (inner: number) => parse(await runMapped(alice, map, [...as(inner), ...askWho(place)]))
        const outer = subordinate.first + 4
        assert.partialDeepStrictEqual(await ask(5), {
          uid: outer,
          gid: outer,
          person: null,
          role: 'public',
          osUser: null,
        })
        assert.partialDeepStrictEqual(await ask(0), { uid: alice, person: 'alice' })
        await reconfigure(
          place,
          config.replace('people:\n', `people:\n  - { name: agent, role: newcomer, os_uid: ${outer} }\n`),
        )
        assert.partialDeepStrictEqual(await ask(5), { uid: outer, person: 'agent', role: 'newcomer' })
      })
    }
  })

  if (canMakeUserNamespaces) {
    describe('the service', () => {
      const main = [openCheckout().node, join(openCheckout().telec, '../../../../services/api/main.ts')] as const

      test('does not start in a user namespace, of a user or of a range of ids, and says why', async () => {
        const map = `0 ${subordinate.first} ${subordinate.count}`
        const root = ['unshare', '-U', '--map-root-user', ...main] as const
        for (const ran of [await run(root), await run([...as(alice), ...root]), await runMapped(alice, map, main)]) {
          assert.equal(ran.code, 78, ran.stderr)
          assert.match(
            ran.stderr,
            /^teleclaude api: cannot start: this process is in a user namespace.* not rootless, /,
          )
          assert.equal(ran.stdout, '')
        }
      })

      test('goes by what a namespace maps: one in which every uid is itself is as good as none', async () => {
        // The next reason, which is about the uid: it is root's.
        assert.match((await runMapped(0, identityMap, main)).stderr, /cannot start as root/)
      })

      test('can not be told so where it is not: inside of other ids the kernel takes no map that looks like the machine’s own', async () => {
        // By root of the namespace, who may write any map of ids that the namespace has.
        const map = `0 ${alice} 1\n1 ${subordinate.first} ${subordinate.count}`
        const nested = `unshare -U sleep infinity & pid=$!
          until [ "$(readlink /proc/$pid/ns/user)" != "$(readlink /proc/$$/ns/user)" ]; do :; done
          for map in '${identityMap}' '0 1 65536'; do echo "$map" >/proc/$pid/uid_map; echo $?; done; kill $pid`
        const { stdout, stderr } = await runMapped(alice, map, [...as(0), 'bash', '-c', nested])
        assert.equal(stdout, '1\n0\n', stderr)
        assert.match(stderr, /Operation not permitted/)
      })
    })
  }
}
