import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./main.ts', import.meta.url))

function run(...words: readonly string[]) {
  return spawnSync(process.execPath, [program, ...words], { encoding: 'utf8', timeout: 30_000 })
}

test('unknown words are answered with the usage', () => {
  for (const words of [['--wit'], ['--wait', 'more']]) {
    const { status, stderr } = run(...words)
    assert.equal(status, 64)
    assert.match(stderr, /^usage: main\.ts \[--wait\]/)
  }
})

if (process.getuid?.() === 0) {
  test('what is unsafe ends it with 78 and the reason, waiting or not', () => {
    for (const words of [[], ['--wait']]) {
      const { status, stderr } = run(...words)
      assert.equal(status, 78)
      assert.match(stderr, /^teleclaude api: cannot start as root: .*\n$/)
    }
  })
}
