import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { preparePeerReader, readPeer } from './peer.ts'
import { PeerError } from './peer-error.ts'

const isRoot = process.getuid?.() === 0
const isLinux = process.platform === 'linux'
const canMake = (...namespaces: string[]) =>
  isRoot && isLinux && spawnSync('unshare', [...namespaces, 'true']).status === 0
const canMakeUserNamespaces = canMake('-U')
const canMakePidNamespaces = canMake('--pid', '--fork')

const ownUid = process.getuid?.() ?? -1
const ownGid = process.getgid?.() ?? -1

type Listening = { readonly server: Server; readonly path: string }

async function listen(t: TestContext): Promise<Listening> {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  chmodSync(directory, 0o755)
  const path = join(directory, 's')
  const server = createServer()
  server.listen({ path, readableAll: true, writableAll: true })
  await once(server, 'listening')
  t.after(() => {
    server.close()
    rmSync(directory, { recursive: true })
  })
  return { server, path }
}

type Identity = { readonly uid: number; readonly gid: number; readonly groups: readonly number[] }

/** A program that becomes somebody else, connects, and stays until its standard input ends. */
const connectAs = (path: string, { uid, gid, groups }: Identity) => `
  process.setgroups(${JSON.stringify(groups)}); process.setgid(${gid}); process.setuid(${uid})
  require('node:net').connect(${JSON.stringify(path)})
  process.stdin.resume().on('end', () => process.exit())`

async function accept(
  t: TestContext,
  { server, path }: Listening,
  identity: Identity,
): Promise<[Socket, ChildProcess]> {
  const child = spawn(process.execPath, ['-e', connectAs(path, identity)], { stdio: ['pipe', 'inherit', 'inherit'] })
  t.after(() => child.kill())
  const [socket]: Socket[] = await once(server, 'connection')
  assert.ok(socket)
  t.after(() => socket.destroy())
  return [socket, child]
}

test('both ends of a connection know each other', async (t) => {
  preparePeerReader()
  const { server, path } = await listen(t)
  const accepted = once(server, 'connection')
  const client = connect(path)
  t.after(() => client.destroy())
  assert.throws(() => readPeer(client), { code: 'not-connected' })
  const [[socket]]: [Socket[], unknown] = await Promise.all([accepted, once(client, 'connect')])
  assert.ok(socket)
  t.after(() => socket.destroy())
  for (const end of [socket, client]) {
    const peer = readPeer(end)
    assert.equal(peer.uid, ownUid)
    assert.equal(peer.gid, ownGid)
    assert.equal(peer.pid, process.pid)
  }
  socket.destroy()
  assert.throws(() => readPeer(socket), { name: 'PeerError', code: 'not-connected' })
})

test('what is not a connected Unix socket has no peer', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const accepted = once(server, 'connection')
  const client = connect(address.port, '127.0.0.1')
  t.after(() => client.destroy())
  const [socket]: Socket[] = await accepted
  assert.ok(socket)
  t.after(() => socket.destroy())
  const codes = isLinux ? ['not-a-unix-socket'] : ['malformed', 'kernel-refused']
  assert.throws(
    () => readPeer(socket),
    (error) => error instanceof PeerError && codes.includes(error.code),
  )
})

test('a peer that died before it was accepted is still known', async (t) => {
  const { server, path } = await listen(t)
  const accepted = once(server, 'connection')
  // Nothing is accepted while this waits for the child to end.
  const script = `require('node:net').connect(${JSON.stringify(path)}).on('connect', () => process.kill(process.pid, 'SIGKILL'))`
  const child = spawnSync(process.execPath, ['-e', script])
  assert.equal(child.signal, 'SIGKILL')
  const [socket]: Socket[] = await accepted
  assert.ok(socket)
  t.after(() => socket.destroy())
  const peer = readPeer(socket)
  assert.equal(peer.uid, ownUid)
  assert.equal(peer.pid, isLinux ? child.pid : 0)
})

if (isRoot) {
  test('another user is known by uid, gid and groups', async (t) => {
    const [socket, child] = await accept(t, await listen(t), { uid: 12_345, gid: 23_456, groups: [34_567, 23_456, 5] })
    const peer = readPeer(socket)
    assert.equal(peer.uid, 12_345)
    assert.equal(peer.gid, 23_456)
    assert.deepEqual(peer.groups.toSorted(), [23_456, 34_567, 5].toSorted())
    assert.equal(peer.pid, child.pid)
  })

  test('a uid beyond 2^31 is no negative number', async (t) => {
    const identity = { uid: 4_000_000_000, gid: 4_000_000_001, groups: [4_000_000_002] }
    const [socket, child] = await accept(t, await listen(t), identity)
    assert.deepEqual(readPeer(socket), { ...identity, pid: child.pid })
  })
}

