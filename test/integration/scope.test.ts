// Sessions on a machine with a real systemd, where a logout ends what a user has left running: in scopes of their own they stay,
// for who lingers; where there is none, they start all the same, and what becomes of them is recorded.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionView } from '@teleclaude/core/api.ts'
import { GenericContainer, getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers'
import type { Finding } from '../../packages/telec/doctor/finding.ts'
import { started } from '../support/appliance.ts'
import { openCheckout } from '../support/open-checkout.ts'

const image = 'teleclaude-test-systemd:bookworm'
/** Of this checkout, from which other users can run telec. */
const checkout = join(openCheckout().telec, '../../../..')
const clock = `sh -c 'while :; do date; sleep 1; done'`

let machine: StartedTestContainer

before(async () => {
  const proxies = Object.entries(process.env).filter(([name]) => /^(https?|no)_proxy$/i.test(name))
  const built = await GenericContainer.fromDockerfile(join(import.meta.dirname, '../images/systemd'))
    .withBuildArgs(Object.fromEntries(proxies.map(([name, value]) => [name, value ?? ''])))
    .build(image, { deleteOnExit: false })
  machine = await built
    .withNetworkMode('none')
    .withBindMounts([{ source: checkout, target: '/opt/teleclaude', mode: 'ro' }])
    .withTmpFs({ '/run': 'mode=755', '/run/lock': 'mode=1777' })
    // For its own mounts and control groups.
    .withAddedCapabilities('SYS_ADMIN')
    .withSecurityOpt('seccomp=unconfined', 'apparmor=unconfined')
    .withAutoRemove(false)
    .withWaitStrategy(started)
    .start()
  await untilBooted()
  await asRoot('loginctl enable-linger alice')
})
after(() => machine?.stop({ remove: true, timeout: 0 }))

/** Its manager does not answer from the first moment. */
async function untilBooted(): Promise<void> {
  for (;;) {
    const { stdout } = await machine.exec(['systemctl', 'is-system-running', '--wait'])
    if (/^(running|degraded)/.test(stdout)) return
    await delay(100)
  }
}

async function asRoot(words: string): Promise<string> {
  const { exitCode, stdout, stderr } = await machine.exec(['sh', '-c', words])
  assert.equal(exitCode, 0, `${words}: ${stdout}${stderr}`)
  return stdout
}

/** Logs in, and out again. */
async function as(user: string, words: string): Promise<string> {
  const { exitCode, stdout, stderr } = await machine.exec(['ssh', `${user}@localhost`, words])
  assert.equal(exitCode, 0, `${words}: ${stdout}${stderr}`)
  return stdout
}

/** In one login together with what follows. */
async function startSession(user: string, program: string, then = 'true'): Promise<{ id: string; said: string }> {
  const [id = '', ...said] = (await as(user, `telec run --detach -- ${program} && ${then}`)).split('\n')
  assert.match(id, /^[-0-9a-f]{36}$/)
  return { id, said: said.join('\n') }
}

async function untilLoggedOut(user: string): Promise<void> {
  while (/\w/.test(await asRoot(`loginctl show-user --property=Sessions --value ${user} || true`))) await delay(50)
}

async function show(user: string, id: string, before = 'true'): Promise<SessionView> {
  const { session }: { session: SessionView } = JSON.parse(await as(user, `${before}; telec show --json ${id}`))
  return session
}

/** In one login, for it ends the daemon and whatever delivers to it. */
function untilOver(user: string, id: string): Promise<SessionView> {
  return show(user, id, `telec wait ${id} >&2`)
}

const scopeOf = (id: string) => `teleclaude-session-${id}.scope`
const groupOf = (id: string) => asRoot(`sed -n 's/^0:://p' /proc/$(pgrep --full '^telec-runner ${id}')/cgroup`)
const runnerLog = (user: string) => asRoot(`cat /home/${user}/.teleclaude/log/runner.log`)

/** As cron or `su` would: logind knows nothing of it. */
function withoutLogin(user: string, words: string): string {
  const become = `setpriv --reuid ${user} --regid ${user} --init-groups env -u XDG_RUNTIME_DIR HOME=/home/${user}`
  return `cd /home/${user} && exec ${become} ${words}`
}

/** Says something else of the machine that a session's runner was on. */
async function relabel(id: string, key: 'bootId' | 'pidNamespace', value: string): Promise<void> {
  await asRoot(`sed -i 's/"${key}":"[^"]*"/"${key}":"${value}"/' /home/alice/.teleclaude/spool/${id}/session.json`)
}

type Doctor = { readonly findings: readonly Finding[] }

async function logoutFinding(user: string): Promise<Finding> {
  const { stdout } = await machine.exec(['ssh', `${user}@localhost`, 'telec doctor --json'])
  const { findings }: Doctor = JSON.parse(stdout)
  return findings.find(({ check }) => check === 'logout') ?? assert.fail(stdout)
}

describe('who lingers', () => {
  test('has sessions in scopes of their own, which outlive every login', async () => {
    const { id, said } = await startSession('alice', clock, 'systemctl --user --no-legend list-units --type=scope')
    assert.ok(said.includes(`${scopeOf(id)} loaded active running TeleClaude session ${id}`), said)
    await untilLoggedOut('alice')
    assert.match(await groupOf(id), new RegExp(`/user@30001\\.service/.*/${scopeOf(id)}\n$`))
    assert.equal((await show('alice', id)).status, 'running')
    await as('alice', `telec stop ${id}`)
    assert.equal((await untilOver('alice', id)).status, 'ended')
    assert.equal(await runnerLog('alice'), '')
  })

  test('hears whether it has started, and how it has ended', async () => {
    const { id } = await startSession('alice', `sh -c 'exit 7'`)
    assert.deepEqual((await untilOver('alice', id)).exit, { kind: 'exited', code: 7 })
    const { exitCode, stderr } = await machine.exec([
      'ssh',
      'alice@localhost',
      'telec run --detach -- /nowhere/program',
    ])
    assert.notEqual(exitCode, 0)
    assert.match(stderr, /\/nowhere\/program/)
  })

  test('can stop a session by its scope: the program hears of it, and its end is recorded at once', async () => {
    // The daemon has gone with the login, so nobody takes what the session has to say.
    const { id } = await startSession('alice', clock)
    await untilLoggedOut('alice')
    await as('alice', `systemctl --user stop ${scopeOf(id)}`)
    const { status, exit } = await untilOver('alice', id)
    assert.deepEqual({ status, kind: exit?.kind }, { status: 'ended', kind: 'signalled' })
    assert.doesNotMatch(await asRoot(`journalctl --no-pager | grep ${scopeOf(id)}`), /timed out|Killing/)
  })

  test('finds a session lost whose scope was killed, with all that it had on the disk', async () => {
    const { id } = await startSession('alice', clock)
    await untilLoggedOut('alice')
    await as('alice', `systemctl --user kill --signal=KILL ${scopeOf(id)}`)
    assert.equal((await untilOver('alice', id)).status, 'lost')
    assert.match(await as('alice', `telec transcript ${id}`), /\d\d:\d\d:\d\d/)
  })

  test('has scopes where no login has told telec of the manager, and the program’s environment is the caller’s', async () => {
    const program = `sh -c 'echo "dir=\${XDG_RUNTIME_DIR-none}"; read line'`
    const id = (await asRoot(withoutLogin('alice', `telec run --detach -- ${program}`))).trim()
    assert.match(await groupOf(id), new RegExp(`/${scopeOf(id)}\n$`))
    await as('alice', `telec stop ${id}`)
    await untilOver('alice', id)
    assert.match(await as('alice', `telec transcript ${id}`), /dir=none/)
  })

  test('starts sessions without a scope while their manager hangs, and the log says why', async () => {
    await asRoot(`pkill -STOP -u alice --full 'systemd --user'`)
    try {
      const { id } = await startSession('alice', clock)
      assert.match(
        await runnerLog('alice'),
        new RegExp(`session ${id} has no scope of its own: systemd-run has failed\n`),
      )
    } finally {
      await asRoot(`pkill -CONT -u alice --full 'systemd --user'`)
    }
  })

  test('starts sessions without a scope where no manager listens, and the log and the doctor say so', async () => {
    // The next login would start it.
    await asRoot('systemctl stop user@30001.service')
    const id = (await asRoot(withoutLogin('alice', `telec run --detach -- ${clock}`))).trim()
    const why = 'the systemd of alice does not listen'
    assert.match(await runnerLog('alice'), new RegExp(`session ${id} has no scope of its own: ${why}\n`))
    const { findings }: Doctor = JSON.parse(await asRoot(withoutLogin('alice', 'telec doctor --json')))
    assert.match(
      findings.find(({ check }) => check === 'logout')?.what ?? '',
      new RegExp(`^ends your sessions: ${why}`),
    )
    await as('alice', `telec stop ${id}`)
    assert.equal((await untilOver('alice', id)).status, 'ended')
  })
})

describe('who does not linger', () => {
  test('has sessions that a logout ends: the log and the doctor say so, and what there was is recorded', async () => {
    const { id, said } = await startSession(
      'bob',
      clock,
      `sed -n 's/^0:://p' /proc/$(pgrep --full '^telec-runner')/cgroup; cat .teleclaude/log/runner.log`,
    )
    assert.match(said, /\/session-\d+\.scope\n/)
    assert.ok(said.includes(`session ${id} has no scope of its own: bob does not linger\n`), said)
    await untilLoggedOut('bob')
    assert.equal((await untilOver('bob', id)).status, 'ended')
    const { state, what } = await logoutFinding('bob')
    assert.deepEqual(
      { state, what },
      { state: 'warn', what: 'ends your sessions: bob does not linger, and logind ends what a logout leaves' },
    )
  })

  test('and now does has nothing to fear any more', async () => {
    await asRoot('loginctl enable-linger bob')
    assert.equal((await logoutFinding('bob')).state, 'ok')
  })
})

describe('after a restart', () => {
  test('in good order, sessions have ended, with all they said', async () => {
    const { id } = await startSession('alice', clock)
    await untilLoggedOut('alice')
    await machine.restart({ timeout: 30_000 })
    await untilBooted()
    assert.equal((await untilOver('alice', id)).status, 'ended')
  })

  test('without any order, they are lost, and what was on the disk is there', async () => {
    const { id } = await startSession('alice', clock)
    await untilLoggedOut('alice')
    const { dockerode } = (await getContainerRuntimeClient()).container
    const container = dockerode.getContainer(machine.getId())
    const stopped: Promise<unknown> = container.wait()
    const killed: Promise<unknown> = container.kill()
    await Promise.all([stopped, killed])
    const restarted: Promise<unknown> = container.start()
    await restarted
    await untilBooted()
    assert.equal((await untilOver('alice', id)).status, 'lost')
    assert.match(await as('alice', `telec transcript ${id}`), /\d\d:\d\d:\d\d/)
  })

  test('in which the PID namespace has another number, they are seen to just as well', async () => {
    const { id } = await startSession('alice', clock)
    await untilLoggedOut('alice')
    await relabel(id, 'pidNamespace', 'pid:[1]')
    assert.equal((await show('alice', id)).status, 'running')
    await as('alice', `systemctl --user kill --signal=KILL ${scopeOf(id)}`)
    await relabel(id, 'pidNamespace', 'pid:[1]')
    assert.equal((await untilOver('alice', id)).status, 'lost')
    assert.match(await as('alice', `telec transcript ${id}`), /what its runner ran in has ended/)
  })

  test('of the whole machine, which has another boot id from then on, the transcript says so', async () => {
    const { id } = await startSession('alice', clock)
    await untilLoggedOut('alice')
    await as('alice', `systemctl --user kill --signal=KILL ${scopeOf(id)}`)
    // The boot id is the kernel's, which is that of the engine's machine.
    await relabel(id, 'bootId', 'before')
    assert.equal((await untilOver('alice', id)).status, 'lost')
    assert.match(await as('alice', `telec transcript ${id}`), /the machine was restarted/)
  })
})
