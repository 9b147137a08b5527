// What snapshots carry and what a screen tells and takes. One file: its laws share the generators of output, and the comparison.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { neutralise } from '@teleclaude/core/terminal-text.ts'
import fc from 'fast-check'
import { Screen, type ScreenEvents } from './screen.ts'
import {
  byteLength,
  countInColours,
  cutRecording,
  findDifferences,
  openScreen,
  playOnScreen,
  type Recording,
  readRecording,
  type Step,
  Viewer,
} from './test-terminals.ts'

const recordings: Readonly<Record<string, Recording>> = {
  vim: readRecording('vim'),
  htop: readRecording('htop'),
  less: readRecording('less'),
  'a shell': readRecording('shell'),
  'an Ink program': readRecording('ink'),
  '12,000 coloured lines': countInColours(),
}
const dirty = Object.values(recordings).filter((recording) => byteLength(recording) < 100_000)

const size = { cols: 20, rows: 6 }
const esc = '\x1b'
const titleSequence = new RegExp(`${esc}\\]2;([^\\u0007]*)\\u0007`)
const blinkSequence = new RegExp(`${esc}\\[\\?12[hl]`)
const bytesOf = (text: string) => Buffer.from(text)

function listen(): { events: ScreenEvents; heard: string[] } {
  const heard: string[] = []
  const events: ScreenEvents = {
    reply: (bytes) => heard.push(`reply ${bytes.toString()}`),
    attention: (kind, text) => heard.push(`${kind} ${text}`),
    title: (text) => heard.push(`title ${text}`),
  }
  return { events, heard }
}

/** A terminal that showed something else before, at the same size as the other by now. */
async function openUsed(other: Viewer, recording: Recording | undefined, at: number): Promise<Viewer> {
  const viewer = new Viewer(recording?.size ?? size)
  if (recording !== undefined) await viewer.play(cutRecording(recording, at % byteLength(recording)).before)
  viewer.terminal.resize(other.terminal.cols, other.terminal.rows)
  return viewer
}

describe('a snapshot and the output after it show', () => {
  for (const [name, recording] of Object.entries(recordings)) {
    const total = byteLength(recording)
    const isLong = total > 100_000
    test(`${name} as a terminal that was there all along`, async () => {
      const cut = fc.integer({ min: 0, max: total })
      await fc.assert(
        fc.asyncProperty(cut, fc.constantFrom(...dirty), fc.nat(), async (at, before, until) => {
          const parts = cutRecording(recording, at)
          const there = new Viewer(recording.size)
          await there.play(parts.before)
          const screen = await openScreen(recording.size, parts.before)
          const joined = await openUsed(there, before, until)
          await joined.write(screen.snapshot())
          assert.deepEqual(await findDifferences(there, joined, { queries: false }), [])
          if (there.title !== null) assert.equal(joined.title, neutralise(there.title))
          await there.play(parts.after)
          await joined.play(parts.after)
          assert.deepEqual(await findDifferences(there, joined, { queries: true }), [])
          for (const { terminal } of [there, joined]) terminal.dispose()
          screen.dispose()
        }),
        { numRuns: isLong ? 3 : 25, examples: isLong ? [[total, recordings.vim ?? recording, 20_000]] : [] },
      )
    })
  }

  test('all 10,000 lines that scrolled off', async () => {
    const { size, steps } = countInColours()
    const screen = await openScreen(size, steps)
    const joined = new Viewer(size)
    await joined.write(screen.snapshot())
    assert.equal(joined.terminal.buffer.active.baseY, 10_000)
    assert.match(joined.terminal.buffer.active.getLine(10_010)?.translateToString(true) ?? '', /^12000 has/)
  })
})

const text = fc.constantFrom(
  'a',
  'abc',
  'hello world ',
  '漢字',
  '👩',
  'e\u0301',
  '0123456789'.repeat(3),
  '漢'.repeat(12),
  'q',
  'lqk',
  '~',
)
const control = fc.constantFrom(...'\n\r\b\t\x0e\x0f\x0b\x07\x7f'.split(''), '\r\n', '\u0088', '\u0084')
const params = fc.constantFrom('', '1', '2', '3', '5', '8', '20', '3;4', '2;19', '5;1')
const act = fc
  .tuple(params, fc.constantFrom(...'ABCDEFGHJKLMPX@STIZbde`f'.split('')))
  .map(([count, final]) => `\x1b[${count}${final}`)
