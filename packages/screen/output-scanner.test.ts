import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { controlStringFilter, OutputScanner } from './output-scanner.ts'

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

describe('an unfinished sequence', () => {
  for (const [what, text, unfinished] of [
    ['that began', 'a\x1b', '\x1b'],
    ['of control', 'a\x1b[?20', '\x1b[?20'],
    ['without the controls in it, which have acted', '\x1b[3\r\n;1', '\x1b[3;1'],
    ['with an intermediate', '\x1b(', '\x1b('],
    ['that was introduced by one character', '\u009b31', '\x1b[31'],
    ['of a command', '\x1b]2;tit', '\x1b]2;tit'],
    ['of a command that is too long, as one that nobody knows', `\x1b]52;${'x'.repeat(5000)}`, '\x1b]99999;'],
    ['of a picture, as a string that is passed over', '\x1bPq#0;', '\x1bX'],
    ['that was given up', '\x1b[31\x18', ''],
    ['that is over', '\x1b[31m\x1b]2;a\x07\x1b(B\x1bM', ''],
    ['with a character in it, which ended it', '\x1b[3漢', ''],
    ['that is broken, with a character in it, which is passed over', '\x1b[3?漢', '\x1b[3?'],
  ] as const) {
    test(`is known: ${what}`, () => {
      const scanner = new OutputScanner()
      scanner.take(text)
      assert.equal(scanner.unfinished, unfinished)
    })
  }

  test('is remembered within bounds', () => {
    const scanner = new OutputScanner()
    for (let part = 0; part < 100; part++) scanner.take(`${part === 0 ? '\x1b[' : ''}${'1;'.repeat(50_000)}`)
    assert.ok(scanner.unfinished.length < 2000)
  })
})

describe('a command that is asked for', () => {
  const keepTitles = (text: readonly string[]) => {
    const scanner = new OutputScanner((command) => command.startsWith('2;'))
    return text.map((part) => scanner.take(part)).join('')
  }
  test('stays, wherever it is cut', () => {
    assert.equal(keepTitles(['a\x1b', ']', '2;ti', 'tle', '\x07b\x1b]8;;u\x07']), 'a\x1b]2;title\x07b\x1b]\x07')
    assert.equal(keepTitles(['\u009d2;title\u009c']), '\u009d2;title\u009c')
  })
  test('is dropped where it is too long', () => {
    assert.equal(keepTitles(['\x1b]2;', 'x'.repeat(5000), '\x07']), '\x1b]\x07')
  })
})
