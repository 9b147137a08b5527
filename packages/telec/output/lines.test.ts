import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readLines } from './lines.ts'

async function linesOf(parts: readonly Buffer[], maxLength: number): Promise<string[]> {
  async function* stream() {
    yield* parts
  }
  return Array.fromAsync(readLines(stream(), maxLength))
}

test('lines are those of the whole text, however it is cut up', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 5 }),
      fc.integer({ min: 1, max: 7 }),
      async (texts, cut) => {
        const lines = texts.map((text) => text.replaceAll('\n', ''))
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''))
        const parts = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, index) =>
          bytes.subarray(index * cut, (index + 1) * cut),
        )
        assert.deepEqual(await linesOf(parts, 1000), lines)
      },
    ),
  )
})

test('one without a newline at the end counts, and one that is too long is cut where it can be told', async () => {
  assert.deepEqual(await linesOf([Buffer.from('a\nb')], 10), ['a', 'b'])
  const long = Buffer.from('x'.repeat(100))
  assert.deepEqual(await linesOf([long, long, Buffer.from('\nb')], 10), ['x'.repeat(11), 'b'])
})
