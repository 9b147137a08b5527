import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTerminal } from '@teleclaude/screen/terminal.ts'
import { drawNotice } from './notice.ts'

const size = { cols: 20, rows: 4 }

/** The rows after the program's output, the notice and more of the program's output. */
async function rows(before: string, text: string, after: string): Promise<readonly string[]> {
  const terminal = openTerminal(size, { scrollback: 0 })
  await new Promise<void>((resolve) => terminal.write(before + drawNotice(text, size) + after, resolve))
  return Array.from({ length: size.rows }, (_, row) =>
    (terminal.buffer.active.getLine(row)?.translateToString(true) ?? '').trimEnd(),
  )
}

test('a notice stands on the last row, and the program goes on where it was', async () => {
  assert.deepEqual(await rows('one\r\ntwo', 'look', ' three'), ['one', 'two three', '', ' look'])
  assert.deepEqual(await rows('\x1b[2;3r\x1b[?6hone\r\ntwo', 'look', ' three'), ['', 'one', 'two three', ' look'])
  assert.deepEqual(await rows('\x1b(0q', 'look', 'q'), ['──', '', '', ' look'])
})

test('it never takes more than that row, whatever is in it', async () => {
  const long = await rows('one', 'x'.repeat(50), '')
  assert.deepEqual(long, ['one', '', '', ` ${'x'.repeat(18)}…`])
  assert.deepEqual(await rows('one', 'a\nb\x1b[2J漢', ''), ['one', '', '', ' a␊b␛[2J漢'])
})