const style = fc
  .constantFrom(
    '0',
    '1',
    '2',
    '3',
    '4',
    '4:3',
    '5',
    '7',
    '8',
    '9',
    '21',
    '22',
    '24',
    '27',
    '31',
    '42',
    '97',
    '104',
    '38;5;9',
    '48;5;200',
    '38;2;1;2;3',
    '53',
    '39',
    '49',
  )
  .map((attribute) => `\x1b[${attribute}m`)
// Without 7: what a wide character leaves in the last column, where nothing wraps, is the emulator's own affair.
const mode = fc
  .tuple(
    fc.constantFrom(
      1,
      5,
      6,
      12,
      25,
      45,
      9,
      1000,
      1002,
      1003,
      1004,
      1005,
      1006,
      1015,
      1016,
      2004,
      2026,
      47,
      1047,
      1048,
      1049,
    ),
    fc.constantFrom('h', 'l'),
  )
  .map(([number, state]) => `\x1b[?${number}${state}`)
const setting = fc.constantFrom(
  ...'78DEHM=>cno~'.split('').map((final) => `\x1b${final}`),
  ...['(0', '(B', ')0', '(A', '*0'].map((charset) => `\x1b${charset}`),
  ...[
    's',
    'u',
    '!p',
    '4h',
    '4l',
    '20h',
    '20l',
    'g',
    '3g',
    '2;4r',
    'r',
    '3;5r',
    '3 q',
    '>1u',
    '>5u',
    '<u',
    '=5;2u',
    '>4;2m',
    '22;0t',
    '23;0t',
  ].map((sequence) => `\x1b[${sequence}`),
  '\x1b]0;title\x07',
  '\x1b]2;other\x1b\\',
  '\x1bP$qm\x1b\\',
  '\x1b_abc\x1b\\',
)
const output = fc
  .array(fc.oneof(text, text, control, act, act, style, style, mode, setting), { maxLength: 60 })
  .map((parts) => parts.join(''))
const unfinished = fc.constantFrom('', '\x1b', '\x1b[', '\x1b[3', '\x1b[?2', '\x1b]', '\x1b]2;ab', '\x1b(')
/** Uses whatever is hidden: the saved cursor, charsets, inserting, tab stops, margins, the other screen. */
const probe =
  '\x18\x1b\\P\x1b8Q\x0eq\x0fq\x1bnq\x0f\x1b[4lA\tB\tC\r\n\x1b[2BX\x1b[99BY\n\n\nZ\x1b[?1049lW\x1b8V\tU\n\nT'

/** The emulator brings back with a cursor (DECRC) which charset was in use, and not what was designated, where other terminals bring
 *  back both. What it then shows after the next SI, no snapshot can bring about. */
