import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ConfigError } from '../config-error.ts'
import { findMissing, writeFiles } from './write.ts'

function scratch(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}

test('where one of the files can not be put in its place, none of them is', (t) => {
  const directory = scratch(t)
  const files = ['a.yml', 'missing/b.yml'].map((name) => ({ path: join(directory, name), text: 'a: 1\n', mode: 0o600 }))
  assert.throws(() => writeFiles(directory, files), ConfigError)
  assert.deepEqual(readdirSync(directory), [])
})

test('a file that is there with the same text may be closed further, and is not looked upon as missing', (t) => {
  const directory = scratch(t)
  const [there, missing] = ['a.yml', 'b.yml'].map((name) => ({
    path: join(directory, name),
    text: 'a: 1\n',
    mode: 0o644,
  }))
  assert.ok(there !== undefined && missing !== undefined)
  writeFileSync(there.path, there.text, { mode: 0o600 })
  assert.deepEqual(findMissing([there, missing]), [missing])
  writeFiles(directory, [missing])
  assert.equal(readFileSync(missing.path, 'utf8'), missing.text)
  assert.equal(statSync(missing.path).mode & 0o7777, 0o644)
})

test('a file that came in between stays, and none of the others is put beside it', (t) => {
  const directory = scratch(t)
  const files = ['a.yml', 'b.yml'].map((name) => ({ path: join(directory, name), text: 'a: 1\n', mode: 0o600 }))
  const late = join(directory, 'b.yml')
  assert.deepEqual(findMissing(files), files)
  writeFileSync(late, 'somebody else\n')
  assert.throws(() => writeFiles(directory, files), ConfigError)
  assert.deepEqual(readdirSync(directory), ['b.yml'])
  assert.equal(readFileSync(late, 'utf8'), 'somebody else\n')
})
