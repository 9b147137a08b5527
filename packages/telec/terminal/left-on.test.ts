import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { LeftOn } from './left-on.ts'

function leave(...shown: readonly string[]): string {
  const screen = new LeftOn()
  for (const part of shown) screen.watch(Buffer.from(part))
  return screen.leave()
}

const onMainScreen = '\x1b[0m\r\n\x1b[J'

describe('a terminal that is let go of', () => {
  for (const [what, shown, off] of [
    ['goes on in a new line, and what stood below is taken away', 'colours \x1b[31mred', onMainScreen],
    [
      'gets its cursor, pastes and focus back',
      '\x1b[?25l\x1b[?2004h\x1b[?1004h',
      `\x1b[?1004l\x1b[?2004l\x1b[?25h${onMainScreen}`,
    ],
    ['gets its mouse back', '\x1b[?1000;1006h', `\x1b[?1006l\x1b[?1000l${onMainScreen}`],
    ['gets the main screen back, last of all', '\x1b[?1049h\x1b[?1h\x1b=', '\x1b>\x1b[?1l\x1b[?1049l\x1b[0m'],
    [
      'gets its keyboard back, as often as it was taken',
      '\x1b[>1u\x1b[>5u\x1b[>7u\x1b[<2u\x1b[>4;2m',
      `\x1b[>4m\x1b[<1u${onMainScreen}`,
    ],
    ['gets its margins back, and the cursor stays', '\x1b[3;20r', `\x1b7\x1b[r\x1b8${onMainScreen}`],
    [
      'is left alone where the program has done all that',
      '\x1b[?1049h\x1b[?25l\x1b[>1u\x1b[>4;1m\x1b[2;3r\x1b=\x1b[<u\x1b[>4m\x1b[r\x1b>\x1b[?25h\x1b[?1049l',
      onMainScreen,
    ],
    ['is left alone after a reset', '\x1b[?1049h\x1b[?25l\x1b[>1u\x1bc', onMainScreen],
    ['is left alone in what is not known here', '\x1b[?12h\x1b[4h\x1b[2J\x1b]0;title\x07\x1b[5u', onMainScreen],
  ] as const) {
    test(what, () => assert.equal(leave(shown), off))
  }
})

test('it does not matter how the output is cut up', () => {
  const part = fc.constantFrom(
    '\x1b[?1049h',
    '\x1b[?1049l',
    '\x1b[?25l',
    '\x1b[>1u',
    '\x1b[<u',
    '\x1b[1;5r',
    '\x1b[31m',
    '\x1b',
    '[',
    'text',
    'é\x9b',
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 12 }), fc.nat(), fc.nat(), (parts, one, other) => {
      const text = parts.join('')
      const [first = 0, second = 0] = [one % (text.length + 1), other % (text.length + 1)].toSorted((a, b) => a - b)
      assert.equal(leave(text.slice(0, first), text.slice(first, second), text.slice(second)), leave(text))
    }),
  )
})
