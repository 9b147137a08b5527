import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import fc from 'fast-check'
import { Emulator } from './emulator.ts'
import { cutAnywhere } from './fixtures.ts'

type Step = string | { readonly cols: number; readonly rows: number }

async function show(steps: readonly Step[], { cols = 20, rows = 4, colour = false } = {}): Promise<string> {
  const emulator = new Emulator({ cols, rows }, { colour })
  let text = ''
  for (const step of steps) {
    if (typeof step !== 'string') text += [...emulator.resize(step)].join('')
    else for await (const piece of emulator.write(step)) text += piece
  }
  return text + [...emulator.end()].join('')
}

const size = fc.record({ cols: fc.integer({ min: 1, max: 40 }), rows: fc.integer({ min: 1, max: 12 }) })
const cuts = fc.infiniteStream(fc.integer({ min: 1, max: 64 }))
const cut = (text: string, sizes: Iterator<number>) =>
  cutAnywhere(Buffer.from(text), sizes).map((part) => part.toString())

describe('lines', () => {
  test('come out as they went in, however they wrap and the output is cut', async () => {
    const lines = fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 100 }), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(lines, size, cuts, fc.boolean(), async (original, terminal, sizes, colour) => {
        const text = await show(cut(original.map((line) => `${line}\r\n`).join(''), sizes), { ...terminal, colour })
        assert.equal(
          text.trimEnd(),
          original
            .map((line) => line.replace(/ +$/, ''))
            .join('\n')
            .trimEnd(),
        )
      }),
    )
  })

  test('come out whole though the window is resized between them', async () => {
    const line = fc.stringMatching(/^[a-z]{1,100}$/)
    const steps = fc.array(fc.oneof({ arbitrary: line, weight: 3 }, { arbitrary: size, weight: 1 }), { maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(steps, size, async (original, terminal) => {
        const shown = await show(
          original.map((step) => (typeof step === 'string' ? `${step}\r\n` : step)),
          terminal,
        )
        const lines = original.filter((step) => typeof step === 'string')
        assert.equal(shown, lines.map((text) => `${text}\n`).join(''))
      }),
      { numRuns: 500 },
    )
  })

  for (const [cols, rows] of [
    [1, 1],
    [2, 2],
    [80, 24],
    [10_000, 3],
    [10_000, 10_000],
  ] as const) {
    test(`are as many as went in on ${cols} x ${rows}`, async () => {
      const count = 20_000
      const text = '1\r\n'.repeat(count)
      assert.equal(await show([text], { cols, rows }), '1\n'.repeat(count))
    })
  }

  test('are as many as went in, where only blank ones lie between', async () => {
    const count = 200_000
    assert.equal(await show([`a${'\n'.repeat(count)}\rb\r\n\r\n\r\n`]), `a${'\n'.repeat(count)}b\n`)
  })

  test('without an end are one line', async () => {
    const line = 'x'.repeat(1_000_000)
    assert.equal(await show([line]), `${line}\n`)
  })

  test('scroll off above a fixed last row', async () => {
    const text = Array.from({ length: 100 }, (_, index) => `\r\n${index}`).join('')
    const shown = await show([`\x1b[4;1Hstatus\x1b[1;3r\x1b[1;1H${text}`])
    assert.equal(shown, `\n${Array.from({ length: 100 }, (_, index) => `${index}\n`).join('')}status\n`)
  })

  test('keep wide characters that did not fit at the end of a row next to each other', async () => {
    assert.equal(await show(['漢字漢字漢字'], { cols: 5 }), '漢字漢字漢字\n')
    assert.equal(await show(['漢字漢字漢字'], { cols: 5, colour: true }), '漢字漢字漢字\n')
  })
})

describe('a screen', () => {
  for (const [what, steps, shown] of [
    ['that is empty shows nothing', [''], ''],
    ['shows what was overwritten last', ['abc\rX\r\n50%\r100%'], 'Xbc\n100%\n'],
    ['that is cleared stays in the record', ['one\r\ntwo\x1b[H\x1b[2J\x1b[3Jthree'], 'one\ntwo\nthree\n'],
    ['that is cleared from its corner stays in the record', ['one\r\ntwo\x1b[H\x1b[Jthree'], 'one\ntwo\nthree\n'],
    ['that is reset stays in the record', ['1\r\n2\r\n3\r\n4\r\n5\x1bcsix'], '1\n2\n3\n4\n5\nsix\n'],
    ['that is scrolled up stays in the record', ['1\r\n2\r\n3\r\n4\x1b[2S\x1b[1;1H5'], '1\n2\n5\n4\n'],
    ['erased up to its last cell does not end the work', ['a\x1b[4;20H\x1b[1Jb'], 'a\n\n\n                   b\n'],
    [
      'of a program that has left is gone',
      ['$ vim\r\n\x1b[?1049h\x1b[2JText\r\n~\x1b[?1049l$ exit'],
      '$ vim\n$ exit\n',
    ],
    ['of a program that never left is shown', ['$ vim\r\n\x1b[?1049h\x1b[HText'], '$ vim\nText\n'],
    ['of tabs has blanks', ['a\tb'], 'a       b\n'],
    ['without autowrap is cut', ['\x1b[?7l0123456789012345678901234'], '01234567890123456784\n'],
    ['of box drawing shows it', ['\x1b(0lqk\x1b(B'], '┌─┐\n'],
  ] as const) {
    test(what, async () => assert.equal(await show(steps), shown))
  }

  test('keeps what stays in its region out of the lines that scroll off', async () => {
    const shown = await show(['head\x1b[2;4r\x1b[2;1H', '1\r\n2\r\n3\r\n4\r\n5'])
    assert.equal(shown, 'head\n3\n4\n5\n')
  })

  test('that scrolls lines off and goes over to the alternate one loses none', async () => {
    const round = (n: number) => `${'x\r\n'.repeat(50)}${n}\r\n\x1b[?1049h${'alt\r\n'.repeat(50)}\x1b[?1049l`
    const shown = await show(Array.from({ length: 200 }, (_, n) => round(n)))
    assert.equal(shown, Array.from({ length: 200 }, (_, n) => `${'x\n'.repeat(50)}${n}\n`).join(''))
  })
})

