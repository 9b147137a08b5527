import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { copyCheckout } from '../test/support/checkout.ts'
import { findLockProblems } from './locks.ts'

const hash = { version: '1.0.0', integrity: 'sha512-x' }

async function makeProject(t: TestContext, packages: object, member: object = { dependencies: { a: '^1.0.0' } }) {
  const folder = await copyCheckout(t, '.npmrc')
  const root = { workspaces: ['packages/*'] }
  const locked = { '': root, 'packages/member': { dependencies: { a: '^1.0.0' } }, ...packages }
  await mkdir(join(folder, 'packages/member'), { recursive: true })
  await writeFile(join(folder, 'package.json'), JSON.stringify(root))
  await writeFile(join(folder, 'packages/member/package.json'), JSON.stringify(member))
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify({ packages: locked }))
  return (...problems: string[]) =>
    assert.deepEqual(
      findLockProblems(folder),
      problems.map((problem) => `${folder}: ${problem}`),
    )
}

test('has nothing to say of a lockfile that is in step', async (t) => {
  const assertProblems = await makeProject(t, {
    'node_modules/member': { resolved: 'packages/member', link: true },
    'node_modules/a': hash,
    'node_modules/a/node_modules/bundled': { version: '1.0.0', inBundle: true },
  })
  assertProblems()
})

test('names the package.json whose dependencies the lockfile does not have', async (t) => {
  const assertProblems = await makeProject(t, { 'node_modules/a': hash }, { dependencies: { a: '^2.0.0' } })
  assertProblems('packages/member/package.json and package-lock.json differ in dependencies. Run npm install.')
})

test('refuses a place of download and a missing hash', async (t) => {
  const assertProblems = await makeProject(t, {
    'node_modules/a': { ...hash, resolved: 'https://registry.example/a.tgz' },
    'node_modules/b': { version: '1.0.0' },
    'node_modules/tool-for-another-platform': { version: '1.0.0', dev: true, optional: true },
    'node_modules/optional-in-production': { version: '1.0.0', optional: true },
  })
  assertProblems(
    'node_modules/a names where it was downloaded from: https://registry.example/a.tgz',
    'node_modules/b has no hash',
    'node_modules/optional-in-production has no hash',
  )
})

test('finds optional packages that npm left out, wherever Node would look for them', async (t) => {
  const assertProblems = await makeProject(t, {
    'node_modules/a': { ...hash, optionalDependencies: { here: '1.0.0', inside: '1.0.0', gone: '1.0.0' } },
    'node_modules/a/node_modules/inside': hash,
    'node_modules/here': hash,
  })
  assertProblems('gone@1.0.0, an optional dependency of node_modules/a, is missing in package-lock.json')
})
