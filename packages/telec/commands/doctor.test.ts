import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { readVersion } from '@teleclaude/api/version.ts'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import type { Readiness } from '@teleclaude/core/api.ts'
import type { Finding } from '../doctor/finding.ts'

const isRoot = process.getuid?.() === 0

type Report = { readonly exitCode: number | null; readonly stdout: string }
type Environment = Readonly<Record<string, string>>

/** Runs the doctor in a process of its own, as `uid` where one is given: then what it loads is loaded before. */
async function runDoctor(home: string, options: object, env: Environment = {}, uid?: number): Promise<Report> {
  const become = `
    const { preparePeerReader } = await import('@teleclaude/peercred/peer.ts')
    preparePeerReader()
    await import('@lydell/node-pty')
    process.setgroups([]); process.setgid(${uid}); process.setuid(${uid})`
  const script = `
    const { doctor } = await import(${JSON.stringify(new URL('./doctor.ts', import.meta.url).href)})
    ${uid === undefined ? '' : become}
    process.exitCode = await doctor(${JSON.stringify(options)})`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: import.meta.dirname,
    env: { PATH: process.env.PATH, HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [stdout, [exitCode]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  return { exitCode, stdout }
}

async function examine(home: string, socket?: string, env?: Environment, uid?: number) {
  const { exitCode, stdout } = await runDoctor(home, { json: true, socket }, env, uid)
  const report: { ok: boolean; findings: Finding[] } = JSON.parse(stdout)
  assert.equal(report.ok, exitCode === 0)
  const find = (check: string, state: Finding['state']): Finding => {
    const found = report.findings.find((finding) => finding.check === check && finding.state === state)
    assert.ok(found, `no ${check} is ${state}: ${stdout}`)
    return found
  }
  return { exitCode, stdout, findings: report.findings, find }
}

function makeHome(t: TestContext): { readonly home: string; readonly layout: ReturnType<typeof singleUserLayout> } {
  const home = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(home, { recursive: true, force: true }))
  return { home, layout: singleUserLayout(home) }
}

function mend(finding: Finding): void {
  execFileSync('sh', ['-c', finding.mend ?? 'exit 1'])
}

/** A service that gives this answer to whatever is asked. */
async function answerWith(t: TestContext, path: string, status: number, answer: unknown): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const server = createHttpServer((request, response) => {
    if (request.url === '/readyz')
      response.writeHead(status).end(typeof answer === 'string' ? answer : JSON.stringify(answer))
    else response.writeHead(404).end('{}')
  })
  server.listen(path)
  await once(server, 'listening')
  t.after(() => server.close())
}

const ready: Readiness = { status: 'ready', version: readVersion(), database: { status: 'ok' } }

test('before the first start nothing is wrong, and nothing is made', async (t) => {
  const { home, layout } = makeHome(t)
  const { exitCode, find } = await examine(home)
  assert.equal(exitCode, 0)
  assert.equal(find('socket', 'warn').mend, 'telec daemon --ensure')
  assert.match(find('path', 'warn').mend ?? '', /\.local\/bin/)
  for (const check of ['node', 'platform', 'peer-identity', 'terminal', 'disk', 'settings']) find(check, 'ok')
  assert.throws(() => execFileSync('ls', [layout.root], { stdio: 'pipe' }))
  const { find: again } = await examine(home, undefined, { PATH: `${home}/.local/bin/:${process.env.PATH}` })
  again('path', 'ok')
})

test('a running service is identified and asked', async (t) => {
  const { home, layout } = makeHome(t)
  await answerWith(t, layout.socket, 200, ready)
  const { exitCode, find } = await examine(home)
  assert.equal(exitCode, 0)
  assert.match(find('socket', 'ok').what, /single-user/)
  assert.match(find('daemon', 'ok').what, new RegExp(`uid ${process.getuid?.()}.* process ${process.pid}$`))
  assert.match(find('service', 'ok').what, new RegExp(readVersion()))
  find('database', 'ok')
})

