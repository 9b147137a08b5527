// Who callers are to the appliance in the places that they call from: by every way in which somebody of the host becomes somebody
// else, and from containers with user namespaces. docs/environments.md has the table. The host is a container here, too, without
// a user namespace of its own, so that uids in it are the machine's.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Whoami } from '@teleclaude/core/api.ts'
import { GenericContainer, type StartedTestContainer } from 'testcontainers'
import { Appliance, started } from '../support/appliance.ts'
import { runCommand } from '../support/checkout.ts'
import { canStartEngine, startRemappedEngine } from '../support/docker-engine.ts'
import { openCheckout } from '../support/open-checkout.ts'

const hostImage = 'teleclaude-test-host:bookworm'
const node = 'node:26-bookworm-slim'
const socket = '/run/teleclaude/api.sock'
const interns = 31_000
const config = `people:
  - { name: alice, role: member, os_username: alice }
  - { name: bob, role: newcomer, os_username: bob }
groups:
  - { gid: ${interns}, role: newcomer }
accounts: { role: member, min_uid: 30000 }
`
/** Of this checkout, from which other users can run telec. */
const checkout = join(openCheckout().telec, '../../../..')

let own: Appliance
let host: StartedTestContainer

before(async () => {
  const proxies = Object.entries(process.env).filter(([name]) => /^(https?|no)_proxy$/i.test(name))
  const image = GenericContainer.fromDockerfile(join(import.meta.dirname, '../images/host'))
    .withBuildArgs(Object.fromEntries(proxies.map(([name, value]) => [name, value ?? ''])))
    .build(hostImage, { deleteOnExit: false })
  own = await Appliance.start({ config })
  for (const [name, uid] of Object.entries({ dave: 30_004, erin: 30_005 }))
    appendFileSync(join(own.etc, 'passwd'), `${name}:x:${uid}:${uid}::/home/${name}:/bin/sh\n`)
  host = await (await image)
    .withNetworkMode('none')
    .withBindMounts([
      { source: own.runDir, target: '/run/teleclaude' },
      { source: checkout, target: '/opt/teleclaude', mode: 'ro' },
    ])
    // As on a machine: without them, neither users nor newuidmap may set up user namespaces.
    .withAddedCapabilities('SYS_ADMIN')
    .withSecurityOpt('seccomp=unconfined', 'apparmor=unconfined')
    .withCommand(['sleep', 'infinity'])
    .withWaitStrategy(started)
    .start()
})
after(async () => {
  await host?.stop({ timeout: 0 })
  await own?.[Symbol.asyncDispose]()
})

/** Runs a shell's words on the host, as its root. */
async function onHost(words: string): Promise<string> {
  const { exitCode, stdout, stderr } = await host.exec(['sh', '-c', words])
  assert.equal(exitCode, 0, `${words}: ${stdout}${stderr}`)
  return stdout
}

async function who(words: string): Promise<Whoami> {
  return JSON.parse(await onHost(words)) as Whoami
}

/** `su` sets the groups, as a login does. */
function as(user: string, words: string): string {
  return `su - ${user} -c '${words}'`
}

const telec = 'telec whoami --json'

