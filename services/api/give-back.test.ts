import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

/** Says what has become of something that nobody holds any more, once the collection has been or would have been. */
const script = `
  const { giveBackSoon } = await import('./give-back.ts')
  const garbage = new WeakRef({ bytes: new Array(1000).fill(1) })
  const callOff = giveBackSoon(1)
  if (process.argv[1] === 'called off') callOff()
  setTimeout(() => console.log(garbage.deref() === undefined ? 'gone' : 'there'), 50)
`

function run(nodeArgs: readonly string[], args: readonly string[] = []): string {
  const program = [...nodeArgs, '--input-type=module', '-e', script, '--', ...args]
  const { stdout, stderr } = spawnSync(process.execPath, program, { cwd: import.meta.dirname, encoding: 'utf8' })
  assert.equal(stderr, '')
  return stdout.trim()
}

test('what the start has left behind is given back, where Node lets us', () => {
  assert.equal(run(['--expose-gc']), 'gone')
  assert.equal(run([]), 'there')
})

test('what stops before that is not held up', () => {
  assert.equal(run(['--expose-gc'], ['called off']), 'there')
})
