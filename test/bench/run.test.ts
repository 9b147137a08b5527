// That benches can be run, and say what they found. What that is, no test looks at.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'

function bench(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number | null; stdout: string; stderr: string }>()
  const child = execFile(process.execPath, [join(import.meta.dirname, 'run.ts'), ...args], (_error, stdout, stderr) =>
    resolve({ code: child.exitCode, stdout, stderr }),
  )
  return promise
}

test('a bench prints its findings as a table, or as one object', async () => {
  const { code, stdout, stderr } = await bench('--quick', '--json', 'identity')
  assert.equal(code, 0, stderr)
  assert.match(stderr, /^identity \.\.\.\n {2}round 1 of 5\n/)
  const { quick, benches } = JSON.parse(stdout)
  assert.equal(quick, true)
  assert.partialDeepStrictEqual(benches, [{ bench: 'identity', failure: null }])
  assert.partialDeepStrictEqual(benches[0].findings[0], {
    unit: 'µs',
    beside: { what: 'limit', median: 60 },
    budget: { kind: 'at most', ratio: 1 },
  })

  const table = await bench('--quick', 'identity')
  assert.equal(table.code, 0, table.stderr)
  assert.match(table.stdout, /^what +measured +spread +beside/m)
  assert.match(table.stdout, /^identity p50: .* µs .* limit +60 µs .* ≤ 1 +(ok|over)$/m)
})

test('a bench of another name is a usage error', async () => {
  const { code, stderr } = await bench('identities')
  assert.equal(code, 64)
  assert.match(stderr, /^cannot run identities: there is no bench of that name\nusage: npm run bench/)
})