function isOwnToEmulator(text: string): boolean {
  const sequences = text.split('\x1b').slice(1)
  const designates = sequences.some((sequence) => /^[()*+\-.][^B]/.test(sequence))
  return designates && sequences.some((sequence) => /^(?:8|\[u|\[\?[\d;]*104[89][\d;]*l)/.test(sequence))
}

describe('a snapshot', () => {
  test('brings a used terminal to the same state, whatever came before, and goes on alike, cut anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(
        output,
        unfinished,
        output,
        output,
        fc.integer({ min: 0, max: 3 }),
        async (before, half, after, used, back) => {
          fc.pre(!isOwnToEmulator(before + half + after))
          const all = bytesOf(before + half)
          const first = all.subarray(0, all.length - back)
          const [there, joined] = [new Viewer(size), new Viewer(size)]
          const screen = await openScreen(size, [first])
          await there.write(first)
          await joined.write(used)
          await joined.write(screen.snapshot())
          assert.deepEqual(await findDifferences(there, joined, { queries: false, blanksAlike: true }), [])
          for (const viewer of [there, joined]) {
            await viewer.write(all.subarray(first.length))
            await viewer.write(`\x18\x1b\\${after}`)
          }
          assert.deepEqual(await findDifferences(there, joined, { queries: false, blanksAlike: true }), [])
          for (const viewer of [there, joined]) await viewer.write(probe)
          assert.deepEqual(await findDifferences(there, joined, { queries: true, blanksAlike: true }), [])
          for (const { terminal } of [there, joined]) terminal.dispose()
          screen.dispose()
        },
      ),
      { numRuns: 150 },
    )
  })

  // Only the second of them: where a cursor waits to wrap on a cell that nobody wrote into, the snapshot leaves a blank in there.
  test('of a screen that got a snapshot brings about the same snapshot', async () => {
    await fc.assert(
      fc.asyncProperty(output, unfinished, output, async (before, half, used) => {
        const screens = await Promise.all([before + half, used, used].map((each) => openScreen(size, [bytesOf(each)])))
        const [one, other, third] = screens as [Screen, Screen, Screen]
        // A title stays, and how the cursor blinks, where the program never said anything about them.
        await other.write(one.snapshot())
        await third.write(other.snapshot())
        const strip = (snapshot: Buffer) => snapshot.toString().replace(titleSequence, '').replace(blinkSequence, '')
        assert.equal(strip(third.snapshot()), strip(other.snapshot()))
        for (const screen of screens) screen.dispose()
      }),
      { numRuns: 150, examples: [[`${'0123456789'.repeat(6)}\x1b[S`, '', '']] },
    )
  })

  for (const [what, output, expected] of [
    ['keyboards of both screens', '\x1b[>1u\x1b[>3u\x1b[?1049h\x1b[>7u', ['\x1b[>1u\x1b[>3u', '\x1b[>7u']],
    ['a keyboard that was set and not stacked', '\x1b[=5u', ['\x1b[=5u']],
    ['keyboards that were unstacked', '\x1b[>1u\x1b[>3u\x1b[<u', ['\x1b[>1u']],
    ['keys with modifiers', '\x1b[>4;2m', ['\x1b[>4;2m']],
    ['reverse video', '\x1b[?5h', ['\x1b[?5h']],
    ['the shape of the cursor', '\x1b[5 q', ['\x1b[5 q']],
    ['a hidden cursor', '\x1b[?25l', ['\x1b[?25l']],
    ['a cursor that is to blink', '\x1b[?12h', ['\x1b[?12h']],
    ['the mouse and how it is reported', '\x1b[?1002;1006h', ['\x1b[?1002h', '\x1b[?1006h']],
    ['an encoding of the mouse that the emulator does not know', '\x1b[?1000;1015h', ['\x1b[?1000h', '\x1b[?1015h']],
    ['a title that was put back', '\x1b]2;mine\x07\x1b[22;2t\x1b]2;other\x07\x1b[23;2t', ['\x1b]2;mine\x07']],
  ] as const) {
    test(`tells ${what}`, async () => {
      const screen = await openScreen(size, [bytesOf(output)])
      const text = screen.snapshot().toString()
      for (const part of expected) assert.ok(text.includes(part), JSON.stringify(text))
    })
  }

  test('never leaves output held back', async () => {
    const screen = await openScreen(size, [bytesOf('\x1b[?2026h\x1b[?1049hx')])
    const viewer = new Viewer(size)
    await viewer.write('\x1b[?2026h')
    await viewer.write(screen.snapshot())
    assert.equal(viewer.terminal.modes.synchronizedOutputMode, false)
  })

  test('keeps what a terminal scrolled off, where that is asked for', async () => {
    const screen = await openScreen(size, [bytesOf('new')])
    const viewer = new Viewer(size)
    await viewer.write(Array.from({ length: 20 }, (_, row) => `old ${row}\r\n`).join(''))
    await viewer.write(screen.snapshot({ clearScrollback: false }))
    assert.equal(viewer.terminal.buffer.active.getLine(0)?.translateToString(true), 'old 0')
    await viewer.write(screen.snapshot())
    assert.equal(viewer.terminal.buffer.active.length, size.rows)
  })

  test('stays within bounds where every character has colours of its own', { timeout: 60_000 }, async () => {
    const wide = { cols: 200, rows: 5 }
    const screen = new Screen(wide, { events: listen().events })
    for (let row = 0; row < 1500; row++) {
      const cells = Array.from(
        { length: 190 },
        (_, column) => `\x1b[38;2;${row & 255};${column};1;48;2;2;${column};3mx`,
      )
      await screen.write(bytesOf(`${row} ${cells.join('')}\x1b[m\r\n`))
    }
    const snapshot = screen.snapshot()
    assert.ok(snapshot.length < 10_000_000 && snapshot.length > 2_000_000)
    const viewer = new Viewer(wide)
    await viewer.write(snapshot)
    const { active } = viewer.terminal.buffer
    assert.match(active.getLine(active.length - 2)?.translateToString() ?? '', /^1499 x/)
  })

  test('has a picture or a command that was cut in two pass unseen', async () => {
    const screen = await openScreen(size, [bytesOf('a\x1bPq#0;2;0;0;0')])
    const viewer = new Viewer(size)
    await viewer.write(screen.snapshot())
    await viewer.write('~~@@vv\x1b\\b')
    assert.equal(viewer.terminal.buffer.active.getLine(0)?.translateToString(true), 'ab')
  })

  test('holds nothing of titles that acts on a terminal', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), async (title) => {
        const screen = await openScreen(size, [bytesOf(`\x1b]2;${title}\x07`)])
        const shown = titleSequence.exec(screen.snapshot().toString())?.[1] ?? ''
        assert.equal(shown, neutralise(shown))
        assert.ok(shown.length <= 600)
        screen.dispose()
      }),
    )
  })
})

