import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LastLines } from './last-lines.ts'

test('the last lines are those of the whole text, however it is cut up', () => {
  const part = fc.string({ unit: fc.constantFrom('a', 'b', '\n'), maxLength: 8 })
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), fc.integer({ min: 1, max: 5 }), (parts, limit) => {
      const lines = new LastLines(limit)
      for (const text of parts) lines.add(text)
      const all = parts.join('').match(/[^\n]*\n|[^\n]+$/g) ?? []
      const wanted = all.slice(-limit).map((line) => (line.endsWith('\n') ? line : `${line}\n`))
      assert.equal(lines.take(), wanted.join(''))
    }),
  )
})
