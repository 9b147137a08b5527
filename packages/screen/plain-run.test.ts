import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { PlainRun } from './plain-run.ts'

const read = (text: string) => new PlainRun().read(Buffer.from(text))

describe('a part of output', () => {
  for (const [what, text, lineFeeds, lineFeedsAfterReturn, styles, isWhole] of [
    ['of lines', 'one\r\ntwo\tthree\r\n', 2, 2, '', true],
    ['that begins without returns', 'one\ntwo\nthree\r\n\r\n', 4, 2, '', true],
    ['in colours', '\x1b[1;31mred\x1b[m\n\x1b[38:2::1:2:3mx', 1, null, '\x1b[1;31m\x1b[m\x1b[38:2::1:2:3m', true],
    ['of other letters', '漢字 é 👩\n', 1, null, '', true],
    ['that ends in a style', 'a\x1b[3', 0, null, '', false],
    ['that ends in a letter which may go on', 'é', 0, null, '', false],
  ] as const) {
    test(`${what} only prints`, () => {
      const part = read(text)
      assert.deepEqual(
        { ...part, styles: part?.styles.toString() },
        { lineFeeds, lineFeedsAfterReturn, styles, isWhole },
      )
    })
  }

  for (const text of [
    'a\b',
    '\x07',
    '\x0b',
    '\x0c',
    '\x0e',
    '\x00',
    '\x7f',
    '\x1b[2J',
    '\x1b[?25h',
    '\x1b[>4m',
    '\x1b[1 m',
    '\x1b7',
    '\x1b]0;t\x07',
    '\x1b\x1b[m',
    '\u009b2J',
    '\u0085',
  ]) {
    test(`with ${JSON.stringify(text)} does more than print`, () => {
      assert.equal(read(`before\n${text}`), null)
    })
  }

  test('without end is not remembered without end', () => {
    const run = new PlainRun()
    assert.equal(run.read(Buffer.from(`\x1b[${'1;'.repeat(1000)}`)), null)
  })
})

test('wherever it is cut, it comes to the same', () => {
  const piece = fc.constantFrom('a', 'line\n', '\r\n', '\t', '漢', '\x1b[m', '\x1b[1;4:3m', '\x1b[38;5;200m')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), fc.array(fc.integer({ min: 1, max: 9 })), (pieces, lengths) => {
      const bytes = Buffer.from(pieces.join(''))
      const whole = new PlainRun().read(bytes)
      const run = new PlainRun()
      let lineFeeds = 0
      let styles = ''
      for (let at = 0, index = 0; at < bytes.length; index++) {
        const part = run.read(bytes.subarray(at, at + (lengths[index] ?? 50)))
        at += lengths[index] ?? 50
        lineFeeds += part?.lineFeeds ?? Number.NaN
        styles += part?.styles.toString()
      }
      assert.deepEqual([lineFeeds, styles], [whole?.lineFeeds, whole?.styles.toString()])
    }),
  )
})
