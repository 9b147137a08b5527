import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pace } from './pace.ts'

const chunk = 64 * 1024
const mebi = 1024 * 1024

/** What is passed on of a flood of 64 MiB a second by the end of each second. */
function flood(seconds: number, pace = new Pace()): number[] {
  const passedOn: number[] = []
  let printed = 0
  let passed = 0
  for (let ms = 0; ms < seconds * 1000; ms++) {
    printed += chunk
    pace.printed(ms)
    while (printed > passed && pace.allows(printed - passed, ms)) {
      pace.passedOn(chunk)
      passed += chunk
    }
    if (ms % 1000 === 999) passedOn.push(passed)
  }
  return passedOn
}

test('little is passed on at once', () => {
  const pace = new Pace()
  for (let passed = 0; passed < mebi; passed += chunk) {
    pace.printed(1)
    assert.equal(pace.allows(chunk, 1), true)
    pace.passedOn(chunk)
  }
  assert.equal(pace.allows(chunk, 1), false)
})

test('a flood is passed on slowly at first, and faster the more there is of it', () => {
  const [first = 0, second = 0] = flood(2)
  assert.ok(first >= 2 * mebi && first <= 4 * mebi, `${first / mebi}`)
  assert.ok(second - first > 1.5 * mebi && second - first <= 5 * mebi, `${second / mebi}`)
})

test('what waits stays bounded, however long a flood is', () => {
  const passed = flood(30).at(-1) ?? 0
  assert.ok(30 * 1000 * chunk - passed <= 128 * mebi + chunk, `${passed / mebi}`)
})

test('all of it is passed on once the program pauses, and while somebody looks on', () => {
  const pace = new Pace()
  const holdsBack = (ms: number): boolean => {
    for (let passed = 0; passed < 8 * mebi; passed += chunk) {
      if (!pace.allows(50 * mebi, ms)) return true
      pace.passedOn(chunk)
    }
    return false
  }
  pace.printed(1_000)
  assert.equal(holdsBack(1_000), true)
  assert.equal(holdsBack(1_049), true)
  assert.equal(holdsBack(1_050), false)
  pace.printed(1_060)
  assert.equal(holdsBack(1_060), true)
  pace.isWatched = true
  assert.equal(holdsBack(1_060), false)
})
