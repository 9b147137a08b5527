// The appliance through Compose itself, from a fresh clone, as its README says: with each Compose that is on this machine.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Client, ConnectionError } from '@teleclaude/client/client.ts'
import { copyTracked, type Ran, runCommand } from '../support/checkout.ts'
import { composeCommands } from '../support/docker-engine.ts'
import { openCheckout } from '../support/open-checkout.ts'
import { TlsPostgres } from '../support/tls-postgres.ts'

type Clone = {
  readonly checkout: string
  readonly runDir: string
  readonly client: Client
  compose(...args: readonly string[]): Promise<Ran>
  run(command: string, ...args: readonly string[]): Promise<Ran>
}

/** A clone whose appliance is taken down again, with its volumes, when the test is over. */
function cloneFor(t: TestContext, command: readonly string[], extraEnv: NodeJS.ProcessEnv = {}): Clone {
  const parent = mkdtempSync('/tmp/tcc-')
  chmodSync(parent, 0o755)
  const checkout = join(parent, 'teleclaude')
  copyTracked(checkout)
  const runDir = join(parent, 'run')
  const env = {
    COMPOSE_PROJECT_NAME: `tcc-${randomBytes(4).toString('hex')}`,
    TELECLAUDE_RUN_DIR: runDir,
    SUDO_UID: '',
    ...extraEnv,
  }
  const run = (program: string, ...args: readonly string[]) => runCommand(program, args, { env, cwd: checkout })
  const compose = (...args: readonly string[]) => {
    const [program = '', ...first] = command
    return run(program, ...first, ...args)
  }
  t.after(async () => {
    await compose('down', '--volumes', '--timeout', '5')
    rmSync(parent, { recursive: true, force: true })
  })
  return { checkout, runDir, client: new Client(join(runDir, 'api.sock')), compose, run }
}

async function untilReady({ client, compose }: Clone, patienceMs = 60_000): Promise<void> {
  for (const startMs = performance.now(); ; await delay(50)) {
    try {
      if ((await client.readiness()).status === 'ready') return
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error
    }
    if (performance.now() - startMs > patienceMs) {
      throw new Error(`the appliance is not ready:\n${(await compose('logs', '--tail', '30')).stdout}`)
    }
  }
}

