import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { claim } from './claim.ts'
import { holdLifeline } from './lifeline.ts'
import { findOrphans } from './orphans.ts'
import { identify, type Machine, type ProcessIdentity, thisMachine } from './process-identity.ts'
import { type SessionFile, writeSessionFile } from './session-file.ts'

const machine: Machine = thisMachine() ?? assert.fail('this system says nothing of its processes')
const self: ProcessIdentity = identify(process.pid) ?? assert.fail()
const gone: ProcessIdentity = { pid: process.pid, startedAt: '1' }

function makeSpools(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  chmodSync(root, 0o700)
  t.after(() => rmSync(root, { recursive: true }))
  return {
    root,
    found: () => findOrphans(root).map(({ directory }) => basename(directory)),
    leave(change: Partial<SessionFile> = {}): string {
      const sessionId = crypto.randomUUID()
      const directory = join(root, sessionId)
      mkdirSync(directory, { mode: 0o700 })
      writeSessionFile(directory, { sessionId, socketPath: '/s', machine, runner: gone, program: null, ...change })
      return sessionId
    },
  }
}

test('a spool is an orphan where its runner is known to be gone', (t) => {
  const { leave, found } = makeSpools(t)
  leave({ runner: self })
  // A home that other machines, and sandboxes of this one, have too: their processes are not ours to judge.
  leave({ machine: { ...machine, id: 'another' } })
  leave({ machine: { ...machine, id: 'another', bootId: 'another' } })
  leave({ machine: { ...machine, pidNamespace: 'another' } })
  assert.deepEqual(found(), [])
  const orphans = [
    leave(),
    leave({ machine: { ...machine, bootId: 'before', pidNamespace: 'another' } }),
    leave({ machine: { ...machine, bootId: 'before' }, runner: self }),
  ]
  assert.deepEqual(found(), orphans.sort())
})

if (process.platform === 'linux') {
  test('in another namespace, a runner is gone where its lifeline is cut', async (t) => {
    const { root, leave, found } = makeSpools(t)
    const foreign = { machine: { ...machine, pidNamespace: 'another' } }
    holdLifeline(join(root, leave(foreign)))
    const id = leave(foreign)
    const script = `
      const { holdLifeline } = await import(${JSON.stringify(new URL('./lifeline.ts', import.meta.url).href)})
      holdLifeline(${JSON.stringify(join(root, id))})
      process.stdout.write('held')
      process.stdin.resume()`
    const runner = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await once(runner.stdout, 'data')
    assert.deepEqual(found(), [])
    runner.kill('SIGKILL')
    await once(runner, 'exit')
    assert.deepEqual(found(), [id])
  })
}

test('what others could have put there is left alone', (t) => {
  const { root, leave, found } = makeSpools(t)
  const id = leave()
  mkdirSync(join(root, 'no-session'))
  symlinkSync(join(root, id), join(root, crypto.randomUUID()))
  chmodSync(join(root, leave()), 0o777)
  const renamed = leave()
  const content = { sessionId: renamed, socketPath: '/s', machine, runner: gone, program: null }
  writeSessionFile(join(root, leave()), content)
  assert.deepEqual(found(), [id, renamed].sort())
  chmodSync(root, 0o777)
  assert.deepEqual(found(), [])
})

test('a file that makes no sense is seen to once its runner has had time to write it', (t) => {
  const { root, leave, found } = makeSpools(t)
  const ids = ['', '{', '[]', 'null', '{"sessionId":1}', JSON.stringify({ runner: { pid: 0, startedAt: '' } })].map(
    (text) => {
      const id = leave()
      writeFileSync(join(root, id, 'session.json'), text)
      return id
    },
  )
  assert.deepEqual(found(), [])
  const before = new Date(Date.now() - 120_000)
  for (const id of ids) utimesSync(join(root, id), before, before)
  assert.deepEqual(found(), ids.sort())
})

test('one process at a time works on a spool, and one that ends in the middle makes room', async (t) => {
  const { root, leave, found } = makeSpools(t)
  const id = leave()
  const directory = join(root, id)
  const script = `
    const { claim } = await import(${JSON.stringify(new URL('./claim.ts', import.meta.url).href)})
    process.stdout.write(String(claim(process.argv[1], JSON.parse(process.argv[2]))))
    process.stdin.resume()`
  const ask = async () => {
    const child = spawn(process.execPath, [
      '--input-type=module',
      '-e',
      script,
      '--',
      directory,
      JSON.stringify(machine),
    ])
    const [answer] = await once(child.stdout, 'data')
    return { child, answer: String(answer) }
  }
  for (let round = 1; round <= 3; round++) {
    const asked = await Promise.all([ask(), ask(), ask(), ask()])
    assert.deepEqual(asked.map(({ answer }) => answer).sort(), ['false', 'false', 'false', 'true'])
    assert.deepEqual(found(), [], 'it is in good hands')
    for (const { child } of asked) {
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    assert.deepEqual(found(), [id])
  }
  // Cut short while it was written, or of another boot.
  writeFileSync(join(directory, 'claim-8'), '{"machine"')
  assert.ok(claim(directory, machine))
  writeFileSync(
    join(directory, 'claim-10'),
    JSON.stringify({ machine: { ...machine, bootId: 'before' }, process: self }),
  )
  assert.ok(claim(directory, machine))
  assert.ok(!claim(directory, machine), 'we have it ourselves')
})
