import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ChunkKind, encodeChunk, encodeResize } from '@teleclaude/core/transcript.ts'
import { openTerminal } from '@teleclaude/screen/terminal.ts'
import fc from 'fast-check'
import { ScreenFeed } from './screen-feed.ts'

function make(t: TestContext, lookAheadBytes?: number) {
  const frames = new Map<number, Buffer>()
  const released: number[] = []
  const replies: string[] = []
  const failures: unknown[] = []
  let seq = 0
  const feed = new ScreenFeed({
    size: { cols: 20, rows: 4 },
    ...(lookAheadBytes === undefined ? {} : { lookAheadBytes }),
    read: (wanted) => frames.get(wanted) ?? null,
    release: (upTo) => released.push(upTo),
    events: {
      reply: (bytes) => replies.push(bytes.toString('latin1')),
      attention: () => undefined,
      title: () => undefined,
    },
    failed: (error) => failures.push(error),
  })
  t.after(() => feed.stop())
  const record = (kind: ChunkKind, bytes: Buffer) => {
    seq += 1
    const frame = encodeChunk({ seq, kind, offsetUs: seq, bytes })
    frames.set(seq, frame)
    feed.recorded(seq, frame.length)
    return seq
  }
  return {
    feed,
    frames,
    released,
    replies,
    failures,
    record,
    print: (text: string) => record('output', Buffer.from(text)),
  }
}

/** The rows that a terminal of that size shows after these bytes, without blanks at their ends. */
async function rowsAfter(bytes: Uint8Array, size = { cols: 20, rows: 4 }): Promise<string[]> {
  const terminal = openTerminal(size, { scrollback: 100_000 })
  await new Promise<void>((resolve) => terminal.write(bytes, resolve))
  const { active } = terminal.buffer
  return Array.from({ length: active.length }, (_, row) => active.getLine(row)?.translateToString(true) ?? '')
}

test('a snapshot is the screen after all that is recorded, and says after which chunk', async (t) => {
  const { feed, print, record } = make(t)
  print('one\r\n')
  print('two')
  const first = await feed.snapshot()
  assert.equal(first?.seq, 2)
  assert.deepEqual(await rowsAfter(first?.bytes ?? Buffer.alloc(0)), ['one', 'two', '', ''])
  record('driver', Buffer.from('null'))
  record('resize', encodeResize({ cols: 10, rows: 3 }))
  const [second, third] = await Promise.all([feed.snapshot(), feed.snapshot()])
  assert.equal(second?.seq, 4)
  assert.deepEqual(second, third)
  assert.deepEqual(await rowsAfter(second?.bytes ?? Buffer.alloc(0), { cols: 10, rows: 3 }), ['one', 'two', ''])
})

test('a flood is understood when it is over or wanted, and a snapshot of it comes all the same', async (t) => {
  const { feed, print, released } = make(t)
  const line = `${'x'.repeat(18)}\r\n`
  for (let count = 0; count < 50; count++) print(line.repeat(3_000))
  assert.deepEqual(released, [], 'nothing is understood in the middle of it')
  const snapshot = await feed.snapshot()
  assert.equal(snapshot?.seq, 50)
  const rows = await rowsAfter(snapshot?.bytes ?? Buffer.alloc(0))
  assert.equal(rows.length, 10_000 + 4)
  assert.deepEqual(
    released,
    Array.from({ length: 50 }, (_, index) => index + 1),
  )
})

test('in the pauses of the program it is understood unasked, and its questions are answered', async (t) => {
  const { print, replies } = make(t)
  print('\x1b[6n')
  while (replies.length === 0) await new Promise(setImmediate)
  assert.deepEqual(replies, ['\x1b[1;1R'])
})

test('where a chunk is not there any more, that is said once, and nobody waits for a screen', async (t) => {
  const { feed, frames, failures, print } = make(t)
  print('one')
  print('two')
  frames.delete(2)
  assert.equal(await feed.snapshot(), null)
  assert.match(String(failures), /the spool has lost chunk 2/)
  assert.equal(failures.length, 1)
  assert.equal(await feed.snapshot(), null)
})

