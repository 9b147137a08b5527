// What the suite takes for granted of the engine, of the base images (or their stand-ins), and of an engine of a run's own.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readPeer } from '@teleclaude/peercred/peer.ts'
import { GenericContainer } from 'testcontainers'
import { containerOutput } from '../support/appliance.ts'
import { runCommand } from '../support/checkout.ts'
import { composeCommands } from '../support/docker-engine.ts'

const node = 'node:26-bookworm-slim'
const postgres = 'postgres:18-bookworm'

function makeDirectory(t: TestContext): string {
  const directory = mkdtempSync('/tmp/teleclaude-engine-')
  chmodSync(directory, 0o755)
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

class ReadOnlyContainer extends GenericContainer {
  constructor(image: string) {
    super(image)
    this.withNetworkMode('none').withDroppedCapabilities('ALL').withSecurityOpt('no-new-privileges')
    Object.assign(this.hostConfig, { ReadonlyRootfs: true })
  }
}

test('a process in a container without a network is who it is on the host, through a socket in a mounted directory', async (t) => {
  const directory = makeDirectory(t)
  const path = join(directory, 'socket')
  const server = createServer().listen(path)
  t.after(() => server.close())
  await once(server, 'listening')
  chmodSync(path, 0o666)
  const connected = once(server, 'connection') as Promise<[Socket]>
  const script = `require('net').connect('/shared/socket').on('data', (said) => { console.log(String(said)); process.exit(7) })`
  const container = new ReadOnlyContainer(node)
    .withUser('12345:23456')
    .withBindMounts([{ source: directory, target: '/shared' }])
  const ran = containerOutput(container, ['node', '-e', script])
  const [socket] = await connected
  const { uid, gid } = readPeer(socket)
  socket.end('heard')
  assert.deepEqual({ uid, gid }, { uid: 12345, gid: 23456 })
  assert.deepEqual(await ran, { code: 7, text: 'heard\n' })
})

test('the image of Node has Node 26 with npm, and knows what is for node', async () => {
  const versions = await containerOutput(new ReadOnlyContainer(node), [
    'sh',
    '-c',
    'node --version; npm --version; id -u node',
  ])
  assert.match(versions.text, /^v26\.\d+\.\d+\n\d+\.\d+\.\d+\n1000\n$/)
  const { text } = await containerOutput(new ReadOnlyContainer(node), ['-p', 'process.env.NODE_VERSION'])
  assert.match(text, /^26\./)
})

test('the image of PostgreSQL runs it read-only, as a user without any capability', async () => {
  const container = new ReadOnlyContainer(postgres)
    .withUser('999:999')
    .withTmpFs({ '/tmp': '', '/var/lib/postgresql': 'uid=999,gid=999,mode=0700' })
  const script = [
    'set -e',
    'initdb --no-instructions -D $PGDATA >/dev/null 2>&1',
    `pg_ctl -D $PGDATA -o "-k /tmp -c listen_addresses=''" -l /tmp/log -w start >/dev/null`,
    'psql -XAtq -h /tmp -d postgres -c "SHOW server_version_num" -c "SHOW server_encoding" -c "SHOW lc_messages"',
    'pg_ctl -D $PGDATA -m fast -w stop >/dev/null',
    'ls -d /usr/share/postgresql/18/postgresql.conf.sample',
  ]
  const { code, text } = await containerOutput(container, ['sh', '-c', script.join('\n')])
  assert.equal(code, 0, text)
  assert.match(text, /^18\d{4}\nUTF8\nen_US\.utf8\n\/usr/)
})

test('there is a Compose to run the appliance with', () => {
  assert.notDeepEqual(composeCommands(), [])
})

// The machine's own engine is not the run's to end.
if (process.env.DOCKER_HOST?.startsWith('unix:///tmp/teleclaude-docker-')) {
  test('an engine of a run ends when the run does, with its containers and all that it made', async (t) => {
    const directory = makeDirectory(t)
    const run = mkdtempSync('/tmp/teleclaude-docker-')
    const script = join(import.meta.dirname, '../support/docker-engine.sh')
    const guardian = spawn('/bin/sh', [script, join(directory, 'data'), run, join(directory, 'log')], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    const exited = once(guardian, 'exit')
    const [said] = (await once(guardian.stdout, 'data')) as [Buffer]
    assert.equal(said.toString('utf8'), 'ready\n')

    const host = `unix://${run}/docker.sock`
    execFileSync('sh', ['-c', `docker save ${node} | docker --host "$1" load`, 'sh', host])
    const docker = (...args: readonly string[]) =>
      execFileSync('docker', ['--host', host, ...args], { encoding: 'utf8' }).trim()
    const container = docker('run', '--detach', '--restart', 'always', '--network', 'none', node, 'sleep', 'infinity')
    const pid = docker('inspect', '--format', '{{.State.Pid}}', container)
    const bridge = docker(
      'network',
      'inspect',
      '--format',
      '{{index .Options "com.docker.network.bridge.name"}}',
      'bridge',
    )
    const traces = async () => {
      const { stdout } = await runCommand('sh', ['-c', 'iptables-save; ip link; find /sys/fs/cgroup; cat /proc/mounts'])
      return stdout.split('\n').filter((line) => line.match(new RegExp(`\\b${bridge}\\b|${run}`)) !== null)
    }
    assert.match(readFileSync(`/proc/${pid}/cmdline`, 'utf8'), /^sleep/)
    assert.notDeepEqual(await traces(), [])

    guardian.stdin.destroy()
    await exited
    assert.equal(existsSync(`/proc/${pid}`), false)
    assert.deepEqual(await traces(), [])
    assert.equal(existsSync(run), false)
  })
}