describe('a screen tells', () => {
  for (const [what, output, expected] of [
    ['of a bell', 'a\x07b\x07', ['bell null']],
    ['of no bell at the end of a command', '\x1b]2;t\x07', ['title t']],
    ['of a notification', '\x1b]9;done\x07', ['notification done']],
    ['of one with title and body', '\x1b]777;notify;Claude;it; waits\x1b\\', ['notification Claude: it; waits']],
    ['of no progress', '\x1b]9;4;1;50\x07\x1b]9;4\x07\x1b]9;9;/tmp\x07', []],
    ['the last title', '\x1b]0;one\x07\x1b]2;two\x07', ['title two']],
    ['a title safe to print', '\x1b]2;a\u202eb\tc\x07', ['title a\ufffdbc']],
    ['a notification cut to what one reads', `\x1b]9;${'x'.repeat(300)}\x07`, [`notification ${'x'.repeat(199)}…`]],
    ['nothing of a command without end', `\x1b]9;${'x'.repeat(10_000)}\x07`, []],
    ['what a terminal answers', '\x1b[6n\x1b[c\x1b[?2004$p', ['reply \x1b[1;1R\x1b[?1;2c\x1b[?2004;2$y']],
  ] as const) {
    test(what, async () => {
      const { events, heard } = listen()
      await openScreen(size, [bytesOf(output)], events)
      assert.deepEqual(heard, expected)
    })
  }

  test('no more answers than a program could read', async () => {
    const { events, heard } = listen()
    await openScreen(size, [bytesOf('\x1b[c'.repeat(20_000))], events)
    assert.ok(heard.join('').length <= 4200)
  })

  test('whether pastes are to be in brackets', async () => {
    const screen = await openScreen(size, [bytesOf('\x1b[?2004h')])
    assert.equal(screen.bracketedPaste, true)
    await screen.write(bytesOf('\x1b[?2004l'))
    assert.equal(screen.bracketedPaste, false)
  })
})

