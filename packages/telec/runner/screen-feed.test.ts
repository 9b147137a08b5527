import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { type ChunkKind, encodeChunk, encodeResize } from '@teleclaude/core/transcript.ts'
import { openTerminal } from '@teleclaude/screen/terminal.ts'
import { ScreenFeed } from './screen-feed.ts'

function make(t: TestContext) {
  const frames = new Map<number, Buffer>()
  const released: number[] = []
  const replies: string[] = []
  const failures: unknown[] = []
  let seq = 0
  const feed = new ScreenFeed({
    size: { cols: 20, rows: 4 },
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
