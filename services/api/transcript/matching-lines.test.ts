import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findLines, type Match, type Sought } from './matching-lines.ts'

async function find(pieces: readonly string[], sought: Partial<Sought> & { readonly text: string }): Promise<Match[]> {
  async function* stream() {
    yield* pieces
  }
  return Array.fromAsync(findLines(stream(), { ignoreCase: false, ...sought }))
}

test('wherever the text is cut, the lines are those that hold what is sought', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'B', '\n', 'ä'), maxLength: 60 })
  const sought = fc.string({ unit: fc.constantFrom('a', 'b', 'ä'), minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(fc.array(text), sought, fc.boolean(), async (pieces, sought, ignoreCase) => {
      const fold = (line: string) => (ignoreCase ? line.toLowerCase() : line)
      const expected = pieces
        .join('')
        .split('\n')
        .map((text, index) => ({ line: index + 1, text }))
        .filter(({ text }) => fold(text).includes(fold(sought)))
      assert.deepEqual(await find(pieces, { text: sought, ignoreCase }), expected)
    }),
  )
})

test('of a long line what is around the first place is shown, and no more of it is kept', async () => {
  const pieces = [
    'first\n',
    ...Array(500).fill('-'.repeat(10_000)),
    'nee',
    'dle',
    ...Array(500).fill('='.repeat(999)),
    '\n',
  ]
  const [match, ...others] = await find([...pieces, 'a needle\n'], { text: 'needle' })
  assert.deepEqual(match, { line: 2, text: `${'-'.repeat(200)}needle${'='.repeat(794)}` })
  assert.deepEqual(others, [{ line: 3, text: 'a needle' }])
})

test('a line that is cut in the middle of a character stays text', async () => {
  const [match] = await find(['needle ', '\u{1f600}'.repeat(1000)], { text: 'needle' })
  assert.equal(match?.text.isWellFormed(), true)
})
