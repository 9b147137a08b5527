// What a person is told when something around the service is not as it should be: the reason, the mend, the exit code.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import { Installation, telecPath } from './support/installation.ts'
import { startPostgres } from './support/postgres-server.ts'

/** EX_UNAVAILABLE, EX_NOPERM and EX_CONFIG of sysexits.h. */
const unavailable = 69
const notPermitted = 77
const config = 78
/** Somebody without an account, and the uid that stands for all whose uid has no number in a user namespace (user_namespaces(7)). */
const stranger = 54_321
const overflow = 65_534

test('a missing socket, one that nobody listens on, and one without permission are three different messages', async () => {
  await using own = await Installation.make('sqlite')
  const missing = await own.telec(['--socket', join(own.home, 'none.sock'), 'ls'])
  assert.equal(missing.code, unavailable)
  assert.match(missing.stderr, /there is no socket at .*none\.sock/)

  const dead = join(own.home, 'dead.sock')
  await leaveDeadSocket(dead)
  const refused = await own.telec(['--socket', dead, 'ls'])
  assert.equal(refused.code, unavailable)
  assert.match(refused.stderr, /nothing listens at .*dead\.sock/)

  assert.equal(process.getuid?.(), 0, 'this test drops from root to another user')
  await own.startDaemon()
  const socket = singleUserLayout(own.home).socket
  for (const directory of [own.home, join(own.home, '.teleclaude'), join(own.home, '.teleclaude', 'run')])
    chmodSync(directory, 0o711)
  const other = await asUser(stranger, own, ['--socket', socket, 'ls'])
  assert.equal(other.code, notPermitted)
  assert.match(other.stderr, /you may not use the socket/)

  chmodSync(socket, 0o666)
  const strangers = await asUser(stranger, own, ['--socket', socket, 'whoami'])
  assert.equal(strangers.code, notPermitted, strangers.stderr)
  assert.match(strangers.stderr, new RegExp(`single-user mode and serves .* alone; you are uid ${stranger}`))
  const nobody = await asUser(overflow, own, ['--socket', socket, 'whoami'])
  assert.equal(nobody.code, notPermitted, nobody.stderr)
  assert.match(nobody.stderr, /uid 65534 stands for everybody whose uid has no number here/)
  chmodSync(join(own.home, '.teleclaude'), 0o700)
})

test('a socket path beyond what the system takes is refused by name and length', async () => {
  const long = join(tmpdir(), 'x'.repeat(60), 'y'.repeat(60))
  mkdirSync(long, { recursive: true })
  try {
    await using own = await Installation.make('sqlite', { HOME: long })
    const ran = await own.telec(['daemon'])
    assert.equal(ran.code, unavailable)
    assert.match(ran.stderr, /bytes are too many for a socket's path/)
    assert.equal((await own.telec(['ls'])).code, unavailable)
  } finally {
    rmSync(join(tmpdir(), 'x'.repeat(60)), { recursive: true })
  }
})

test('a home that can not be written to, and a state directory that others can write to, are named with the mend', async () => {
  await using own = await Installation.make('sqlite')
  const root = join(own.home, '.teleclaude')
  mkdirSync(root)
  chmodSync(root, 0o777)
  const open = await own.telec(['whoami'])
  assert.equal(open.code, unavailable)
  assert.match(open.stderr, /chmod .*\.teleclaude/)
  rmSync(root, { recursive: true })

  chmodSync(own.home, 0o555)
  const readOnly = await asUser(stranger, own, ['whoami'])
  assert.equal(readOnly.code, unavailable)
  assert.match(readOnly.stderr, /cannot .*\.teleclaude/)
  chmodSync(own.home, 0o700)
})

test('a database that is none, or that a newer version made, stops the start and is left as it is', async () => {
  await using own = await Installation.make('sqlite')
  const { database, root } = singleUserLayout(own.home)
  mkdirSync(root, { mode: 0o700 })
  writeFileSync(database, 'this is no database, whatever its name says'.repeat(100))
  const before = readFileSync(database)
  const none = await own.telec(['whoami'])
  assert.equal(none.code, unavailable)
  assert.match(none.stderr, /teleclaude\.db/)
  assert.deepEqual(readFileSync(database), before)
  rmSync(database)

  await own.telec(['whoami'])
  await own.telec(['daemon', '--stop'])
  const db = new DatabaseSync(database)
  db.exec("INSERT INTO teleclaude_migrations (name, checksum, applied_at) VALUES ('9999_future', 'sha256:x', 0)")
  db.close()
  const newer = await own.telec(['whoami'])
  assert.equal(newer.code, unavailable)
  assert.match(newer.stderr, /9999_future|newer/)
  const undo = new DatabaseSync(database)
  undo.exec("DELETE FROM teleclaude_migrations WHERE name = '9999_future'")
  undo.close()
  assert.equal((await own.telec(['whoami'])).code, 0)
})

test('settings that can not be are all named at once, without what they hold', async () => {
  await using own = await Installation.make('sqlite', {
    TELECLAUDE_LOG_LEVEL: 'loud',
    DATABASE_URL: 'mysql://u:canary-secret@h/d',
  })
  const ran = await own.telec(['daemon'])
  assert.equal(ran.code, config)
  assert.match(ran.stderr, /TELECLAUDE_LOG_LEVEL/)
  assert.match(ran.stderr, /DATABASE_URL/)
  assert.doesNotMatch(ran.stderr, /canary/)
})

test('a PostgreSQL that does not answer makes the service not ready, sessions go on, and everything is there afterwards', async () => {
  await using postgres = await startPostgres({ own: true })
  const { pid } = postgres
  assert.ok(pid !== null)
  await using own = await Installation.make('sqlite', { DATABASE_URL: await postgres.createDatabase() })
  await own.startDaemon()
  const script = 'echo before; while [ ! -e go ]; do sleep 0.1; done; seq 1 5000; echo after'
  const id = (await own.telec(['run', '--detach', '--', 'sh', '-c', script])).stdout.toString().trim()
  await own.until(id, (session) => session.transcriptBytes > 0)

  // Frozen, not gone: the worst kind of away.
  const processes = [
    pid,
    ...execFileSync('pgrep', ['-P', String(pid)])
      .toString()
      .trim()
      .split('\n')
      .map(Number),
  ]
  for (const member of processes) process.kill(member, 'SIGSTOP')
  try {
    assert.partialDeepStrictEqual(await own.client.readiness(), { status: 'unavailable' })
    writeFileSync(join(own.home, 'go'), '')
  } finally {
    for (const member of processes) process.kill(member, 'SIGCONT')
  }
  for (;;) {
    if ((await own.client.readiness()).status === 'ready') break
  }
  await own.until(id, (session) => session.status === 'ended')
  const expected = `before\r\n${Array.from({ length: 5000 }, (_, index) => `${index + 1}\r\n`).join('')}after\r\n`
  assert.equal((await own.telec(['transcript', id, '--format', 'raw'])).stdout.toString(), expected)
})

async function leaveDeadSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  await once(spawn(process.execPath, ['-e', script]), 'exit')
}

/** Runs telec as another user of the machine, who shares nothing with the owner but the machine. */
async function asUser(
  uid: number,
  own: Installation,
  args: readonly string[],
): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, [telecPath, ...args], {
    env: { ...own.env, XDG_CACHE_HOME: mkdtempSync(join(tmpdir(), 'tc-')) },
    cwd: '/',
    uid,
    gid: uid,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const parts: Buffer[] = []
  child.stderr.on('data', (part: Buffer) => parts.push(part))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stderr: Buffer.concat(parts).toString('utf8') }
}