test('who stops it gets everything released, and whoever waits goes on', async (t) => {
  const { feed, released, print } = make(t)
  print('one'.repeat(10_000))
  const waiting = feed.snapshot()
  feed.stop()
  assert.equal(await waiting, null)
  assert.equal(released.at(-1), 1)
  const late = print('two')
  assert.equal(released.at(-1), late)
})

const printed = fc.constantFrom(
  'a',
  'line\r\n',
  '0123456789'.repeat(3),
  '漢字',
  'e\u0301',
  '👩',
  '\t',
  '\r',
  '\n',
  '\x1b[31m',
  '\x1b[44m',
  '\x1b[1;4:3m',
  '\x1b[m',
)
/** Some of them more than a screen keeps, some just as many lines, some fewer. */
const flood = fc
  .tuple(fc.array(printed, { maxLength: 12 }), fc.constantFrom(1, 3, 9_990, 10_004, 10_008, 10_009, 12_000))
  .chain(([parts, times]) => fc.constantFrom('\n', '\r\n').map((end) => `${parts.join('')}${end}`.repeat(times)))
const other = fc.constantFrom(
  '\x1b[2;3r',
  '\x1b[r',
  '\x1b[?1049h',
  '\x1b[?1049l',
  '\x1b7',
  '\x1b8X',
  '\x1b[H',
  '\x1b[4h',
  '\x1b[?6h',
  '\x1b[?7l',
  '\x1b(0',
  '\x0e',
  '\x1b[3g',
  '\x1b[5',
  '\x1b]2;t',
  '\x07',
  '\x1bc',
  '\u0084',
  '\x1b[3J',
)
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: flood },
    { weight: 2, arbitrary: fc.array(printed, { maxLength: 20 }).map((parts) => parts.join('')) },
    { weight: 2, arbitrary: other },
    { weight: 1, arbitrary: fc.constantFrom({ cols: 9, rows: 3 }, { cols: 30, rows: 6 }) },
  ),
  { minLength: 1, maxLength: 8 },
)

test('what is passed over leaves no trace on the screen, wherever the output is cut', {
  timeout: 110_000,
}, async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1_000, max: 20_000 }), async (steps, length) => {
      const [whole, passing] = [make(t, Number.POSITIVE_INFINITY), make(t, 0)]
      for (const { record } of [whole, passing]) {
        let bytes = Buffer.alloc(0)
        const print = () => {
          for (let at = 0; at < bytes.length; at += length) record('output', bytes.subarray(at, at + length))
          bytes = Buffer.alloc(0)
        }
        for (const step of steps) {
          if (typeof step === 'string') bytes = Buffer.concat([bytes, Buffer.from(step)])
          else {
            print()
            record('resize', encodeResize(step))
          }
        }
        print()
        record('driver', Buffer.from('null'))
      }
      const [expected, actual] = [await whole.feed.snapshot(), await passing.feed.snapshot()]
      assert.equal(actual?.bytes.toString('latin1') === expected?.bytes.toString('latin1'), true)
      for (const { feed, failures } of [whole, passing]) {
        assert.deepEqual(failures, [])
        feed.stop()
      }
    }),
    { numRuns: 25 },
  )
})

test('a snapshot that is asked for while a flood goes on is of one moment', async (t) => {
  const { feed, print } = make(t, 0)
  const lines = (from: number, count: number) =>
    Array.from({ length: count }, (_, index) => `line ${from + index}\r\n`).join('')
  for (let chunk = 0; chunk < 30; chunk++) print(lines(chunk * 1_000, 1_000))
  const asked = feed.snapshot()
  for (let chunk = 30; chunk < 60; chunk++) print(lines(chunk * 1_000, 1_000))
  const snapshot = await asked
  assert.ok(snapshot !== null && snapshot.seq >= 30)
  const rows = await rowsAfter(snapshot.bytes)
  assert.deepEqual(rows.slice(-2), [`line ${snapshot.seq * 1_000 - 1}`, ''])
  assert.equal(rows.length, 10_004)
})
