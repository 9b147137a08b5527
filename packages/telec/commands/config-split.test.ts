import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'

test('what is printed, for people and for programs, holds no secret', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const from = join(directory, 'old.yml')
  const env = join(directory, 'old.env')
  const to = join(directory, 'new')
  writeFileSync(from, 'redis: { password: fake-password-1 } # password: fake-password-2\n')
  writeFileSync(env, 'OPENAI_API_KEY=fake-password-3\n')
  const run = (options: object) => {
    const command = pathToFileURL(join(import.meta.dirname, 'config-split.ts'))
    const script = `const { configSplit } = await import('${command}'); configSplit(${JSON.stringify({ from, env, to, ...options })})`
    return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  }

  const planned = run({ dryRun: true })
  assert.match(planned, /secrets\.yml +0600 +planned/)
  assert.equal(existsSync(to), false)
  const report = run({ json: true })
  assert.equal(report.trimEnd().split('\n').length, 1)
  assert.deepEqual(
    JSON.parse(report).files.map(({ state }: { state: string }) => state),
    ['written', 'written', 'written'],
  )
  for (const said of [planned, report, run({})]) assert.ok(!said.includes('fake-password'))
  assert.match(readFileSync(join(to, 'secrets.yml'), 'utf8'), /fake-password-3/)
})
