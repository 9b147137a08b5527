import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeChunk, encodeResize, encodeSnapshotPart } from '@teleclaude/core/transcript.ts'
import { Display, type Output } from './display.ts'

/** What an output got. */
function capture(isTTY: boolean) {
  let shown = ''
  const output: Output = {
    isTTY,
    getWindowSize: () => [80, 3],
    write: (text) => {
      shown += Buffer.from(text).toString('utf8')
    },
  }
  return { output, shown: () => shown }
}

const chunk = (seq: number, text: string) => encodeChunk({ seq, kind: 'output', offsetUs: 0, bytes: Buffer.from(text) })
const part = (seq: number, text: string, isLast: boolean) =>
  encodeSnapshotPart({ seq, isLast, bytes: Buffer.from(text) })

function show(afterSeq: number | null, frames: readonly Buffer[]) {
  const { output, shown } = capture(false)
  const display = new Display(afterSeq, () => undefined, output)
  for (const frame of frames) display.take(frame)
  return { display, shown: shown() }
}

test('a snapshot is shown when it is whole, and what follows it goes on from there', () => {
  const { display, shown } = show(null, [part(7, 'one ', false), part(7, 'two ', true), chunk(8, 'three')])
  assert.equal(shown, 'one two three')
  assert.equal(display.seenSeq, 8)
})

test('output that comes between its parts is shown at once, and again on top of it', () => {
  const frames = [chunk(7, 'a'), part(7, 'S', false), chunk(8, 'b'), part(7, 'T', true), chunk(9, 'c')]
  const { display, shown } = show(6, frames)
  assert.equal(shown, 'abSTbc')
  assert.equal(display.seenSeq, 9)
})

test('output that came since a snapshot was asked for, and is newer, is shown again on top of it', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { output, shown } = capture(true)
  const display = new Display(5, () => undefined, output)
  display.take(chunk(6, 'a'))
  display.repaint()
  t.mock.timers.tick(200)
  for (const frame of [chunk(7, 'b'), chunk(8, 'c'), part(7, 'S', true), chunk(9, 'd')]) display.take(frame)
  assert.equal(shown(), 'abcScd')
})

test('a snapshot that is older than what is shown, and nobody knows by what, is passed over', () => {
  const { shown } = show(0, [chunk(1, 'a'), chunk(2, 'b'), part(1, 'S', true), chunk(3, 'c')])
  assert.equal(shown, 'abc')
})

test('where the connection breaks before the snapshot comes, it is asked for again', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let asked = 0
  const display = new Display(5, () => asked++, capture(true).output)
  display.goOn()
  assert.equal(asked, 0)
  display.repaint()
  t.mock.timers.tick(200)
  display.breakOff()
  display.goOn()
  assert.equal(asked, 2)
  display.take(part(7, 'S', true))
  display.goOn()
  assert.equal(asked, 2)
})

test('chunks that a snapshot has already are not shown again', () => {
  const { display, shown } = show(2, [part(7, 'S', true), chunk(6, 'old'), chunk(7, 'old'), chunk(8, 'new')])
  assert.equal(shown, 'Snew')
  assert.equal(display.seenSeq, 8)
})

test('of a snapshot that broke off nothing is shown, whether the connection did or the runner', () => {
  const { output, shown } = capture(false)
  const display = new Display(null, () => undefined, output)
  display.take(part(7, 'torn', false))
  display.breakOff()
  assert.equal(display.seenSeq, null, 'a snapshot is still to come')
  display.take(part(8, 'torn', false))
  display.take(part(9, 'whole', true))
  assert.equal(shown(), 'whole')
})

test('a change of the size is told, and changes nothing that is shown', () => {
  const { output, shown } = capture(false)
  const display = new Display(0, () => undefined, output)
  const frame = encodeChunk({ seq: 1, kind: 'resize', offsetUs: 0, bytes: encodeResize({ cols: 90, rows: 25 }) })
  assert.deepEqual(display.take(frame), { cols: 90, rows: 25 })
  assert.equal(display.take(chunk(2, 'a')), null)
  assert.equal(shown(), 'a')
})

test('the first snapshot scrolls off what was there and keeps it; later ones are as they come', () => {
  const { output, shown } = capture(true)
  const display = new Display(null, () => undefined, output)
  display.take(part(1, '\x1b[2J\x1b[3Jfirst', true))
  display.take(part(2, '\x1b[2J\x1b[3Jsecond', true))
  assert.equal(shown(), '\x1b[3;1H\n\n\n\x1b[2Jfirst\x1b[2J\x1b[3Jsecond')
})

test('a notice is drawn as soon as there is a screen, stays through snapshots, and the screen is shown anew after it', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { output, shown } = capture(true)
  let asked = 0
  const display = new Display(null, () => asked++, output)
  display.say('look here')
  assert.equal(shown(), '')
  display.take(part(1, 'S', true))
  display.take(part(2, 'T', true))
  assert.equal(shown().match(/look here/g)?.length, 2)
  t.mock.timers.tick(3_000)
  assert.equal(asked, 1)
  display.take(part(3, 'U', true))
  assert.ok(shown().endsWith('U'))
})

test('what a program has switched on by its snapshot is switched off when the terminal leaves', () => {
  const { output, shown } = capture(true)
  const display = new Display(null, () => undefined, output)
  display.take(part(1, '\x1b[?1049h\x1b[?1000hS', true))
  display.leave()
  assert.ok(shown().endsWith('S\x1b[?1000l\x1b[?1049l\x1b[0m'))
})

test('a notice that stays is not pushed away by another, which follows it', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { output, shown } = capture(true)
  let asked = 0
  const display = new Display(null, () => asked++, output)
  display.take(part(1, 'S', true))
  display.say('carol opened this', { forMs: 8_000, stays: true })
  display.say('carol drives')
  assert.doesNotMatch(shown(), /drives/)
  t.mock.timers.tick(8_000)
  assert.match(shown(), /carol drives/)
  assert.equal(asked, 0)
  t.mock.timers.tick(3_000)
  assert.equal(asked, 1)
})
