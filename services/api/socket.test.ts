import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { claimPath, listenOnSocket, SocketError } from './socket.ts'

const isRoot = process.getuid?.() === 0

function socketPath(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return join(directory, 'api.sock')
}

/** A server that says its name to whoever connects and stays: those who only look whether it is alive don't. */
function named(t: TestContext, name: string): Server {
  const server = createServer((socket) => socket.on('error', () => socket.destroy()).end(name))
  t.after(() => server.listening && server.close())
  return server
}

const ask = (path: string): Promise<string> => text(connect(path))
const leftovers = (path: string): string[] => readdirSync(dirname(path)).filter((name) => name !== basename(path))

/** A socket whose process is gone, as kill -9 leaves it. */
async function makeDeadSocket(path: string): Promise<void> {
  const server = createServer().listen(`${path}0`)
  await once(server, 'listening')
  linkSync(`${path}0`, path)
  server.close()
  await once(server, 'close')
  await assert.rejects(ask(path), { code: 'ECONNREFUSED' })
}

async function refusal(listening: Promise<void>): Promise<SocketError> {
  const [result] = await Promise.allSettled([listening])
  assert.ok(result.status === 'rejected' && result.reason instanceof SocketError)
  return result.reason
}

test('a server is reachable at its path, with the mode asked for and nothing left beside it', async (t) => {
  for (const [mode, umask] of [
    [0o600, 0],
    [0o666, 0o077],
    [0o660, 0o022],
  ] as const) {
    const path = socketPath(t)
    const before = process.umask(umask)
    t.after(() => process.umask(before))
    const server = named(t, 'one')
    await listenOnSocket(server, path, { mode })
    assert.equal(process.umask(before), umask)
    assert.equal(statSync(path).mode & 0o777, mode)
    assert.equal(await ask(path), 'one')
    assert.deepEqual(leftovers(path), [])
  }
})

test('closing takes the path away, for HTTP servers as well', async (t) => {
  for (const server of [createServer(), createHttpServer()]) {
    const path = socketPath(t)
    await listenOnSocket(server, path, { mode: 0o600 })
    server.close()
    await once(server, 'close')
    assert.deepEqual(readdirSync(dirname(path)), [])
  }
})

test('closing leaves a path that somebody else has by now', async (t) => {
  const path = socketPath(t)
  const first = named(t, 'first')
  await listenOnSocket(first, path, { mode: 0o600 })
  renameSync(path, `${path}.away`)
  await listenOnSocket(named(t, 'second'), path, { mode: 0o600 })
  first.close()
  await once(first, 'close')
  assert.equal(await ask(path), 'second')
})

test('a live instance keeps its socket', async (t) => {
  const path = socketPath(t)
  await listenOnSocket(named(t, 'first'), path, { mode: 0o600 })
  const second = named(t, 'second')
  const error = await refusal(listenOnSocket(second, path, { mode: 0o600 }))
  assert.equal(error.code, 'in-use')
  assert.ok(error.message.includes(path))
  assert.equal(second.listening, false)
  assert.equal(await ask(path), 'first')
  assert.deepEqual(leftovers(path), [])
})

test('an instance that hangs with a full queue keeps its socket', async (t) => {
  const path = socketPath(t)
  const script = `require('node:net').createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => {
    console.log('listening'); process.kill(process.pid, 'SIGSTOP') })`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  const waiting = [1, 2, 3, 4].map(() => connect(path))
  t.after(() => {
    for (const socket of waiting) socket.destroy()
  })
  await Promise.allSettled(waiting.map((socket) => once(socket, 'connect')))
  assert.equal((await refusal(listenOnSocket(named(t, 'x'), path, { mode: 0o600 }))).code, 'in-use')
  assert.ok(lstatSync(path).isSocket())
})

