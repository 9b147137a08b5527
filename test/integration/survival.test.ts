// Bad days of the appliance: killed services, restarts under load, reboots, and things in the way of the socket.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { SessionPage, SessionView } from '@teleclaude/core/api.ts'
import { Appliance } from '../support/appliance.ts'
import { serviceNames } from '../support/compose-file.ts'
import { lostBytes, numberedLines } from '../support/numbered-lines.ts'

const lines = 20_000

/** By the title that a runner gives itself. */
function killRunner(id: string): void {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const pid = pids.find((name) => {
    const path = `/proc/${name}/cmdline`
    return existsSync(path) && readFileSync(path, 'utf8').startsWith(`telec-runner ${id}`)
  })
  if (pid === undefined) throw new Error(`the session ${id} has no runner`)
  process.kill(Number(pid), 'SIGKILL')
}

describe('with a session running', () => {
  let own: Appliance
  before(async () => {
    own = await Appliance.start()
  })
  after(() => own[Symbol.asyncDispose]())

  async function newest(): Promise<SessionView | undefined> {
    return (await own.json<SessionPage>('alice', ['ls', '--all'])).sessions[0]
  }

  /** Starts a session, hurts the appliance while its output streams, and holds the transcript against the output. */
  async function recordDuring(hurt: () => Promise<void>): Promise<void> {
    await own.untilReady()
    const script = `${numberedLines({ lines: lines / 2 })}; sleep 1; ${numberedLines({ lines: lines / 2 })}`
    const running = own.telec('alice', ['run', '--', 'sh', '-c', script])
    await own.untilTranscript('alice', 1)
    await hurt()
    const { code, stdout, stderr } = await running
    assert.equal(code, 0, stderr)
    await own.untilReady()
    // What the service missed while it was away, the runner sends it now: the terminal did not wait for that.
    const id = (await newest())?.id ?? ''
    assert.equal((await own.telec('alice', ['wait', id])).code, 0)
    const session = await newest()
    assert.equal(session?.status, 'ended')
    const { stdout: raw } = await own.telec('alice', ['transcript', '--format', 'raw', session?.id ?? ''])
    for (const [what, bytes] of [
      ['transcript', raw],
      ['terminal', stdout],
    ] as const) {
      assert.equal(bytes.length, 80 * lines, what)
      const half = bytes.length / 2
      assert.equal(lostBytes(bytes.subarray(0, half), { lines: lines / 2 }), null, what)
      assert.equal(lostBytes(bytes.subarray(half), { lines: lines / 2 }), null, what)
    }
  }

  for (const name of ['api', 'postgres', 'auditor', 'run-directory'] as const) {
    test(`kill -9 of ${name} loses nothing: it comes back by itself, and the transcript is what the program printed`, async () => {
      const before = (await (await own.container(name)).inspect()).RestartCount
      await recordDuring(async () => {
        await own.killInside(name)
        while ((await (await own.container(name)).inspect()).RestartCount === before) await delay(50)
      })
    })
  }

  test('a restart of the api loses nothing, and the terminals that were connected stay', async () => {
    await recordDuring(async () => {
      await own.stopService('api')
      await own.startAgain('api')
    })
  })

  test('a new container in place of the api loses nothing', async () => {
    await recordDuring(() => own.startService('api'))
  })

  test('the auditor has every entry exactly once after all that', async () => {
    for (;;) {
      const { code, stdout } = await own.exec('auditor', null, 'node', 'services/auditor/main.ts', 'status', '--json')
      if (code === 0 && (JSON.parse(stdout.toString('utf8')) as { lag: number }).lag === 0) break
      await delay(200)
    }
    const { code, stdout, stderr } = await own.exec('auditor', null, 'node', 'services/auditor/main.ts', 'verify')
    assert.equal(code, 0, stdout.toString('utf8') + stderr)
  })

  test("a session whose owner's runner is killed is lost within 10 s, with what was recorded", async () => {
    const running = own.telec('alice', ['run', '--', 'sh', '-c', 'echo before; sleep 600'])
    await own.untilTranscript('alice', 8)
    const session = await newest()
    killRunner(session?.id ?? '')
    const { code } = await running
    assert.equal(code, 69)
    assert.equal((await newest())?.status, 'lost')
  })
})