test('a service of another version is a warning, one without its database a failure', async (t) => {
  const { home, layout } = makeHome(t)
  const answer: Readiness = {
    status: 'unavailable',
    version: '9.9.9',
    database: { status: 'unavailable', reason: 'gone away' },
  }
  await answerWith(t, layout.socket, 503, answer)
  const { exitCode, find } = await examine(home)
  assert.equal(exitCode, 69)
  assert.match(find('service', 'warn').what, /9\.9\.9/)
  assert.match(find('database', 'fail').what, /gone away/)
  assert.equal(find('database', 'fail').mend, `tail -n 20 ${layout.logFile}`)
})

test('what does not answer as TeleClaude does is a failure', async (t) => {
  for (const [status, answer, says] of [
    [200, 'hello', /does not answer as TeleClaude/],
    [200, { status: 'fine' }, /no TeleClaude/],
    [403, { detail: 'cannot serve you' }, /cannot serve you/],
  ] as const) {
    const { home, layout } = makeHome(t)
    await answerWith(t, layout.socket, status, answer)
    const { exitCode, find } = await examine(home)
    assert.equal(exitCode, 69)
    assert.match(find('service', 'fail').what, says)
  }
})

test('directories that others can write into fail, those that they can read are a warning; the mends mend', async (t) => {
  const { home, layout } = makeHome(t)
  for (const path of [layout.root, layout.runDir, layout.spoolDir]) mkdirSync(path, { mode: 0o700 })
  chmodSync(layout.runDir, 0o777)
  chmodSync(layout.spoolDir, 0o755)
  const { exitCode, find } = await examine(home)
  assert.equal(exitCode, 69)
  assert.match(find('directory', 'fail').what, /run: others can write into it/)
  assert.match(find('directory', 'warn').what, /spool is open to others \(mode 0755\)/)
  mend(find('directory', 'fail'))
  mend(find('directory', 'warn'))
  const after = await examine(home)
  assert.equal(after.exitCode, 0)
  assert.ok(after.findings.every((finding) => finding.check !== 'directory' || finding.state === 'ok'))
})

test('a linked state directory fails', async (t) => {
  const { home, layout } = makeHome(t)
  mkdirSync(join(home, 'elsewhere'))
  symlinkSync(join(home, 'elsewhere'), layout.root)
  const { find } = await examine(home)
  assert.equal(find('directory', 'fail').mend, `rm ${layout.root}`)
})

test('a database that is none fails, one that others can read is a warning; the mends mend', async (t) => {
  const { home, layout } = makeHome(t)
  mkdirSync(layout.root, { mode: 0o700 })
  writeFileSync(layout.database, 'SQLite format 4\0 and more', { mode: 0o644 })
  const { exitCode, find } = await examine(home)
  assert.equal(exitCode, 69)
  assert.match(find('database-file', 'fail').what, /is not an SQLite database/)
  mend(find('files', 'warn'))
  mend(find('database-file', 'fail'))
  assert.equal((await examine(home)).exitCode, 0)
})

test('wrong settings are named with exit code 78, and no secret is shown', async (t) => {
  const { home } = makeHome(t)
  const wrong = await examine(home, undefined, { DATABASE_URL: 'mysql://a:hunter2@b/c', TELECLAUDE_LOG_LEVEL: 'loud' })
  assert.equal(wrong.exitCode, 78)
  assert.equal(wrong.findings.filter((finding) => finding.check === 'settings' && finding.state === 'fail').length, 2)
  assert.ok(!wrong.stdout.includes('hunter2'))
  const right = await examine(home, undefined, { DATABASE_URL: 'postgresql://a:hunter2@b/c' })
  assert.match(right.find('database-file', 'ok').what, /postgresql:\/\/a:\*\*\*@b\/c/)
})

