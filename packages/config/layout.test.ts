import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findSocket, singleUserLayout, systemLayout } from './layout.ts'

/** Two places where a socket may be, none of them there yet. */
function places(t: TestContext) {
  const home = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(home, { recursive: true }))
  const own = singleUserLayout(home).socket
  const system = join(home, 'system', 'api.sock')
  for (const path of [own, system]) mkdirSync(dirname(path), { recursive: true })
  return { home, own, system }
}

test('everything of single-user mode is under ~/.teleclaude', () => {
  const layout = singleUserLayout('/home/alice')
  assert.equal(layout.socket, '/home/alice/.teleclaude/run/api.sock')
  assert.equal(layout.database, '/home/alice/.teleclaude/teleclaude.db')
  for (const path of Object.values(layout)) assert.ok(`${path}/`.startsWith('/home/alice/.teleclaude/'))
})

test('the flag comes before the variable, the variable before one’s own socket, that before the system’s', (t) => {
  const { home, own, system } = places(t)
  const env = { TELECLAUDE_SOCKET: '/from/env.sock' }
  for (const path of [own, system]) writeFileSync(path, '')
  assert.deepEqual(findSocket({ flag: '/from/flag.sock', env, home, system }), {
    path: '/from/flag.sock',
    origin: '--socket',
  })
  assert.deepEqual(findSocket({ flag: undefined, env, home, system }), {
    path: '/from/env.sock',
    origin: 'TELECLAUDE_SOCKET',
  })
  assert.deepEqual(findSocket({ flag: undefined, env: {}, home, system }), { path: own, origin: 'single-user' })
  rmSync(own)
  assert.deepEqual(findSocket({ flag: undefined, env: {}, home, system }), { path: system, origin: 'system' })
  rmSync(system)
  assert.deepEqual(findSocket({ flag: undefined, env: {}, home, system }), { path: system, origin: 'system' })
  rmSync(dirname(system), { recursive: true })
  assert.deepEqual(findSocket({ flag: undefined, env: {}, home, system }), { path: own, origin: 'single-user' })
})

test('what is at one’s own socket’s path counts, whatever it is', (t) => {
  const { home, own, system } = places(t)
  writeFileSync(system, '')
  symlinkSync('/nowhere', own)
  assert.equal(findSocket({ flag: undefined, env: {}, home, system }).path, own)
})

test('relative paths become absolute, an empty variable is none, an empty flag does not fall through', (t) => {
  const { home, own, system } = places(t)
  rmSync(dirname(system), { recursive: true })
  assert.equal(findSocket({ flag: 'a.sock', env: {}, home, system }).path, resolve('a.sock'))
  assert.equal(findSocket({ flag: undefined, env: { TELECLAUDE_SOCKET: '' }, home, system }).path, own)
  assert.equal(findSocket({ flag: '', env: {}, home, system }).origin, '--socket')
})

test('the system’s socket is never in a directory that everybody can write to', () => {
  assert.equal(systemLayout('linux').socket, '/run/teleclaude/api.sock')
  assert.equal(systemLayout('darwin').socket, '/usr/local/var/run/teleclaude/api.sock')
})