if (isRoot && isLinux) {
  test('as many groups as fit into the first buffer are read, and one more, and one less', async (t) => {
    const listening = await listen(t)
    for (const count of [1, 63, 64, 65]) {
      const groups = Array.from({ length: count }, (_, index) => 20_000 + index)
      const [socket] = await accept(t, listening, { uid: 12_345, gid: 23_456, groups })
      assert.deepEqual(readPeer(socket).groups, groups)
    }
  })

  test('hundreds of groups are all read, and the next peer has none of them', async (t) => {
    const listening = await listen(t)
    const groups = Array.from({ length: 300 }, (_, index) => 20_000 + index)
    const [many] = await accept(t, listening, { uid: 12_345, gid: 23_456, groups })
    assert.deepEqual(readPeer(many).groups, groups)
    const [none] = await accept(t, listening, { uid: 12_346, gid: 23_456, groups: [] })
    assert.deepEqual(readPeer(none).groups, [])
    assert.deepEqual(readPeer(many).groups, groups)
  })

  test('as many groups as the kernel allows are all read', async (t) => {
    const listening = await listen(t)
    const script = `process.setgroups(Array.from({ length: 65536 }, (_, index) => 100000 + index))
      require('node:net').connect(${JSON.stringify(listening.path)})
      process.stdin.resume().on('end', () => process.exit())`
    const accepted = once(listening.server, 'connection')
    const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'inherit', 'inherit'] })
    t.after(() => child.kill())
    const [socket]: Socket[] = await accepted
    assert.ok(socket)
    t.after(() => socket.destroy())
    const { groups } = readPeer(socket)
    assert.equal(groups.length, 65_536)
    assert.equal(groups.at(-1), 165_535)
  })

  test('the overflow uid is nobody', async (t) => {
    const [socket] = await accept(t, await listen(t), { uid: 65_534, gid: 65_534, groups: [] })
    assert.throws(() => readPeer(socket), { code: 'unmapped-uid' })
  })
}

/** What `readPeer` makes, in namespaces of its own, of a user who connects from outside of them. */
async function readInside(t: TestContext, namespaces: readonly string[]): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  chmodSync(directory, 0o755)
  t.after(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 's')
  const reader = `
    import { createServer } from 'node:net'
    import { readPeer } from ${JSON.stringify(new URL('./peer.ts', import.meta.url).href)}
    const server = createServer((socket) => {
      try { console.log(JSON.stringify(readPeer(socket))) } catch (error) { console.log(error.code) }
      process.exit()
    })
    server.listen({ path: ${JSON.stringify(path)}, readableAll: true, writableAll: true }, () => console.log('listening'))`
  const command = [process.execPath, '--input-type=module', '-e', reader]
  const inside = spawn('unshare', [...namespaces, ...command], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => inside.kill())
  let answer = ''
  let peer: ChildProcess | undefined
  t.after(() => peer?.kill())
  for await (const text of inside.stdout.setEncoding('utf8')) {
    answer += text
    if (answer === 'listening\n') {
      const script = connectAs(path, { uid: 12_345, gid: 23_456, groups: [5] })
      peer = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'inherit', 'inherit'] })
    }
  }
  return answer.replace('listening\n', '').trim()
}

if (canMakePidNamespaces) {
  test('a peer whose process has no number here has the pid 0, and is who it is all the same', async (t) => {
    const peer = await readInside(t, ['--pid', '--fork', '--kill-child'])
    assert.deepEqual(JSON.parse(peer), { uid: 12_345, gid: 23_456, groups: [5], pid: 0 })
  })
}

if (canMakeUserNamespaces) {
  test('a reader whose user namespace does not map the peer refuses it', async (t) => {
    assert.equal(await readInside(t, ['-U', '--map-root-user']), 'unmapped-uid')
  })

  test('a user namespace does not change who its maker is', async (t) => {
    const { server, path } = await listen(t)
    const connecting = `require('node:net').connect(${JSON.stringify(path)}); process.stdin.resume().on('end', () => process.exit())`
    const unshared = ['-U', '--map-root-user', process.execPath, '-e', connecting]
    const script = `process.setgroups([]); process.setgid(23456); process.setuid(12345)
      require('node:child_process').spawn('unshare', ${JSON.stringify(unshared)}, { stdio: 'inherit' })`
    const accepted = once(server, 'connection')
    const child = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'inherit', 'inherit'] })
    t.after(() => child.stdin.end())
    const [socket]: Socket[] = await accepted
    assert.ok(socket)
    t.after(() => socket.destroy())
    assert.equal(readPeer(socket).uid, 12_345)
  })
}
