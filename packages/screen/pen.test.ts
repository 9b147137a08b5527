import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { changePen, type Pen, penOf, plainPen, takeUp } from './pen.ts'
import { Viewer } from './test-terminals.ts'

const colours = [
  '38;5;9',
  '48;5;200',
  '38;2;1;2;3',
  '48:2::4:5:6',
  '38:5:7',
  '48:2:7:8:9',
  '58:5:3',
  '58;2;9;8;7',
  '38;7',
  '48',
  '38;5',
]
const attribute = fc.oneof(
  fc.integer({ min: 0, max: 110 }).map(String),
  fc.constantFrom('', '4:0', '4:2', '4:3', '4:9', '4:', ...colours),
)
const sgr = fc.array(attribute, { minLength: 1, maxLength: 6 }).map((parts) => `\x1b[${parts.join(';')}m`)

test('a pen is what the emulator makes of the same sequences, and is taken up by its own', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sgr, { maxLength: 5 }), async (sequences) => {
      const viewer = new Viewer({ cols: 10, rows: 2 })
      let pen: Pen = plainPen
      viewer.terminal.parser.registerCsiHandler({ final: 'm' }, (params) => {
        pen = changePen(pen, params)
        return false
      })
      await viewer.write(`${sequences.join('')}x`)
      const heard = pen
      const seen = readPen(viewer, 0)
      assert.deepEqual({ ...heard, underlineColour: seenUnderline(heard) }, seen)
      await viewer.write(`${takeUp(heard)}y`)
      assert.deepEqual(readPen(viewer, 1), seen)
    }),
    { numRuns: 500 },
  )
})

/** What a cell tells of the colour: nothing without a line, nor where it is that of the text; and white is none to the emulator. */
function seenUnderline({ underline, underlineColour, foreground }: Pen): string {
  const ofText = foreground.replace(/^38;5;/, '58:5:').replace(/^38;2;(\d+);(\d+);(\d+)$/, '58:2::$1:$2:$3')
  return underline === 0 || underlineColour === ofText || underlineColour === '58:2::255:255:255' ? '' : underlineColour
}

function readPen({ terminal }: Viewer, column: number): Pen {
  const cell = terminal.buffer.active.getLine(0)?.getCell(column)
  assert.ok(cell)
  return penOf(cell)
}
