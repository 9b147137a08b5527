import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readlink, watch } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { copyCheckout, pathWithOldNode, pathWithOnly, runCommand } from '../../test/support/checkout.ts'

const findNode = 'root=$1; . "$root/scripts/runtime/node.sh"; find_node; printf %s "$node"; "$node" --version'
const find = (checkout: string, PATH: string, more: object = {}) =>
  runCommand('/bin/sh', ['-euc', findNode, 'sh', checkout], { env: { PATH }, ...more })

/** What find_node needs besides Node and npm, and nothing else. */
const onlyTools = (checkout: string) =>
  pathWithOnly(checkout, {
    cmp: '/usr/bin/cmp',
    mkdir: '/bin/mkdir',
    readlink: '/usr/bin/readlink',
    uname: '/bin/uname',
  })

const copyScripts = (t: TestContext) => copyCheckout(t, 'scripts/runtime')

test('brings a Node where there is only an old one, also after a kill on the way and with two runs at once', async (t) => {
  const checkout = await copyScripts(t)
  const PATH = await pathWithOldNode(checkout)
  const runtime = join(checkout, '.runtime')
  await mkdir(runtime)

  const seen = new AbortController()
  const changes = watch(runtime, { recursive: true, signal: seen.signal })
  let kill: (() => void) | undefined
  const killed = find(checkout, PATH, {
    onStderr: (_: string, killNow: () => void) => {
      kill = killNow
    },
  })
  for await (const { filename } of changes) {
    if (filename?.includes('node_modules')) break
  }
  kill?.()
  assert.equal((await killed).code, null)
  assert.deepEqual(
    (await readdir(runtime)).map((name) => name.replace(/\d+/, 'PID')),
    ['staging.PID'],
  )

  const node = join(runtime, 'node')
  for (const ran of await Promise.all([find(checkout, PATH), find(checkout, PATH)])) {
    assert.match(ran.stderr, /Bringing Node by npm into .*\/checkout\/\.runtime/)
    assert.equal(ran.code, 0, ran.stderr)
    assert.equal(ran.stdout, `${node}v26.10.0\n`)
  }
  assert.deepEqual((await readdir(runtime)).sort(), ['node', 'pinned'])
  assert.match(await readlink(node), /^pinned\/node_modules\/node-[a-z0-9-]+\/bin\/node$/)

  const again = await find(checkout, await onlyTools(checkout))
  assert.deepEqual(again, { code: 0, stdout: `${node}v26.10.0\n`, stderr: '' })
})

test('takes a new enough Node on PATH and keeps to it when PATH changes', async (t) => {
  const checkout = await copyScripts(t)
  const first = await find(checkout, [dirname(process.execPath), process.env.PATH].join(':'))
  assert.deepEqual(first, { code: 0, stdout: `${process.execPath}${process.version}\n`, stderr: '' })

  const later = await find(checkout, await onlyTools(checkout))
  assert.deepEqual(later, { code: 0, stdout: `${checkout}/.runtime/node${process.version}\n`, stderr: '' })
  assert.deepEqual(await readdir(join(checkout, '.runtime')), ['node'])
})

test('says what to install where there is neither Node nor npm', async (t) => {
  const checkout = await copyScripts(t)
  const { code, stdout, stderr } = await find(checkout, await onlyTools(checkout))
  assert.equal(code, 69)
  assert.equal(stdout, '')
  assert.match(stderr, /^cannot run TeleClaude: it needs Node 24 or newer, .* nor npm .*\nInstall Node from https:/)
})

test('says that the checkout is not writable, and leaves it alone', async (t) => {
  const checkout = await copyScripts(t)
  const PATH = await pathWithOldNode(checkout)
  await chmod(dirname(checkout), 0o755)
  await chmod(checkout, 0o555)
  // Root may write everywhere: somebody else tries.
  const { code, stderr } = await find(checkout, PATH, process.getuid?.() === 0 ? { uid: 65534 } : {})
  await chmod(checkout, 0o755)
  assert.equal(code, 69)
  assert.match(stderr, /^cannot bring Node into .*\.runtime: it is not writable for you\.\nRun this as the owner/)
  assert.deepEqual(await readdir(checkout), ['scripts'])
})

test('says so when npm cannot reach its registry', async (t) => {
  const checkout = await copyScripts(t)
  const { code, stderr } = await runCommand('/bin/sh', ['-euc', findNode, 'sh', checkout], {
    env: {
      PATH: await pathWithOldNode(checkout),
      npm_config_cache: join(dirname(checkout), 'empty-cache'),
      npm_config_offline: 'true',
    },
  })
  assert.equal(code, 69)
  assert.match(stderr, /cannot bring Node: npm failed, as said above/)
  assert.deepEqual(await readdir(join(checkout, '.runtime')), [])
})