test('each thing that can be wrong with a socket has its own words', async (t) => {
  const { home, layout } = makeHome(t)
  const missing = await examine(home, join(home, 'missing.sock'))
  assert.equal(missing.exitCode, 69)
  assert.match(missing.find('socket', 'fail').what, /there is no socket at/)

  writeFileSync(join(home, 'file'), '')
  const file = await examine(home, join(home, 'file'))
  assert.match(file.find('socket', 'fail').what, /is not a socket/)
  assert.equal(file.find('socket', 'fail').mend, `mv ${home}/file ${home}/file.old`)

  const long = await examine(home, `/${'x'.repeat(120)}`)
  assert.match(long.find('socket', 'fail').what, /121 bytes are too many .* holds 10[37]/)

  mkdirSync(layout.runDir, { recursive: true, mode: 0o700 })
  const server = createServer().listen(join(home, 's'))
  await once(server, 'listening')
  linkSync(join(home, 's'), layout.socket)
  server.close()
  const stale = await examine(home)
  assert.equal(stale.exitCode, 0)
  assert.match(stale.find('socket', 'warn').what, /is left over, nobody listens/)
})

test('for people: aligned, without colours where there is no terminal, with what to do below', async (t) => {
  const { home } = makeHome(t)
  const { stdout } = await runDoctor(home, { json: false }, { TELECLAUDE_LOG_LEVEL: 'loud' })
  const lines = stdout.trimEnd().split('\n')
  assert.ok(!stdout.includes('\x1b'))
  assert.match(lines[0] ?? '', /^ok {4}node {11}Node /)
  assert.match(stdout, /^fail {2}settings {7}TELECLAUDE_LOG_LEVEL is no log level\n {21}mend: set it to one of /m)
  assert.match(lines.at(-1) ?? '', /^\d+ ok, \d+ to look at, 1 failed$/)
})

if (isRoot) {
  test('somebody else’s process on one’s own socket is an alarm, and nothing is said to it', async (t) => {
    const { home, layout } = makeHome(t)
    mkdirSync(layout.runDir, { recursive: true, mode: 0o700 })
    for (const path of [home, layout.root, layout.runDir]) chmodSync(path, 0o711)
    chownSync(layout.runDir, 12_345, 12_345)
    const script = `
      process.setgid(12345); process.setuid(12345)
      let heard = 0
      const server = require('node:net').createServer((socket) => {
        socket.on('data', (bytes) => { heard += bytes.length }).on('close', () => { console.log('heard ' + heard); process.exit() })
      })
      server.listen(${JSON.stringify(layout.socket)}, () => console.log('listening'))`
    const impostor = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.after(() => impostor.kill())
    await once(impostor.stdout, 'data')
    const heard = text(impostor.stdout)
    const { exitCode, find, findings } = await examine(home)
    assert.equal(exitCode, 69)
    assert.match(
      find('daemon', 'fail').what,
      new RegExp(`DANGER: uid 12345, which has no account here, process ${impostor.pid} `),
    )
    assert.ok(findings.every((finding) => finding.check !== 'service'))
    assert.equal(await heard, 'heard 0\n')
  })

  test('in somebody else’s home, each thing that is closed is a finding', async (t) => {
    const { home, layout } = makeHome(t)
    for (const path of [layout.root, layout.runDir]) mkdirSync(path, { mode: 0o700 })
    writeFileSync(layout.database, '', { mode: 0o600 })
    chmodSync(home, 0o755)
    const { exitCode, find } = await examine(home, undefined, {}, 12_345)
    assert.equal(exitCode, 69)
    assert.match(find('directory', 'fail').what, /it belongs to uid 0 and you are uid 12345/)
    assert.match(find('socket', 'fail').what, /you may not use the socket/)
  })

  test('a socket that one may not use says so', async (t) => {
    const { home, layout } = makeHome(t)
    await answerWith(t, layout.socket, 200, ready)
    for (const path of [home, layout.root, layout.runDir]) chmodSync(path, 0o755)
    chmodSync(layout.socket, 0o600)
    const { exitCode, find } = await examine(home, layout.socket, {}, 12_345)
    assert.equal(exitCode, 69)
    assert.match(find('socket', 'fail').what, /you may not use the socket/)
    assert.match(find('directory', 'fail').what, /it belongs to uid 0 and you are uid 12345/)
  })
}
