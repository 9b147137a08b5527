import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'

const module = new URL('./capacity.ts', import.meta.url).href

/** As a process sees it that may have so many descriptors open. */
function capacityAt(descriptors: number): number {
  const script = `import { connectionCapacity } from ${JSON.stringify(module)}; console.log(connectionCapacity())`
  const words = [String(descriptors), process.execPath, '--input-type=module', '-e', script]
  return Number(
    execFileSync('sh', ['-c', 'ulimit -n "$1" && shift && exec "$@"', 'sh', ...words], { encoding: 'utf8' }),
  )
}

test('there is room for as many connections as the process may have descriptors, less those it needs itself', () => {
  assert.equal(capacityAt(1_024), 768)
  assert.equal(capacityAt(256), 64)
  assert.ok(capacityAt(20_000) <= 10_000)
})