/** On the address that containers know this machine by. Passes on whatever it is asked for, unopened. */
async function startProxy(onConnect: (address: string) => void): Promise<AsyncDisposable & { readonly url: string }> {
  const format = '{{range .IPAM.Config}}{{.Gateway}}{{end}}'
  const { stdout } = await runCommand('docker', ['network', 'inspect', 'bridge', '--format', format])
  const sockets = new Set<Duplex>()
  const server = createServer().on('connect', ({ url = '' }, client, head) => {
    onConnect(url)
    const { hostname, port } = new URL(`http://${url}`)
    const upstream = connect(Number(port || 80), hostname, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      upstream.write(head)
      upstream.pipe(client).pipe(upstream)
    })
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => sockets.delete(socket))
    }
  })
  server.listen(0, stdout.trim())
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no address')
  return {
    url: `http://${address.address}:${address.port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

for (const command of composeCommands()) {
  describe(command.join(' '), () => {
    test('up -d from a fresh clone, no file edited, ends in a service that answers; down and up keep what was there', async (t) => {
      const clone = cloneFor(t, command)
      const built = await clone.compose('build')
      assert.equal(built.code, 0, built.stdout + built.stderr)
      const startMs = performance.now()
      const up = await clone.compose('up', '-d')
      assert.equal(up.code, 0, up.stdout + up.stderr)
      await untilReady(clone)
      t.diagnostic(`ready after ${((performance.now() - startMs) / 1000).toFixed(1)} s, with the images built`)
      const { mode, role } = await clone.client.whoami()
      assert.deepEqual({ mode, role }, { mode: 'system', role: 'public' })

      for (const [verb, code, says] of [
        ['status', 0, /0001_sessions +applied/],
        ['plan', 0, /nothing/i],
        ['verify', 0, /audit_entries|audit/],
        ['up', 0, /./],
      ] as const) {
        const ran = await clone.compose('run', '--rm', '-T', 'migrator', verb)
        assert.equal(ran.code, code, `${verb}: ${ran.stdout}${ran.stderr}`)
        assert.match(ran.stdout, says, verb)
      }
      assert.equal((await clone.compose('run', '--rm', '-T', 'migrator', 'no-such-command')).code, 64)

      writeFileSync(join(clone.checkout, 'compose/.env'), `TELECLAUDE_ADMIN_UID=${process.getuid?.()}\n`)
      assert.equal((await clone.compose('restart', 'api')).code, 0)
      await untilReady(clone)
      assert.equal((await clone.client.whoami()).role, 'admin')
      const { node, telec } = openCheckout()
      const socket = clone.client.socketPath
      const ran = await clone.run(node, telec, '--socket', socket, 'run', '--', 'echo', 'kept')
      assert.equal(ran.code, 0, ran.stderr)

      const down = await clone.compose('down')
      assert.equal(down.code, 0, down.stderr)
      rmSync(clone.runDir, { recursive: true })
      assert.equal((await clone.compose('up', '-d')).code, 0)
      await untilReady(clone)
      const { sessions } = await clone.client.listSessions({})
      assert.equal(sessions.length, 1)
    })

    test('an external PostgreSQL over TLS: certificates are verified, the appliance has no database of its own', async (t) => {
      await using database = await TlsPostgres.start()
      const clone = cloneFor(t, command)
      const secrets = join(clone.checkout, 'compose/secrets')
      mkdirSync(secrets, { mode: 0o711 })
      const write = (certificate: string) => {
        for (const [service, role, uid] of [
          ['migrator', 'teleclaude_owner', 60702],
          ['api', 'teleclaude_api', 60701],
          ['auditor', 'teleclaude_auditor', 60703],
        ] as const) {
          const file = join(secrets, `${service}-database-url`)
          rmSync(file, { force: true })
          writeFileSync(file, `${database.url(role)}?sslmode=verify-full&sslrootcert=/certificates/${certificate}\n`, {
            mode: 0o400,
          })
          execFileSync('chown', [`${uid}`, file])
        }
      }
      const mount = `{ volumes: ['${database.certificates}:/certificates:ro'] }`
      const own = join(clone.checkout, 'compose/own.yaml')
      writeFileSync(own, `services: { migrator: ${mount}, api: ${mount}, auditor: ${mount} }\n`)
      const files = ['-f', 'compose/compose.yaml', '-f', 'compose/compose.external-db.yaml', '-f', 'compose/own.yaml']

      write('other-ca.crt')
      const refused = await clone.compose(...files, 'run', '--rm', '-T', 'migrator', 'status')
      assert.equal(refused.code, 69, refused.stdout + refused.stderr)
      assert.match(refused.stderr + refused.stdout, /certificate/)
      assert.doesNotMatch(refused.stderr + refused.stdout, new RegExp(database.password))

      write('ca.crt')
      const up = await clone.compose(...files, 'up', '-d')
      assert.equal(up.code, 0, up.stdout + up.stderr)
      await untilReady(clone)
      const { stdout } = await clone.compose(...files, 'ps', '-q', 'postgres')
      assert.equal(stdout.trim(), '')
      const verified = await clone.compose(...files, 'run', '--rm', '-T', 'migrator', 'verify')
      assert.equal(verified.code, 0, verified.stdout + verified.stderr)
      const { stdout: logs } = await clone.compose(...files, 'logs')
      assert.ok(!logs.includes(database.password))
      await clone.compose(...files, 'down', '--volumes', '--timeout', '5')
    })

    test('a proxy of the environment is used to build, and is not kept in the image', async (t) => {
      const asked: string[] = []
      await using proxy = await startProxy((address) => asked.push(address))
      const clone = cloneFor(t, command, { HTTPS_PROXY: proxy.url, TELECLAUDE_VERSION: 'behind-proxy' })
      const image = 'teleclaude-migrator:behind-proxy'
      t.after(() => runCommand('docker', ['rmi', image]))
      const built = await clone.compose('build', '--no-cache', 'migrator')
      assert.equal(built.code, 0, built.stdout + built.stderr)
      assert.ok(asked.length > 0, 'npm asked the proxy')
      for (const question of [
        ['history', '--no-trunc', image],
        ['inspect', image],
      ]) {
        const { stdout, code } = await clone.run('docker', ...question)
        assert.equal(code, 0)
        assert.ok(!stdout.includes(proxy.url))
      }
    })

    test('an auditor with a way out: it alone has a network', async (t) => {
      const clone = cloneFor(t, command)
      const files = ['-f', 'compose/compose.yaml', '-f', 'compose/compose.egress.yaml']
      const up = await clone.compose(...files, 'up', '-d')
      assert.equal(up.code, 0, up.stdout + up.stderr)
      await untilReady(clone)
      for (const service of ['api', 'postgres', 'run-directory', 'auditor']) {
        const { stdout, stderr } = await clone.compose(...files, 'exec', '-T', service, 'cat', '/proc/net/dev')
        assert.equal(/^\s*eth0:/m.test(stdout), service === 'auditor', service + stderr)
      }
    })
  })
}

test('scripts/compose-up in a fresh clone: builds, starts, waits, makes its caller admin, and links telec for everybody', async (t) => {
  const [command] = composeCommands()
  assert.ok(command)
  const clone = cloneFor(t, command)
  const link = '/usr/local/bin/telec'
  const linkWasThere = existsSync(link)
  t.after(() => {
    const isOurs =
      lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync(link).startsWith(clone.checkout)
    if (isOurs) unlinkSync(link)
  })
  const ran = await clone.run('scripts/compose-up')
  assert.equal(ran.code, 0, ran.stdout + ran.stderr)
  assert.match(ran.stderr, /Wrote compose\/\.env: uid 0 is the first admin\./)
  assert.match(ran.stdout, /admin/)
  assert.match(ran.stdout, /telec run -- COMMAND/)
  assert.equal((await clone.client.whoami()).role, 'admin')
  if (!linkWasThere) assert.equal(readlinkSync(link), join(clone.checkout, 'bin/telec'))
  const again = await clone.run('scripts/compose-up')
  assert.equal(again.code, 0, again.stdout + again.stderr)
  assert.doesNotMatch(again.stderr, /Wrote/)
})
