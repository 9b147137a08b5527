import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { controlStringFilter } from './control-strings.ts'

describe('control strings', () => {
  for (const [what, text, kept] of [
    ['a title', 'a\x1b]0;title\x07b', 'a\x1b]\x07b'],
    ['a link', '\x1b]8;;https://example\x1b\\text\x1b]8;;\x1b\\', '\x1b]\x1b\\text\x1b]\x1b\\'],
    ['a picture with bells in it', '\x1bPq\x07#0\x1b\\a', '\x1bP\x1b\\a'],
    ['an 8-bit title', 'a\u009d0;title\u009cb', 'a\u009d\u009cb'],
    ['one inside of another', '\x1b]0;\x1b_x\x1b^y\x1bXz\x18a', '\x1b]\x1b_\x1b^\x1bX\x18a'],
    ['one with controls in its introducer', '\x1b\r\n\x7f]0;title\x07b', '\x1b\r\n\x7f]\x07b'],
    ['one without an end', 'a\x1b]0;title', 'a\x1b]'],
    ['nothing where there is none', '\x1b[31m]P^_X\x1b(]a\x1b\x18]b', '\x1b[31m]P^_X\x1b(]a\x1b\x18]b'],
  ] as const) {
    test(`lose what is in them: ${what}`, () => assert.equal(controlStringFilter()(text), kept))
  }

  test('are found wherever the text is cut', () => {
    const units = ['\x1b', ']', 'P', '[', 'x', '\x07', '\x18', '\\', '\r', '\x7f', '\u009d', '\u009c', '\u0090', '漢']
    fc.assert(
      fc.property(fc.array(fc.array(fc.constantFrom(...units)).map((part) => part.join(''))), (parts) => {
        assert.equal(parts.map(controlStringFilter()).join(''), controlStringFilter()(parts.join('')))
      }),
    )
  })
})
