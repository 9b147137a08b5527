import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { copyCheckout, pathWithOnly, runCommand } from './support/checkout.ts'

/** Runs the test runner on one new test file, as it would be run from a shell. */
async function runTests(t: TestContext, source: string) {
  const folder = await copyCheckout(t, '.npmrc')
  const file = join(folder, 'some.test.ts')
  await writeFile(file, `import { describe, test } from 'node:test'\n${source}`)
  const runner = join(import.meta.dirname, 'run.ts')
  // A test runner inside a test would take itself for a part of the outer one.
  const env = { NODE_TEST_CONTEXT: undefined, NO_COLOR: '1' }
  const { code, stdout } = await runCommand(process.execPath, [runner, file], { env })
  return { code, stdout, folder, last: stdout.slice(stdout.lastIndexOf('\n', stdout.length - 2) + 1) }
}

test('counts leaf tests, no suites and no tests of subtests', async (t) => {
  const { code, last } = await runTests(
    t,
    `describe('suite', () => { test('one', () => {}); test('two', () => {}) })
     test('parent', async (t) => { await t.test('three', () => {}); await t.test('four', () => {}) })`,
  )
  assert.deepEqual([code, last], [0, '4 passed, 0 failed, 0 skipped\n'])
})

test('shows a failure in full under its full name', async (t) => {
  const { code, stdout, last } = await runTests(
    t,
    `describe('suite', () => { test('one', () => {}); test('two', () => { console.log('seen'); throw new Error('because') }) })`,
  )
  assert.deepEqual([code, last], [1, '1 passed, 1 failed, 0 skipped\n'])
  assert.match(stdout, /failed: suite > two\n +Error: because\n/)
  assert.match(stdout, /output:\n +seen\n/)
})

test('a parent that fails on its own counts beside its subtests', async (t) => {
  const { last } = await runTests(t, `test('p', async (t) => { await t.test('c', () => {}); throw new Error('own') })`)
  assert.equal(last, '1 passed, 1 failed, 0 skipped\n')
})

test('a skipped test and a todo fail the run', async (t) => {
  const { code, stdout, last } = await runTests(
    t,
    `test('one', () => {}); test('two', (t) => t.skip('not today')); test.todo('three'); describe.skip('s', () => {})`,
  )
  assert.deepEqual([code, last], [1, '1 passed, 0 failed, 3 skipped\n'])
  assert.match(stdout, /skipped: two\n +not today\n/)
})

test('a file without tests fails', async (t) => {
  const { code, last } = await runTests(t, `export { describe, test }`)
  assert.deepEqual([code, last], [1, '0 passed, 1 failed, 0 skipped\n'])
})

test('a file that crashes or ends early fails', async (t) => {
  const crash = await runTests(t, `test('one', () => {}); throw new Error('no way')`)
  assert.equal(crash.code, 1)
  assert.match(crash.stdout, /Error: no way/)
  const exit = await runTests(t, `test('one', () => process.exit(0)); test('two', () => {})`)
  assert.deepEqual([exit.code, exit.last], [1, '0 passed, 1 failed, 0 skipped\n'])
})

test('a process left behind fails the run, is named and ended', async (t) => {
  const { code, stdout, last, folder } = await runTests(
    t,
    `import { spawn } from 'node:child_process'
     import { writeFileSync } from 'node:fs'
     test('one', () => {
       const child = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' })
       writeFileSync(import.meta.dirname + '/pid', String(child.pid))
       child.unref()
     })`,
  )
  assert.deepEqual([code, last], [1, '1 passed, 1 failed, 0 skipped\n'])
  const pid = await readFile(join(folder, 'pid'), 'utf8')
  assert.match(stdout, new RegExp(`left running: ${pid} sleep 600\n`))
})

test('container tests on a machine without an engine fail, are not skipped, and it is said what to do', async (t) => {
  const folder = await copyCheckout(t, '.npmrc')
  const programs = { chown: '/bin/chown', id: '/usr/bin/id', rm: '/bin/rm', sh: '/bin/sh' }
  const env = { PATH: await pathWithOnly(folder, programs), NODE_TEST_CONTEXT: undefined, NO_COLOR: '1' }
  const file = join(import.meta.dirname, 'integration/engine.test.ts')
  const { code, stdout } = await runCommand(process.execPath, [join(import.meta.dirname, 'run.ts'), file], { env })
  assert.equal(code, 1)
  assert.match(stdout, /cannot start a Docker engine: docker, dockerd, .* missing; run scripts\/test as root/)
  assert.match(stdout, /^0 passed, 1 failed, 0 skipped\n$/m)
})
