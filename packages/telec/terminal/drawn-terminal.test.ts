import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { describe, test } from 'node:test'
import type { TerminalSize } from '@teleclaude/core/session.ts'
import { Viewer } from '@teleclaude/screen/test-terminals.ts'
import fc from 'fast-check'
import { type Canvas, DrawnTerminal } from './drawn-terminal.ts'
import { hostileBytes, hostileOutput } from './test-hostile-output.ts'

const esc = '\x1b'
const size = { cols: 40, rows: 8 }

/** The terminal of whoever looks on, and all that it got. */
class Desk extends EventEmitter implements Canvas {
  readonly writableNeedDrain = false
  readonly viewer: Viewer
  got = ''
  #size: TerminalSize

  constructor(own: TerminalSize) {
    super()
    this.#size = own
    this.viewer = new Viewer(own)
  }

  getWindowSize(): [number, number] {
    return [this.#size.cols, this.#size.rows]
  }

  write(text: string): void {
    this.got += text
  }

  resize(to: TerminalSize): void {
    this.#size = to
    this.emit('resize')
  }

  async rows(): Promise<readonly string[]> {
    await this.viewer.write(this.got)
    const { active } = this.viewer.terminal.buffer
    const rows = Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? '')
    return rows.map((row) => row.trimEnd()).filter((row) => row !== '')
  }
}

/** What a terminal has of a session at the end, after each of these was drawn. */
async function draw(items: readonly (Uint8Array | string | TerminalSize)[], own = size): Promise<Desk> {
  const desk = new Desk(own)
  const drawn = new DrawnTerminal(size, desk)
  for (const item of items) await new Promise<void>((resolve) => drawn.write(item, () => resolve()))
  await drawn.drawNow()
  await drawn.leave({ isOver: true })
  return desk
}

/** All that may ever get to a terminal: SGR, places, erasing, whether there is a cursor, and text. */
const ours = new RegExp(
  String.raw`^(?:${esc}\[(?:[\d;:]*m|\d+;\d+H|\d+G|K|J|\?25[hl])|\r\n|\n|[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}])*$`,
  'u',
)

for (const name of Object.keys(hostileOutput)) {
  test(`looking at ${name}, a terminal is told nothing but what to draw, answers nothing, and is left as it was`, async () => {
    const desk = await draw(['before\r\n', hostileBytes(name), '\x18\x1b\\\r\nafter'])
    assert.match(desk.got, ours)
    const { viewer } = desk
    await desk.rows()
    assert.equal(viewer.replies, '')
    assert.equal(viewer.title, null)
    const untouched = new Viewer(size)
    assert.deepEqual(viewer.terminal.modes, untouched.terminal.modes)
    assert.equal(viewer.terminal.buffer.active.type, 'normal')
    for (const query of ['\x1b[?25$p', '\x1bP$qm\x1b\\', '\x1bP$qr\x1b\\', '\x1bP$q q\x1b\\'])
      assert.equal(await viewer.ask(query), await untouched.ask(query), JSON.stringify(query))
  })
}

test('whatever bytes come, cut anywhere, nothing but drawing comes out', async () => {
  const piece = fc.oneof(
    fc.constantFrom(...Object.keys(hostileOutput).map(hostileBytes)),
    fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
    fc.string({ unit: 'binary', maxLength: 10 }).map((text) => Buffer.from(text)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 6 }), fc.integer({ min: 1, max: 50 }), async (pieces, cut) => {
      const bytes = Buffer.concat(pieces)
      const parts = Array.from({ length: Math.ceil(bytes.length / cut) }, (_, index) =>
        bytes.subarray(index * cut, (index + 1) * cut),
      )
      const desk = await draw(parts)
      assert.match(desk.got, ours)
      await desk.rows()
      assert.equal(desk.viewer.replies, '')
    }),
    { numRuns: 30 },
  )
})

describe('what is drawn', () => {
  test('is what the session shows: text, wide characters and colours, in their places', async () => {
    const desk = await draw(['one\r\n漢字 😀|e\u0301⚠\ufe0f|\r\n\x1b[31mred\x1b[0m plain\x1b[44m  \x1b[0m|'])
    assert.deepEqual(await desk.rows(), ['one', '漢字 😀|e\u0301⚠|', 'red plain  |'])
    const row = desk.viewer.terminal.buffer.active
    const line = Array.from({ length: row.length }, (_, index) => row.getLine(index)).find((each) =>
      each?.translateToString(true).startsWith('red'),
    )
    assert.equal(line?.getCell(0)?.getFgColor(), 1)
    assert.equal(line?.getCell(4)?.isFgDefault(), true)
    assert.equal(line?.getCell(9)?.getBgColor(), 4)
  })

  test('changes with it, row by row', async () => {
    const desk = new Desk(size)
    const drawn = new DrawnTerminal(size, desk)
    drawn.write('one\r\ntwo')
    await drawn.drawNow()
    desk.got = ''
    drawn.write('\x1b[1;1HONE')
    await drawn.drawNow()
    assert.match(desk.got, /ONE/)
    assert.doesNotMatch(desk.got, /two/)
    await drawn.leave({ isOver: true })
  })

  test('is the part with the cursor, where the terminal is lower than the session, and what fits, where it is narrower', async () => {
    const desk = await draw(['1\r\n2\r\n3\r\n4\r\n5\r\n漢字漢字漢字'], { cols: 5, rows: 3 })
    assert.deepEqual((await desk.rows()).slice(-3), ['4', '5', '漢字'])
  })

  test('is there once, where the terminal is larger than the session', async () => {
    const desk = await draw(['one\r\ntwo'], { cols: 60, rows: 20 })
    assert.deepEqual(await desk.rows(), ['one', 'two'])
  })

  test('is all of it at the end of a session, and no more than it was where somebody lets go', async () => {
    for (const isOver of [true, false]) {
      const desk = new Desk(size)
      const drawn = new DrawnTerminal(size, desk)
      drawn.write('first')
      await drawn.drawNow()
      drawn.write(`${'x'.repeat(20_000)}\x1b[2J\x1b[Hlast`)
      await drawn.leave({ isOver })
      assert.equal((await desk.rows()).includes('last'), isOver)
    }
  })

  test('comes anew when the terminal has another size, and follows that of the session', async () => {
    const desk = new Desk(size)
    const drawn = new DrawnTerminal(size, desk)
    drawn.write('here')
    await drawn.drawNow()
    desk.got = ''
    desk.resize({ cols: 30, rows: 6 })
    drawn.write({ cols: 4, rows: 3 })
    drawn.write('\x1b[2J\x1b[Habcdef')
    await drawn.drawNow()
    assert.ok(desk.got.includes('\x1b[H\x1b[2J'))
    assert.match(desk.got, /abcd.*ef/s)
    assert.deepEqual(drawn.getWindowSize(), [4, 3])
    await drawn.leave({ isOver: true })
  })

  test('to who drives: its program’s cursor keys and pastes, until they leave', async () => {
    const desk = new Desk(size)
    const drawn = new DrawnTerminal(size, desk)
    drawn.write('\x1b[?1h\x1b[?2004h\x1b[?1000h')
    await drawn.drawNow()
    assert.doesNotMatch(desk.got, /\?1h|\?2004h/)
    drawn.drive(true)
    await drawn.drawNow()
    assert.ok(desk.got.includes('\x1b[?1h\x1b[?2004h'))
    assert.doesNotMatch(desk.got, /\?1000/)
    await drawn.leave({ isOver: true })
    assert.ok(desk.got.includes('\x1b[?1l\x1b[?2004l'))
  })
})