test('a socket that a killed process left is replaced', async (t) => {
  const path = socketPath(t)
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('listening'))`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.ok(lstatSync(path).isSocket())
  await listenOnSocket(named(t, 'new'), path, { mode: 0o600 })
  assert.equal(await ask(path), 'new')
  assert.deepEqual(leftovers(path), [])
})

test('a claim on a dead socket that a killed process left is no obstacle, a live one is respected', async (t) => {
  const path = socketPath(t)
  await makeDeadSocket(path)
  const claim = claimPath(path, lstatSync(path, { bigint: true }))
  const claimant = createServer().listen(claim)
  await once(claimant, 'listening')
  assert.equal((await refusal(listenOnSocket(named(t, 'x'), path, { mode: 0o600 }))).code, 'in-use')
  claimant.close()
  await once(claimant, 'close')
  await makeDeadSocket(claim)
  await listenOnSocket(named(t, 'new'), path, { mode: 0o600 })
  assert.equal(await ask(path), 'new')
  assert.deepEqual(leftovers(path), [])
})

for (const state of ['nothing', 'a dead socket'] as const) {
  test(`of many servers that start at once over ${state}, exactly one gets the path`, async (t) => {
    for (let round = 0; round < 10; round++) {
      const path = socketPath(t)
      if (state === 'a dead socket') await makeDeadSocket(path)
      const servers = Array.from({ length: 10 }, (_, index) => named(t, `${index}`))
      const results = await Promise.allSettled(servers.map((server) => listenOnSocket(server, path, { mode: 0o600 })))
      const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [`${index}`] : []))
      assert.equal(winners.length, 1)
      assert.equal(await ask(path), winners[0])
      for (const result of results) assert.ok(result.status === 'fulfilled' || result.reason.code === 'in-use')
      assert.deepEqual(leftovers(path), [])
      for (const server of servers) if (server.listening) server.close()
    }
  })

  test(`of many processes that start at once over ${state}, exactly one gets the path`, async (t) => {
    const script = `
      const { createServer } = await import('node:net')
      const { listenOnSocket } = await import(${JSON.stringify(new URL('./socket.ts', import.meta.url).href)})
      process.stdout.write('ready\\n')
      process.stdin.setEncoding('utf8').on('data', async (path) => {
        const server = createServer((socket) => socket.on('error', () => socket.destroy()).end(String(process.pid)))
        await listenOnSocket(server, path, { mode: 0o600 }).then(
          () => process.stdout.write('won\\n'),
          (error) => process.stdout.write(error.code + '\\n'))
      })`
    const starters = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] }),
    )
    t.after(() => {
      for (const child of starters) child.kill('SIGKILL')
    })
    const heard = (child: ChildProcess) => once(child.stdout ?? child, 'data').then(([line]) => String(line).trim())
    await Promise.all(starters.map(heard))
    const path = socketPath(t)
    if (state === 'a dead socket') await makeDeadSocket(path)
    const answers = Promise.all(starters.map(heard))
    for (const child of starters) child.stdin.write(path)
    const outcomes = await answers
    assert.deepEqual(outcomes.toSorted(), ['in-use', 'in-use', 'in-use', 'in-use', 'in-use', 'won'])
    assert.equal(await ask(path), String(starters[outcomes.indexOf('won')]?.pid))
    assert.deepEqual(leftovers(path), [])
  })
}

test('directories, files and symbolic links at the path are named and left alone', async (t) => {
  const makers = {
    'a directory': (path: string) => mkdirSync(path),
    'a file that is no socket': (path: string) => writeFileSync(path, 'precious'),
    'a symbolic link': (path: string) => symlinkSync('/nowhere', path),
  }
  for (const [kind, make] of Object.entries(makers)) {
    const path = socketPath(t)
    make(path)
    const before = lstatSync(path, { bigint: true })
    const error = await refusal(listenOnSocket(named(t, 'x'), path, { mode: 0o600 }))
    assert.equal(error.code, 'not-a-socket')
    assert.match(error.message, new RegExp(`${path}: ${kind} is there; .*: mv `))
    assert.deepEqual(lstatSync(path, { bigint: true }), before)
    assert.deepEqual(leftovers(path), [])
  }
})

test('the longest path works, one byte more says the limit', async (t) => {
  const limit = process.platform === 'darwin' ? 103 : 107
  const directory = dirname(socketPath(t))
  const longest = join(directory, 's'.repeat(limit - Buffer.byteLength(directory) - 1))
  assert.equal(Buffer.byteLength(longest), limit)
  await listenOnSocket(named(t, 'long'), longest, { mode: 0o600 })
  assert.equal(await ask(longest), 'long')
  const error = await refusal(listenOnSocket(named(t, 'x'), `${longest}s`, { mode: 0o600 }))
  assert.equal(error.code, 'path-too-long')
  assert.match(error.message, new RegExp(`${limit + 1} bytes .* holds ${limit} `))
})

test('a missing directory is named with its mend', async (t) => {
  const path = join(dirname(socketPath(t)), 'run', 'api.sock')
  const error = await refusal(listenOnSocket(named(t, 'x'), path, { mode: 0o600 }))
  assert.equal(error.code, 'no-directory')
  assert.ok(error.message.includes(`mkdir -m 700 -p ${dirname(path)}`))
})

if (isRoot) {
  test('a directory without write permission is named', async (t) => {
    const path = socketPath(t)
    chmodSync(dirname(path), 0o755)
    const script = `
      const { createServer } = await import('node:net')
      const { listenOnSocket } = await import(${JSON.stringify(new URL('./socket.ts', import.meta.url).href)})
      process.setuid(12345)
      await listenOnSocket(createServer(), ${JSON.stringify(path)}, { mode: 0o600 }).catch((error) => console.log(error.code, error.message))`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    assert.match(await text(child.stdout), new RegExp(`^not-permitted cannot listen on ${path}: EACCES; .*ls -la`))
  })
}
