// What cannot ask the system identifies nobody: tried in processes whose koffi is really not to be loaded.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

type Outcome = { readonly code: string; readonly message: string } | { readonly value: unknown }

/** What comes of each of the expressions, of `peers` and `users`, where `koffi` is that file. */
function tryEach(koffi: { readonly path: string; readonly format: string }, expressions: readonly string[]): Outcome[] {
  const target = JSON.stringify({ url: pathToFileURL(koffi.path).href, format: koffi.format, shortCircuit: true })
  const hook = `
    import { registerHooks } from 'node:module'
    registerHooks({ resolve: (name, context, next) => (name === 'koffi' ? ${target} : next(name, context)) })`
  const script = `
    const here = ${JSON.stringify(new URL('.', import.meta.url).href)}
    const [peers, users] = await Promise.all(['peer.ts', 'os-user.ts'].map((name) => import(here + name)))
    const { connect, createServer } = await import('node:net')
    const outcomes = []
    for (const attempt of [${expressions.map((expression) => `async () => ${expression}`)}]) {
      outcomes.push(await attempt().then((value) => ({ value }), ({ code, message }) => ({ code, message })))
    }
    console.log(JSON.stringify(outcomes))
    process.exit()`
  const words = [`--import=data:text/javascript,${encodeURIComponent(hook)}`, '--input-type=module', '-e', script]
  const { stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' })
  return stderr === '' ? JSON.parse(stdout) : assert.fail(stderr)
}

/** Of a peer that connects by an abstract socket's name (unix(7)), which leaves nothing behind. */
const readAccepted = `new Promise((resolve, reject) => {
  const server = createServer((socket) => {
    try { resolve(peers.readPeer(socket)) } catch (error) { reject(error) }
  })
  const path = '\\0teleclaude-test-' + process.pid
  server.listen(path, () => connect(path))
})`

test('without koffi no peer is identified, at the start or later, and no other account: that is no answer, not "none"', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const write = (name: string, text: string) => {
    writeFileSync(join(directory, name), text)
    return join(directory, name)
  }
  const noLibrary = `exports.load = () => { throw new Error('no library') }`
  const noFunction = `exports.load = () => ({ func() { throw new Error('no function') } })`
  const broken = {
    missing: { path: join(directory, 'none.js'), format: 'commonjs' },
    'for another machine': { path: write('koffi.node', '\x7fELF and no more'), format: 'addon' },
    'without the C library': { path: write('library.cjs', noLibrary), format: 'commonjs' },
    'without its functions': { path: write('function.cjs', noFunction), format: 'commonjs' },
  }
  const attempts = [
    'peers.preparePeerReader()',
    ...(process.platform === 'linux' ? [readAccepted] : []),
    'users.osUserOf(3999999)',
    `users.osAccountOf('root')`,
    'users.loginGroupsOf(0)',
  ]
  for (const [what, koffi] of Object.entries(broken)) {
    for (const [index, outcome] of tryEach(koffi, attempts).entries()) {
      assert.partialDeepStrictEqual(outcome, { code: 'reader-unavailable' }, `${what}: ${attempts[index]}`)
      assert.match(JSON.stringify(outcome), /cannot identify peers: koffi does not load: .*npm ci/, what)
    }
  }
})
