import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { openPreferencesCache } from './preferences-cache.ts'

const preferences = { agent: 'claude' }

/** A file that has been left alone for long enough. */
async function place(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  const before = process.env.XDG_CACHE_HOME
  process.env.XDG_CACHE_HOME = join(directory, 'cache')
  t.after(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = before
    rmSync(directory, { recursive: true })
  })
  const file = join(directory, 'config.yml')
  writeFileSync(file, 'agent: claude\n')
  while (Date.now() - statSync(file).ctimeMs <= 2_000) await delay(100)
  const cacheFile = () => join(directory, 'cache/teleclaude', readdirSync(join(directory, 'cache/teleclaude'))[0] ?? '')
  return { directory, file, cacheFile }
}

test('what was read of a file counts until the file, its rights or the mode are others', async (t) => {
  const { file } = await place(t)
  assert.equal(openPreferencesCache(file, 'system').kept, null)
  openPreferencesCache(file, 'system').keep(preferences)
  assert.deepEqual(openPreferencesCache(file, 'system').kept, preferences)
  assert.equal(openPreferencesCache(file, 'single-user').kept, null)
  const { atime, mtime } = statSync(file)
  writeFileSync(file, 'agent: gemini\n')
  utimesSync(file, atime, mtime)
  assert.equal(openPreferencesCache(file, 'system').kept, null)
})

test('a change of the rights alone is one', async (t) => {
  const { file } = await place(t)
  openPreferencesCache(file, 'system').keep(preferences)
  chmodSync(file, 0o666)
  assert.equal(openPreferencesCache(file, 'system').kept, null)
})

test('what was read is not kept for a file that changed meanwhile, or just before', async (t) => {
  const { file } = await place(t)
  const cache = openPreferencesCache(file, 'system')
  writeFileSync(file, 'agent: gemini\n')
  cache.keep(preferences)
  const next = openPreferencesCache(file, 'system')
  assert.equal(next.kept, null)
  next.keep({ agent: 'gemini' })
  assert.equal(openPreferencesCache(file, 'system').kept, null)
})

test('a cache that others could have written is not believed, one that is broken or can not be written does no harm', async (t) => {
  const { directory, file, cacheFile } = await place(t)
  openPreferencesCache(file, 'system').keep(preferences)
  chmodSync(cacheFile(), 0o666)
  assert.equal(openPreferencesCache(file, 'system').kept, null)
  chmodSync(cacheFile(), 0o600)
  writeFileSync(cacheFile(), '{')
  assert.equal(openPreferencesCache(file, 'system').kept, null)
  rmSync(join(directory, 'cache'), { recursive: true })
  writeFileSync(join(directory, 'cache'), '')
  openPreferencesCache(file, 'system').keep(preferences)
  rmSync(join(directory, 'cache'))
  mkdirSync(join(directory, 'cache'))
  assert.equal(openPreferencesCache(file, 'system').kept, null)
})