describe('colours', () => {
  for (const [what, text, shown] of [
    ['of 16', '\x1b[31;102mx\x1b[39my\x1b[0mz', '\x1b[0;31;102mx\x1b[0;102my\x1b[0mz\n'],
    ['of 256', '\x1b[38;5;200;48;5;16mx', '\x1b[0;38;5;200;48;5;16mx\x1b[0m\n'],
    ['of 24 bits', '\x1b[38;2;1;2;3;48:2::4:5:6mx', '\x1b[0;38;2;1;2;3;48;2;4;5;6mx\x1b[0m\n'],
    ['and attributes', '\x1b[1;2;3;4;7;9mx', '\x1b[0;1;2;3;4;7;9mx\x1b[0m\n'],
    ['begin anew on each line', '\x1b[31mx\r\ny', '\x1b[0;31mx\x1b[0m\n\x1b[0;31my\x1b[0m\n'],
    ['of blanks that were written stay', '\x1b[41m  \x1b[0m   ', '\x1b[0;41m  \x1b[0m\n'],
    ['of what was erased go', 'a\x1b[41m\x1b[K', 'a\n'],
    ['hide nothing', '\x1b[8mconcealed', 'concealed\n'],
  ] as const) {
    test(what, async () => assert.equal(await show([text], { colour: true }), shown))
  }
})

const esc = '\x1b'
const sgr = new RegExp(`${esc}\\[0(;\\d+)*m`, 'g')

/** Bytes of every kind, and enough of sequences to get anywhere. */
const hostile = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.string({ unit: 'grapheme-ascii', maxLength: 20 }),
      fc
        .tuple(
          fc.constantFrom('', '?', '!', '>', ' '),
          fc.array(fc.constantFrom('', '0', '1', '2', '3', '7', '24', '47', '1049', '999999999', '4:3'), {
            maxLength: 4,
          }),
          fc.constantFrom(...'@ABCDEFGHIJKLMPSTXZabcdefghlmnpqrstux'),
        )
        .map(([prefix, params, final]) => `\x1b[${prefix}${params.join(';')}${final}`),
      fc.constantFrom(...'78DEHMNOPXZ^_c=>n|}~'.split('').map((final) => `\x1b${final}`)),
      fc.constantFrom(
        '\r\n',
        '漢',
        '👩\u200d',
        '\u0301',
        '\u202e',
        '\u2066',
        '\u009b2J',
        '\x1b]8;;x\x07',
        '\x1bP$qm\x1b\\',
        '\x1b#8',
      ),
    ),
    { maxLength: 80 },
  )
  .map((parts) => parts.join(''))

describe('a hostile transcript', () => {
  test('gives nothing that acts on a terminal, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(hostile, size), { maxLength: 10 }),
        size,
        fc.boolean(),
        async (steps, terminal, colour) => {
          const text = await show(steps, { ...terminal, colour })
          const plain = colour ? text.replaceAll(sgr, '') : text
          for (const line of plain.split('\n')) assert.equal(line, neutralise(line))
        },
      ),
      { numRuns: 500 },
    )
  })

  for (const [what, text, shown] of [
    ['an endless command', `a\x1b]0;${'x'.repeat(10_000_000)}`, 'a\n'],
    ['an endless device control string', `a\x1bP${'x'.repeat(10_000_000)}`, 'a\n'],
    ['an endless parameter', `a\x1b[${'9'.repeat(10_000_000)}Cb`, 'a                  b\n'],
    ['endless parameters', `a\x1b[${'1;'.repeat(5_000_000)}mb`, 'ab\n'],
    [
      'counts without measure',
      'a\x1b[999999999S\x1b[999999999T\x1b[999999999L\x1b[999999999M\x1b[999999999I\x1b[2147483647bb',
      'ab\n',
    ],
    ['links without number', 'a\x1b]8;;u\x07'.repeat(500_000), `${'a'.repeat(500_000)}\n`],
    ['a palette without end', `a\x1b]4;${'1;'.repeat(1_000_000)}\x07b`, 'ab\n'],
    ['test screens without end', '\x1b#8\x1b[2J'.repeat(500_000), ''],
  ] as const) {
    test(`of ${what} is rendered in passing`, { timeout: 60_000 }, async () => assert.equal(await show([text]), shown))
  }

  test('of marks on one character fills no cell without end', async () => {
    const shown = await show([`a${'\u0301'.repeat(1_000_000)}b`])
    assert.ok(shown.startsWith(`a${'\u0301'.repeat(8)}\ufffd`) && shown.endsWith('b\n'))
  })

  test('of giant windows, in turns with tiny ones, stays within bounds', { timeout: 60_000 }, async () => {
    const steps: Step[] = []
    for (let turn = 0; turn < 20; turn++) {
      steps.push({ cols: 10_000, rows: 10_000 }, 'x'.repeat(30_000), '\r\n', { cols: 1, rows: 1 }, 'y\r\n')
    }
    assert.equal(await show(steps), `${'x'.repeat(30_000)}\ny\n`.repeat(20))
  })
})
