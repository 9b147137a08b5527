import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { copyCheckout, type Ran, runCommand } from '../test/support/checkout.ts'

/** A project with one dependency of production and one of development, locked as this project has them locked. */
async function makeProject(t: TestContext): Promise<string> {
  const checkout = await copyCheckout(t, 'scripts/install.ts', '.npmrc', 'package-lock.json')
  const lockPath = join(checkout, 'package-lock.json')
  const all = JSON.parse(await readFile(lockPath, 'utf8')).packages
  const version = (name: string) => all[`node_modules/${name}`].version
  const manifest = {
    type: 'module',
    dependencies: { ws: version('ws') },
    devDependencies: { 'fast-check': version('fast-check') },
  }
  const kept = ['node_modules/ws', 'node_modules/fast-check', 'node_modules/pure-rand']
  const packages = Object.fromEntries([['', manifest], ...kept.map((path) => [path, all[path]])])
  await writeFile(join(checkout, 'package.json'), JSON.stringify(manifest))
  await writeFile(lockPath, JSON.stringify({ lockfileVersion: 3, packages }))
  return checkout
}

const quietly = ['--disable-warning=ExperimentalWarning']
const install = (checkout: string, ...args: string[]) =>
  runCommand(process.execPath, [...quietly, join(checkout, 'scripts/install.ts'), ...args])
const has = (checkout: string, name: string) => existsSync(join(checkout, 'node_modules', name, 'package.json'))
const nothingDone: Ran = { code: 0, stdout: '', stderr: '' }

test('installs what production needs, once', async (t) => {
  const checkout = await makeProject(t)
  const first = await install(checkout)
  assert.equal(first.code, 0, first.stderr)
  assert.deepEqual([has(checkout, 'ws'), has(checkout, 'fast-check')], [true, false])
  assert.deepEqual(await install(checkout), nothingDone)
})

test('adds the packages of development when asked, and from then on keeps them', async (t) => {
  const checkout = await makeProject(t)
  await install(checkout)
  assert.match((await install(checkout, '--dev')).stderr, /those of development too/)
  assert.deepEqual([has(checkout, 'ws'), has(checkout, 'fast-check')], [true, true])
  assert.deepEqual(await install(checkout), nothingDone)

  await rm(join(checkout, 'node_modules/ws'), { recursive: true })
  const { packages } = JSON.parse(await readFile(join(checkout, 'node_modules/.package-lock.json'), 'utf8'))
  packages['node_modules/ws'].version = '1.0.0'
  await writeFile(join(checkout, 'node_modules/.package-lock.json'), JSON.stringify({ packages }))
  assert.equal((await install(checkout)).code, 0)
  assert.deepEqual([has(checkout, 'ws'), has(checkout, 'fast-check')], [true, true])
})

test('repairs what a killed installation left behind', async (t) => {
  const checkout = await makeProject(t)
  const killed = await runCommand(process.execPath, [...quietly, join(checkout, 'scripts/install.ts'), '--dev'], {
    onStderr: (text, kill) => {
      if (text.includes('Installing')) kill()
    },
  })
  assert.equal(killed.code, null)
  const repaired = await install(checkout, '--dev')
  assert.equal(repaired.code, 0, repaired.stderr)
  assert.deepEqual([has(checkout, 'ws'), has(checkout, 'fast-check')], [true, true])
})

test('of two runs at once one installs and the other waits for it', async (t) => {
  const checkout = await makeProject(t)
  const both = await Promise.all([install(checkout), install(checkout)])
  assert.deepEqual(
    both.map(({ code }) => code),
    [0, 0],
    both.map(({ stderr }) => stderr).join('\n'),
  )
  assert.equal(both.filter(({ stderr }) => stderr.includes('Installing')).length, 1)
  assert.ok(has(checkout, 'ws'))
})

test('says so when npm refuses', async (t) => {
  const checkout = await makeProject(t)
  await writeFile(join(checkout, 'package.json'), JSON.stringify({ type: 'module', dependencies: { ws: '1.0.0' } }))
  const { code, stderr } = await install(checkout)
  assert.equal(code, 69)
  assert.match(stderr, /cannot install dependencies: npm failed, as said above/)
})