describe('somebody of the host', () => {
  test('who logs in, by su, is that account, with its groups', async () => {
    assert.partialDeepStrictEqual(await who(as('bob', telec)), {
      uid: 30_002,
      person: 'bob',
      because: 'people: bob has os_username bob',
    })
    assert.partialDeepStrictEqual(await who(as('dave', telec)), {
      person: 'dave',
      role: 'newcomer',
      because: `groups: everybody in group ${interns}`,
    })
  })

  test('who becomes another by sudo is that other, whoever it was before', async () => {
    assert.partialDeepStrictEqual(await who(as('alice', `sudo -u bob ${telec}`)), { uid: 30_002, person: 'bob' })
    assert.partialDeepStrictEqual(await who(`sudo ${telec}`), { uid: 0, person: null, role: 'public' })
  })

  test('who comes by ssh is the account of the login, and so is everybody who uses a socket that it forwards', async () => {
    await onHost('mkdir -p /run/sshd && /usr/sbin/sshd -o ListenAddress=127.0.0.1')
    await onHost(as('alice', 'mkdir -m 700 .ssh; ssh-keygen -q -t ed25519 -N "" -f .ssh/id_ed25519'))
    await onHost(
      'install -d -m 700 -o bob ~bob/.ssh && install -m 600 -o bob ~alice/.ssh/id_ed25519.pub ~bob/.ssh/authorized_keys',
    )
    const ssh = 'ssh -o StrictHostKeyChecking=no -o LogLevel=ERROR'
    assert.partialDeepStrictEqual(await who(as('alice', `${ssh} bob@127.0.0.1 ${telec}`)), {
      uid: 30_002,
      person: 'bob',
    })

    await onHost(as('alice', `${ssh} -o ExitOnForwardFailure=yes -fN -L /tmp/bobs.sock:${socket} bob@127.0.0.1`))
    assert.partialDeepStrictEqual(await who(as('alice', 'telec --socket /tmp/bobs.sock whoami --json')), {
      person: 'bob',
    })
    assert.partialDeepStrictEqual(await who('telec --socket /tmp/bobs.sock whoami --json'), { person: 'bob' })
  })

  test('what cron runs is the owner of the table', async () => {
    await onHost(`cat >/etc/cron.d/test <<'TABLE'
PATH=/usr/local/bin:/usr/bin:/bin
@reboot alice ${telec} >/tmp/cron.new 2>&1; mv /tmp/cron.new /tmp/cron.json
TABLE
cron`)
    const waited = 'until [ -e /tmp/cron.json ]; do sleep 0.1; done; cat /tmp/cron.json'
    assert.partialDeepStrictEqual(await who(waited), { uid: 30_001, person: 'alice' })
  })

  test('what a set-user-ID program does is done by its owner, and a set-group-ID program is in its group', async () => {
    const ask = (program: string) =>
      as('erin', `printf "GET /v1/whoami HTTP/1.0\\r\\n\\r\\n" | ${program} -,ignoreeof UNIX-CONNECT:${socket}`)
    const body = async (program: string) =>
      JSON.parse((await onHost(ask(program))).split('\r\n\r\n')[1] ?? '') as Whoami
    assert.partialDeepStrictEqual(await body('socat'), { uid: 30_005, gid: 30_005, person: 'erin', role: 'member' })
    assert.partialDeepStrictEqual(await body('socat-as-bob'), { uid: 30_002, gid: 30_005, person: 'bob' })
    const { uid, gid, person, role } = await body('socat-as-interns')
    assert.deepEqual({ uid, gid, person, role }, { uid: 30_005, gid: interns, person: 'erin', role: 'newcomer' })
  })

  /** As rootless engines do: oneself as its root, and the ranges of subuid(5) and subgid(5) by newuidmap and newgidmap. */
  const unshare = (user: string, words: string) =>
    as(
      user,
      `range() { grep "^${user}:" "/etc/$1" | cut -d: -f2; }; unshare --user --map-root-user ` +
        `--map-users="$(range subuid),1,65536" --map-groups="$(range subgid),1,65536" --setuid 0 --setgid 0 ${words}`,
    )

  test('is the same in a user namespace as its root, and nobody as one of the subordinate users', async () => {
    assert.partialDeepStrictEqual(await who(unshare('alice', `telec --socket ${socket} whoami --json`)), {
      uid: 30_001,
      person: 'alice',
    })
    const drop = 'setpriv --reuid 5 --regid 5 --clear-groups'
    const { uid, osUser, person, role } = await who(unshare('alice', `${drop} telec --socket ${socket} whoami --json`))
    assert.ok(uid > 100_000)
    assert.deepEqual({ osUser, person, role }, { osUser: null, person: null, role: 'public' })
  })

  test('leaves groups behind in such a namespace: a group can give somebody a role, and can not keep another from them', async () => {
    const words = `setpriv --clear-groups telec --socket ${socket} whoami --json`
    const { uid, groups, person, role, because } = await who(unshare('dave', words))
    assert.deepEqual({ uid, groups, person, role }, { uid: 30_004, groups: [], person: 'dave', role: 'member' })
    assert.match(because, /^accounts: /)
  })
})

describe('a user whom nobody knows', () => {
  const failures = (json: string) => {
    const { findings } = JSON.parse(json) as { findings: { check: string; state: string; what: string }[] }
    const isAbout = (check: string) =>
      ['routes', 'streams', 'caller', 'socket-directory', 'database-login'].includes(check)
    assert.equal(new Set(findings.map(({ check }) => check).filter(isAbout)).size, 5, json)
    return findings.filter(({ check, state }) => isAbout(check) && state !== 'ok')
  }

  test('can do nothing, as telec doctor --isolation shows to root, of the host and in a container of its', async () => {
    const { stdout } = await own.telec('root', ['doctor', '--isolation', '--json'])
    assert.deepEqual(failures(stdout.toString('utf8')), [])
    const { stdout: inside } = await host.exec(['telec', 'doctor', '--isolation', '--json'])
    assert.deepEqual(failures(inside), [])
    const refused = await own.telec('alice', ['doctor', '--isolation'])
    assert.equal(refused.code, 77, refused.stderr)
  })
})

// Where the engine is elsewhere, or there are only its clients, none can be started beside it.
if (canStartEngine()) {
  describe('containers with a user namespace of their own (userns-remap)', () => {
    let engine: Awaited<ReturnType<typeof startRemappedEngine>>
    const firstId = 3_000_000

    before(async () => {
      engine = await startRemappedEngine(firstId, () => undefined)
      const copied = spawnSync('sh', ['-c', 'docker save "$1" | docker --host "$2" load', 'sh', node, engine.host])
      assert.equal(copied.status, 0, copied.stderr.toString('utf8'))
    })
    after(() => engine?.[Symbol.asyncDispose]())

    const run = (user: string, options: readonly string[], command: readonly string[]) =>
      runCommand('docker', [
        '--host',
        engine.host,
        'run',
        '--rm',
        '--network',
        'none',
        '--user',
        user,
        ...options,
        node,
        ...command,
      ])

    test('have the uids that they are mapped to, which are nobody’s: neither root in there nor a number of the host’s counts', async () => {
      const script = `require('http').get({ socketPath: '${socket}', path: '/v1/whoami' }, (r) => r.pipe(process.stdout))`
      for (const uid of [0, 30_001]) {
        const { stdout, stderr } = await run(
          `${uid}`,
          ['--volume', `${own.runDir}:/run/teleclaude`],
          ['node', '-e', script],
        )
        assert.notEqual(stdout, '', stderr)
        const { uid: seen, person, role } = JSON.parse(stdout) as Whoami
        assert.deepEqual({ seen, person, role }, { seen: firstId + uid, person: null, role: 'public' })
      }
    })

    test('are no place for the service: it does not start, and says why', async () => {
      const options = ['--volume', `${checkout}:/usr/local/lib/teleclaude:ro`]
      const command = ['node', '/usr/local/lib/teleclaude/services/api/main.ts', '--wait']
      const { code, stderr } = await run('60701:60700', options, command)
      assert.equal(code, 78, stderr)
      assert.match(stderr, /cannot start: this process is in a user namespace.*without userns-remap/)
    })
  })
}
