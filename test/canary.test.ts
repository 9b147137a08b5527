// Secrets in every place that can hold one, and then everything that the product says, writes and starts: none of it has one.

import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openStore } from '@teleclaude/store/open.ts'
import { Installation } from './support/installation.ts'
import { startPostgres, type TestPostgres } from './support/postgres-server.ts'

const canary = 'c4nary-5ecret'

let postgres: TestPostgres
let own: Installation
let said = ''
before(async () => {
  postgres = await startPostgres({ own: true })
  own = await Installation.make('sqlite', { TELECLAUDE_SECRET_THIRD: `${canary}-in-the-environment`, NO_COLOR: '1' })
  mkdirSync(join(own.home, '.teleclaude'), { mode: 0o700 })
  configure()
})
after(async () => {
  await own[Symbol.asyncDispose]()
  await postgres.stop()
})

const file = (name: string) => join(own.home, '.teleclaude', name)

async function makeDatabase(): Promise<string> {
  const url = new URL(await postgres.createDatabase())
  url.username ||= 'postgres'
  // The server trusts its socket and never asks for it.
  return url.href.replace(/^(\w+:\/\/[^@/]*)@?/, `$1:${canary}@`)
}

function configure(text = 'database: { url: { secret: db } }\n'): void {
  writeFileSync(file('config.yml'), text, { mode: 0o600 })
}

/** What telec says goes with the rest. */
async function telec(...args: string[]): Promise<number | null> {
  const { code, stdout, stderr } = await own.telec(args)
  said += stdout.toString('utf8') + stderr
  return code
}

function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
}

/** Of all processes that run with this home: their command lines, and the environments of those that a service or runner started. */
function processes(): readonly { readonly command: string; readonly environment: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        return environment.includes(own.home) ? [{ command, environment }] : []
      } catch {
        // It has ended.
        return []
      }
    })
}

test('a secret is in no output, log, record, answer, command line, session or file of ours', async () => {
  const url = await makeDatabase()
  writeFileSync(file('secrets.yml'), `db: "${url}"\nspare: "${canary}-spare"\n`, { mode: 0o600 })
  writeFileSync(file('.env'), `TELECLAUDE_SECRET_OTHER=${canary}-in-env-file\n`, { mode: 0o600 })

  // In use, as everybody uses it.
  assert.equal(await telec('run', '--', 'sh', '-c', 'env; echo recorded'), 0)
  assert.match(said, /^recorded/m)
  assert.equal(await telec('ls', '--json'), 0)
  assert.equal(await telec('doctor'), 0)
  assert.equal(await telec('config', 'check'), 0)
  for (const form of [[], ['--origin'], ['--json'], ['database.url']]) {
    assert.equal(await telec('config', 'show', ...form), 0)
  }
  assert.match(said, /<secret: set, from \S+secrets\.yml:1>/)
  assert.match(said, /spare|is referenced nowhere/)
  said += JSON.stringify(await own.client.readConfig())

  // While something runs.
  const id = (await own.telec(['run', '--detach', '--', 'sh', '-c', 'sleep 300'])).stdout.toString('utf8').trim()
  const running = processes()
  assert.ok(running.some(({ command }) => command.includes('daemon')))
  said += running.map(({ command }) => command).join('\n')
  said += running.flatMap(({ command, environment }) => (command.startsWith('sh\0') ? [environment] : [])).join('\n')
  assert.equal(await telec('stop', '--force', id), 0)

  // Reloaded, right and wrong.
  writeFileSync(file('secrets.yml'), `db: "${await makeDatabase()}"\n`)
  assert.equal(await telec('config', 'reload'), 0)
  assert.match(said, /Waiting for a restart of the service: database\.url/)
  writeFileSync(file('secrets.yml'), `db: "${url}\n  - ${canary}: [&a *a\n`)
  assert.equal(await telec('config', 'reload'), 78)
  assert.equal(await telec('config', 'check'), 78)
  assert.equal(await telec('doctor'), 78)
  configure(`database: { url: "${url}" }\npassword: ${canary}\nnotice: "Bearer ${canary}${canary}"\n`)
  writeFileSync(file('secrets.yml'), `db: "${url}"\n`)
  assert.equal(await telec('config', 'reload'), 78)
  assert.match(said, /database\.url holds a password/)
  assert.equal(await telec('config', 'check'), 78)

  // And with a database that goes, and one that was never there.
  configure()
  const store = await openStore({ engine: 'postgres', url })
  const entries = await store.audit.read(own.env.TELECLAUDE_HOST ?? '', { afterSeq: 0, limit: 1000 })
  await store.close()
  assert.ok(entries.length > 3)
  said += entries.map(({ bytes }) => Buffer.from(bytes).toString('utf8')).join('\n')
  const { pid } = postgres
  assert.ok(pid !== null)
  process.kill(pid, 'SIGKILL')
  while ((await telec('ls')) === 0) await delay(50)
  await telec('doctor')
  await telec('daemon', '--stop')
  assert.notEqual(await telec('ls'), 0)
  assert.notEqual(await telec('daemon', '--ensure'), 0)
  await telec('doctor')

  assert.ok(!said.includes(canary), said.slice(Math.max(0, said.indexOf(canary) - 500), said.indexOf(canary) + 200))
  const written = filesBelow(own.home).filter(
    (path) => !['config.yml', 'secrets.yml', '.env'].some((name) => path === file(name)),
  )
  assert.ok(written.some((path) => path.endsWith('daemon.log')))
  for (const path of written) assert.ok(!readFileSync(path).includes(canary), path)
})
