import assert from 'node:assert/strict'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { copyCheckout, pathWithOldNode, pathWithOnly, runCommand } from '../test/support/checkout.ts'

/** A checkout whose telec tells how it was called. */
async function makeCheckout(t: TestContext): Promise<string> {
  const checkout = await copyCheckout(t, 'bin')
  const program = 'console.log(JSON.stringify([process.execPath, ...process.argv.slice(2)])); process.exitCode = 7'
  await mkdir(join(checkout, 'packages/telec/bin'), { recursive: true })
  await writeFile(join(checkout, 'packages/telec/bin/telec.mjs'), program)
  await mkdir(join(checkout, 'node_modules'))
  await mkdir(join(checkout, '.runtime'))
  return checkout
}

const chooseNode = (checkout: string) => symlink(process.execPath, join(checkout, '.runtime/node'))
const args = ['run', '', 'two words', '--', '*', '$HOME', "it's"]
const called = { code: 7, stdout: `${JSON.stringify([process.execPath, ...args])}\n`, stderr: '' }

test('hands over its arguments and its exit code as they are', async (t) => {
  const checkout = await makeCheckout(t)
  await chooseNode(checkout)
  assert.deepEqual(await runCommand(join(checkout, 'bin/telec'), args), called)
})

test('finds its checkout through relative and absolute links', async (t) => {
  const checkout = await makeCheckout(t)
  await chooseNode(checkout)
  const elsewhere = join(dirname(checkout), 'some where')
  await mkdir(elsewhere)
  await symlink('../checkout/bin/telec', join(elsewhere, 'relative'))
  await symlink(join(elsewhere, 'relative'), join(elsewhere, 'telec'))
  assert.deepEqual(await runCommand(join(elsewhere, 'telec'), args), called)
  const PATH = [elsewhere, process.env.PATH].join(':')
  assert.deepEqual(await runCommand('/bin/sh', ['-c', 'exec telec "$@"', 'sh', ...args], { env: { PATH } }), called)
})

test('without a chosen Node takes a new enough one on PATH, and none that is too old', async (t) => {
  const checkout = await makeCheckout(t)
  const PATH = [dirname(process.execPath), process.env.PATH].join(':')
  assert.deepEqual(await runCommand(join(checkout, 'bin/telec'), args, { env: { PATH } }), called)

  for (const without of [await pathWithOldNode(checkout), await pathWithOnly(checkout, {})]) {
    const { code, stdout, stderr } = await runCommand(join(checkout, 'bin/telec'), args, { env: { PATH: without } })
    assert.deepEqual([code, stdout], [69, ''])
    assert.equal(stderr, `cannot run telec: this checkout is not set up yet. Run ${checkout}/scripts/start first.\n`)
  }
})

test('without dependencies says what to run first', async (t) => {
  const checkout = await copyCheckout(t, 'bin')
  await mkdir(join(checkout, '.runtime'))
  await chooseNode(checkout)
  const { code, stderr } = await runCommand(join(checkout, 'bin/telec'), ['ls'])
  assert.equal(code, 69)
  assert.match(stderr, /Run .*\/scripts\/start first\.\n$/)
})
