import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { codePointWidth, displayWidth, neutralise, truncate } from './terminal-text.ts'

const actsOnTerminal = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_Control}]/u
const hidden = /[\u200b\u200e\u200f\u2060-\u206f\ufeff\u{e0000}-\u{e0fff}\u00ad\u3164]/u

/** Mostly the characters that matter, so that properties meet them in every order. */
const hostileText = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }),
      fc.constantFrom(
        ...'\x1b\x07\n\t\x7f\x9b\u2028\u202e\u2066\u061c\u200b\u200c\u200d\ufe0f\ufe0e\u034f\u0301\ud83d\ufeff',
      ),
      fc.constantFrom('\u{e0041}', '👩', '❤', '🏽', '🇩', '1', '\u20e3', 'م', 'क', '\u094d', 'é', '漢', 'a', ' '),
    ),
  )
  .map((parts) => parts.join(''))

describe('neutralise', () => {
  test('leaves nothing that acts on a terminal or hides', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const safe = neutralise(text)
        assert.doesNotMatch(safe, actsOnTerminal)
        assert.doesNotMatch(safe, hidden)
        assert.ok(safe.isWellFormed())
      }),
      { numRuns: 2000 },
    )
  })

  test('changes nothing the second time', () => {
    fc.assert(
      fc.property(hostileText, (text) => {
        const safe = neutralise(text)
        assert.equal(neutralise(safe), safe)
      }),
      { numRuns: 2000 },
    )
  })

  test('leaves printable ASCII as it is', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme-ascii' }), (text) => assert.equal(neutralise(text), text)))
  })

  test('checks every code point there is', () => {
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint++) {
      const safe = neutralise(`a${String.fromCodePoint(codePoint)}b`)
      assert.ok(!actsOnTerminal.test(safe) && !hidden.test(safe), `U+${codePoint.toString(16)}`)
    }
  })

  for (const [what, text] of [
    ['accents', 'Café, Ångström, e\u0301'],
    ['wide characters', '日本語 한국어'],
    ['right-to-left letters', 'שלום مرحبا'],
    ['Persian with its non-joiners', 'می\u200cخواهم'],
    ['Sinhala with its joiners', 'ශ්\u200dරී'],
    ['emoji sequences', '👨\u200d👩\u200d👧 ❤️\u200d🔥 👍🏽 🇩🇪 1️⃣ 🏳️\u200d🌈'],
  ] as const) {
    test(`leaves ${what} as they are`, () => assert.equal(neutralise(text), text))
  }

  for (const [what, text, safe] of [
    ['an escape sequence', '\x1b]0;title\x07', '␛]0;title␇'],
    ['a second line', 'a\r\nb', 'a␍␊b'],
    ['an 8-bit control sequence', '\x9b2J', '\ufffd2J'],
    ['a reversed name', 'invoice\u202efdp.exe', 'invoice\ufffdfdp.exe'],
    ['text smuggled in tags', 'ok\u{e0068}\u{e0069}', 'ok\ufffd\ufffd'],
    ['a lone surrogate', 'a\ud800b', 'a\ufffdb'],
    ['a joiner between letters', 'ad\u200dmin', 'ad\ufffdmin'],
    ['a variation selector on a digit', 'a1\ufe0fb', 'a1\ufffdb'],
  ] as const) {
    test(`makes ${what} visible`, () => assert.equal(neutralise(text), safe))
  }

  test('stops marks from piling up over other lines', () => {
    assert.equal(neutralise(`a${'\u0301'.repeat(1000)}b`), `a${'\u0301'.repeat(8)}${'\ufffd'.repeat(992)}b`)
  })

  test('takes a megabyte of anything', () => {
    for (const unit of ['\u0301', '\u200d', '👩\u200d', '\ud800', '漢', '\x1b']) {
      assert.ok(neutralise(unit.repeat(1024 * 1024)).isWellFormed())
    }
  })
})

describe('display width', () => {
  for (const [text, width] of [
    ['', 0],
    ['abc', 3],
    ['日本', 4],
    ['e\u0301', 1],
    ['👍', 2],
    ['👍🏽', 2],
    ['👨\u200d👩\u200d👧', 2],
    ['❤', 1],
    ['❤️', 2],
    ['🇩🇪', 2],
    ['1️⃣', 2],
    ['한', 2],
    ['\u1112\u1161\u11ab', 2],
    ['ｶﾞ', 2],
    ['\ufffd', 1],
  ] as const) {
    test(`of ${JSON.stringify(text)} is ${width}`, () => assert.equal(displayWidth(text), width))
  }

  test('of a combining mark by itself is nothing', () => assert.equal(codePointWidth(0x301), 0))
})

describe('truncate', () => {
  const text = hostileText.map(neutralise)

  test('never exceeds the columns, and keeps what fits', () => {
    fc.assert(
      fc.property(text, fc.nat(40), (original, columns) => {
        const cut = truncate(original, columns)
        assert.ok(displayWidth(cut) <= columns)
        if (displayWidth(original) <= columns) assert.equal(cut, original)
        else if (columns > 0) {
          assert.ok(cut.endsWith('…') && original.startsWith(cut.slice(0, -1)))
          assert.ok(displayWidth(cut) >= columns - 1, 'at most one column is left over, by a wide character')
        }
      }),
    )
  })

  test('cuts between what is drawn as one, never inside', () => {
    assert.equal(truncate('ab👨\u200d👩\u200d👧cd', 4), 'ab…')
    assert.equal(truncate('ab👨\u200d👩\u200d👧cd', 5), 'ab👨\u200d👩\u200d👧…')
  })
})
