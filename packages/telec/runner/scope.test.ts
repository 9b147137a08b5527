import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { findScope, type ScopeFacts } from './scope.ts'

const id = '0b8a1f4e-0000-4000-8000-000000000000'
const systemdRun = [
  'systemd-run',
  '--user',
  '--scope',
  '--collect',
  '--quiet',
  `--unit=teleclaude-session-${id}`,
  `--description=TeleClaude session ${id}`,
  '--',
]

/** A user who lingers, with a manager that listens. */
function makeFacts(t: TestContext): ScopeFacts & { readonly runtimeDirectory: string } {
  const root = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(root, { recursive: true }))
  const uid = process.getuid?.() ?? -1
  const runtimeDirectories = join(root, 'run')
  const runtimeDirectory = join(runtimeDirectories, `${uid}`)
  const lingerDirectory = join(root, 'linger')
  mkdirSync(join(runtimeDirectory, 'systemd'), { recursive: true })
  mkdirSync(lingerDirectory)
  writeFileSync(join(runtimeDirectory, 'systemd/private'), '')
  writeFileSync(join(lingerDirectory, 'alice'), '')
  const systemdDirectory = root
  return {
    platform: 'linux',
    uid,
    user: 'alice',
    runtimeDirectory,
    runtimeDirectories,
    lingerDirectory,
    systemdDirectory,
  }
}

test('who lingers gets a scope that is named after the session', (t) => {
  assert.deepEqual(findScope(id, makeFacts(t)), { kind: 'available', command: systemdRun })
})

test('where the environment does not say where one’s manager is, or says somebody else’s, it stays as it is', (t) => {
  const facts = makeFacts(t)
  const own = `XDG_RUNTIME_DIR=${facts.runtimeDirectory}`
  assert.deepEqual(findScope(id, { ...facts, runtimeDirectory: undefined }), {
    kind: 'available',
    command: ['env', own, ...systemdRun, 'env', '-u', 'XDG_RUNTIME_DIR'],
  })
  for (const runtimeDirectory of ['', join(facts.runtimeDirectory, 'missing')]) {
    assert.deepEqual(findScope(id, { ...facts, runtimeDirectory }), {
      kind: 'available',
      command: ['env', own, ...systemdRun, 'env', `XDG_RUNTIME_DIR=${runtimeDirectory}`],
    })
  }
})

test('without lingering, or a manager of one’s own that listens, there is none, and a reason', (t) => {
  const facts = makeFacts(t)
  assert.deepEqual(findScope(id, { ...facts, user: 'bob' }), { kind: 'not-lingering', why: 'bob does not linger' })
  assert.equal(findScope(id, { ...facts, uid: facts.uid + 1 }).kind, 'no-manager')
  rmSync(join(facts.runtimeDirectory, 'systemd/private'))
  assert.deepEqual(findScope(id, facts), { kind: 'no-manager', why: 'the systemd of alice does not listen' })
  writeFileSync(join(facts.runtimeDirectory, 'bus'), '')
  assert.equal(findScope(id, facts).kind, 'available')
})

test('where there is no systemd, or no account, there is nothing to say', (t) => {
  const facts = makeFacts(t)
  const missing = join(facts.systemdDirectory, 'missing')
  for (const change of [
    { user: null },
    { user: '../linger/alice' },
    { platform: 'darwin' },
    { systemdDirectory: missing },
  ] as const) {
    assert.deepEqual(findScope(id, { ...facts, ...change }), { kind: 'none' }, JSON.stringify(change))
  }
})