describe('the shared directory', () => {
  test('after a reboot, when /run is empty and the containers start in any order, all is as before', async () => {
    await using own = await Appliance.start()
    assert.equal((await own.telec('alice', ['run', '--', 'echo', 'kept'])).code, 0)
    for (const order of [serviceNames, serviceNames.toReversed()]) {
      const kept = order.filter((name) => name !== 'migrator')
      for (const name of kept) await own.kill(name)
      rmSync(own.runDir, { recursive: true })
      for (const name of kept) await own.startAgain(name)
      await own.untilReady()
      const { uid, gid, mode } = statSync(own.runDir)
      assert.deepEqual([uid, gid, mode & 0o7777], [0, 60700, 0o1775])
      const inside = statSync(join(own.runDir, 'postgres'))
      assert.deepEqual([inside.uid, inside.gid, inside.mode & 0o7777], [60704, 60700, 0o750])
      assert.equal(statSync(own.socket).mode & 0o777, 0o666)
      const { sessions } = await own.json<SessionPage>('alice', ['ls', '--all'])
      assert.equal(sessions.length, 1)
      await own.untilHealthy('api', 'postgres', 'auditor', 'run-directory')
    }
  })

  test('a stale socket is taken over; a live one of somebody else is not', async () => {
    await using own = Appliance.prepare()
    await own.startUpTo('migrator')
    const script = `require('net').createServer().listen(process.argv[1], () => console.log('listening'))`
    const holder = spawn(process.execPath, ['-e', script, own.socket], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(holder.stdout, 'data')
    chmodSync(own.socket, 0o666)
    await own.startService('api')
    await own.untilLog('api', /a running instance has it/)
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    // In a sticky directory a dead socket can be replaced by its owner.
    chownSync(own.socket, 60701, 60700)
    await own.untilReady()
    assert.deepEqual(readdirSync(own.runDir).sort(), ['api.sock', 'postgres'])
  })

  test("a directory at the socket's path is named, with the mend, and left alone", async () => {
    await using own = Appliance.prepare()
    await own.startUpTo('migrator')
    mkdirSync(own.socket)
    writeFileSync(join(own.socket, 'precious'), '')
    await own.startService('api')
    await own.untilLog('api', /a directory is there; move it out of the way: mv \/run\/teleclaude\/api\.sock /)
    assert.deepEqual(readdirSync(own.socket), ['precious'])
    await own.untilHealth('api', 'unhealthy')
    rmSync(own.socket, { recursive: true })
    await own.untilReady()
  })

  test('that belongs to somebody else is given back', async () => {
    await using own = Appliance.prepare()
    mkdirSync(join(own.runDir, 'postgres'), { recursive: true })
    for (const directory of [own.runDir, join(own.runDir, 'postgres')]) {
      chmodSync(directory, 0o777)
      chownSync(directory, 30002, 30002)
    }
    await own.startUpTo('auditor')
    await own.untilReady()
    assert.equal(statSync(own.runDir).uid, 0)
  })
})

describe('each container', () => {
  let own: Appliance
  before(async () => {
    own = await Appliance.start()
  })
  after(() => own[Symbol.asyncDispose]())

  test('has no network, no capability, no writable root, a user of its own, and limits', async () => {
    for (const name of ['api', 'postgres', 'auditor', 'run-directory'] as const) {
      const { Config, HostConfig } = await (await own.container(name)).inspect()
      assert.equal(HostConfig.NetworkMode, 'none')
      const script = [
        'grep -c : /proc/net/dev',
        'sed -n "s/^CapEff:\\s*//p; s/^NoNewPrivs:\\s*//p" /proc/self/status',
        'touch /usr/local/written 2>/dev/null && echo writable',
        'id -u',
      ]
      const { stdout } = await own.exec(name, null, 'sh', '-c', script.join('; '))
      const [interfaces, capabilities, noNewPrivileges, uid] = stdout.toString('utf8').trim().split('\n')
      assert.equal(interfaces, '1', `${name} has the loopback interface alone`)
      assert.equal(capabilities, name === 'run-directory' ? '0000000000000001' : '0000000000000000', name)
      assert.equal(noNewPrivileges, '1')
      const wanted = { 'run-directory': 0, api: 60701, auditor: 60703, postgres: 60704 }[name]
      assert.equal(uid, String(wanted))
      assert.ok((HostConfig.Memory ?? 0) > 0 && (HostConfig.PidsLimit ?? 0) > 0)
      const labels = Config.Labels
      for (const label of ['title', 'description', 'version', 'revision', 'vendor', 'base.name']) {
        assert.ok(labels[`org.opencontainers.image.${label}`], `${name} has no label ${label}`)
      }
    }
  })

  test('is healthy, says so, and is unhealthy where it does not do its work', async () => {
    await own.untilHealthy('api', 'postgres', 'auditor', 'run-directory')
    await own.stopService('postgres')
    await own.untilHealth('api', 'unhealthy')
    await own.untilHealth('auditor', 'unhealthy')
    await own.startAgain('postgres')
    await own.untilHealthy('api', 'postgres', 'auditor')
  })

  test('of the services sees of the shared directory only what it needs', async () => {
    for (const name of ['postgres', 'auditor'] as const) {
      const { stdout } = await own.exec(name, null, 'ls', '/run/teleclaude')
      assert.equal(stdout.toString('utf8').trim(), 'postgres', name)
    }
    // Not even the api, which may write there, can take the database's directory away.
    const moved = await own.exec('api', null, 'mv', '/run/teleclaude/postgres', '/run/teleclaude/other')
    assert.match(moved.stderr + moved.stdout.toString('utf8'), /Operation not permitted/)
  })
})
