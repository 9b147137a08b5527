import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type ScopeFacts, scopeCommand } from './scope.ts'

const id = '0b8a1f4e-0000-4000-8000-000000000000'

/** A user who lingers, with a manager that listens. */
function makeFacts(t: TestContext): ScopeFacts & { readonly runtimeDirectory: string } {
  const root = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(root, { recursive: true }))
  const runtimeDirectory = join(root, 'run')
  const lingerDirectory = join(root, 'linger')
  mkdirSync(join(runtimeDirectory, 'systemd'), { recursive: true })
  mkdirSync(lingerDirectory)
  writeFileSync(join(runtimeDirectory, 'systemd/private'), '')
  writeFileSync(join(lingerDirectory, 'alice'), '')
  return { platform: 'linux', uid: process.getuid?.() ?? -1, user: 'alice', runtimeDirectory, lingerDirectory }
}

test('who lingers gets a scope that is named after the session', (t) => {
  assert.deepEqual(scopeCommand(id, makeFacts(t)), [
    'systemd-run',
    '--user',
    '--scope',
    '--collect',
    '--quiet',
    `--unit=teleclaude-session-${id}`,
    `--description=TeleClaude session ${id}`,
    '--',
  ])
})

test('without lingering, a manager of one’s own that listens, or systemd at all, there is none', (t) => {
  const facts = makeFacts(t)
  for (const change of [
    { user: 'bob' },
    { user: null },
    { user: '../linger/alice' },
    { platform: 'darwin' },
    { uid: facts.uid + 1 },
    { runtimeDirectory: undefined },
    { runtimeDirectory: '' },
    { runtimeDirectory: join(facts.runtimeDirectory, 'missing') },
  ] as const) {
    assert.equal(scopeCommand(id, { ...facts, ...change }), null, JSON.stringify(change))
  }
  rmSync(join(facts.runtimeDirectory, 'systemd/private'))
  assert.equal(scopeCommand(id, facts), null)
  writeFileSync(join(facts.runtimeDirectory, 'bus'), '')
  assert.notEqual(scopeCommand(id, facts), null)
})