describe('a screen takes', () => {
  test('writes and resizes in the order they were asked for', async () => {
    const screen = new Screen({ cols: 10, rows: 3 }, { events: listen().events })
    void screen.write(bytesOf('0123456789'.repeat(100)))
    screen.resize({ cols: 30, rows: 3 })
    await screen.write(bytesOf('\x1b[H\x1b[2J\x1b[30GX'))
    const viewer = new Viewer({ cols: 30, rows: 3 })
    await viewer.write(screen.snapshot())
    assert.equal(
      viewer.terminal.buffer.active.getLine(viewer.terminal.buffer.active.baseY)?.translateToString(true),
      `${' '.repeat(29)}X`,
    )
  })

  test('what is under way into its snapshot, at any moment', async () => {
    const { steps, size } = recordings.vim ?? readRecording('vim')
    const parts = steps.filter((step) => Buffer.isBuffer(step))
    const there = new Viewer(size)
    for (const part of parts) await there.write(part)
    for (let turns = 0; turns < 30; turns += 3) {
      const screen = new Screen(size, { events: listen().events })
      const written = parts.map((part) => screen.write(part))
      for (let turn = 0; turn < turns; turn++) await (turn % 2 === 0 ? null : new Promise(setImmediate))
      const joined = new Viewer(size)
      await joined.write(screen.snapshot())
      assert.deepEqual(await findDifferences(there, joined, { queries: false }), [])
      await Promise.all(written)
      screen.dispose()
    }
  })

  test('nothing any more when it is disposed of', async () => {
    const { events, heard } = listen()
    const screen = new Screen(size, { events })
    const written = screen.write(bytesOf('\x07'.repeat(60_000)))
    screen.dispose()
    await written
    await screen.write(bytesOf('\x07'))
    assert.deepEqual(heard, [])
  })

  for (const [cols, rows] of [
    [1, 1],
    [2, 1],
    [1, 50],
    [10_000, 10_000],
    [10_000, 1],
    [3, 10_000],
  ] as const) {
    test(`any bytes, at ${cols} x ${rows}`, { timeout: 60_000 }, async () => {
      const screen = new Screen({ cols, rows }, { events: listen().events })
      for (let part = 0; part < 4; part++) await screen.write(randomBytes(64 * 1024))
      await screen.write(bytesOf(`\x18\x1b\\\x1b[2J\x1b[H${'漢e\u0301'.repeat(500)}`))
      const viewer = new Viewer({
        cols: Math.max(cols, 2),
        rows: Math.min(rows, Math.floor((1024 * 1024) / Math.max(cols, 2))),
      })
      await viewer.write(screen.snapshot())
      await screen.write(bytesOf('end'))
      assert.ok(screen.snapshot().length > 0)
      screen.dispose()
    })
  }

  test('bytes of every kind between resizes', { timeout: 60_000 }, async () => {
    const step: fc.Arbitrary<Step> = fc.oneof(
      fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
      output.map(bytesOf),
      output.map(bytesOf),
      fc.record({ cols: fc.integer({ min: 1, max: 50 }), rows: fc.integer({ min: 1, max: 20 }) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const screen = new Screen(size, { scrollback: 30, events: listen().events })
        await playOnScreen(screen, steps)
        assert.ok(screen.snapshot().length > 0)
        screen.dispose()
      }),
      { numRuns: 150 },
    )
  })

  for (const [what, part] of [
    ['commands', '\x1b]52;c;'],
    ['device control strings', '\x1bPq'],
    ['strings that nobody reads', '\x1b_'],
    ['parameters', '\x1b['],
  ] as const) {
    test(`${what} without end, in bounded memory`, { timeout: 60_000 }, async () => {
      const screen = new Screen(size, { events: listen().events })
      await screen.write(bytesOf(`before${part}`))
      const fill = bytesOf('1;'.repeat(32 * 1024))
      for (let written = 0; written < 32; written++) await screen.write(fill)
      const snapshot = screen.snapshot()
      assert.ok(snapshot.length < 10_000)
      const viewer = new Viewer(size)
      await viewer.write(snapshot)
      assert.equal(viewer.terminal.buffer.active.getLine(0)?.translateToString(true), 'before')
      screen.dispose()
    })
  }

  test('a flood of what costs an emulator most', { timeout: 60_000 }, async () => {
    const screen = new Screen({ cols: 200, rows: 50 }, { events: listen().events })
    for (const costly of [
      '\x1b[49L',
      '\x1b[49M',
      '\x1b[2J',
      '\x1b[200 @',
      '\x1b[999999999S',
      '\x1b#8',
      '\x1b[200b',
      '\x0e\x0f',
      '\x1b[H\x1b[1J',
      '\x1b]8;;u\x07a',
      '\x1b[?1049h\x1b[?1049l',
    ]) {
      await screen.write(bytesOf(costly.repeat(Math.floor(16_384 / costly.length))))
    }
    assert.ok(screen.snapshot().length > 0)
    screen.dispose()
  })
})
