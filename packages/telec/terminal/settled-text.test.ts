import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { SettledText } from './settled-text.ts'

const size = { cols: 20, rows: 5 }

/** All that is told of output that ends at once, in parts. */
async function tell(parts: readonly string[], begin?: { readonly snapshot: string; readonly lines: number }) {
  let told = ''
  const text = new SettledText(size, (lines) => {
    told += lines
  })
  if (begin !== undefined) await text.begin(Buffer.from(begin.snapshot), begin.lines)
  for (const part of parts) await text.write(Buffer.from(part))
  text.end()
  return told
}

/** What is told while the session goes on: resolves when the text has come. */
function listen() {
  let told = ''
  let heard: (() => void) | null = null
  const text = new SettledText(size, (lines) => {
    told += lines
    heard?.()
  })
  const until = async (wanted: string) => {
    while (!told.includes(wanted)) await new Promise<void>((resolve) => (heard = resolve))
    return told
  }
  return { text, until }
}

const numbers = (count: number) => Array.from({ length: count }, (_, index) => `line ${index + 1}`)

describe('what a session shows becomes lines', () => {
  for (const [what, shown, told] of [
    ['as they are, blank ones between them too', 'one\r\n\r\n\r\ntwo\r\n', 'one\n\n\ntwo\n'],
    ['without an end of the last one', 'one\r\ntwo', 'one\ntwo\n'],
    ['all of them where many scroll off', numbers(5000).join('\r\n'), `${numbers(5000).join('\n')}\n`],
    ['in one where it was wrapped', `${'word '.repeat(30)}end\r\n`, `${'word '.repeat(30)}end\n`],
    ['the last state of one that was written over', '10%\r20%\r100%\r\ndone\r\n', '100%\ndone\n'],
    ['without colours and titles', '\x1b]0;title\x07\x1b[31mred\x1b[0m\r\n', 'red\n'],
    ['that act on no terminal', '\u202eevil\u009b\r\n', '\ufffdevil\n'],
    ['of a drawing on the other screen', '\x1b[?1049h\x1b[2;3Hhere\x1b[4;1Hthere', '  here\nthere\n'],
    ['after a reset', 'one\r\ntwo\r\n\x1bcthree\r\n', 'three\n'],
  ] as const) {
    test(what, async () => assert.equal(await tell([shown]), told))
  }

  test('however they are cut up', async () => {
    const part = fc.constantFrom('one ', 'two\r\n', '\r\n', '漢字', 'a longer piece of text\r\n', '\x1b[1m', 'é\r\n')
    const property = fc.asyncProperty(fc.array(part, { maxLength: 40 }), async (parts) => {
      assert.equal(await tell(parts), await tell([parts.join('')]))
    })
    await fc.assert(property, { numRuns: 30 })
  })
})

test('the last lines of a snapshot come first, and then what follows it', async () => {
  const snapshot = `${numbers(100).join('\r\n')}\r\n$ `
  assert.equal(await tell(['ls\r\nfile\r\n'], { snapshot, lines: 3 }), 'line 99\nline 100\n$\n$ ls\nfile\n')
})

test('a line that stands still is told while it stands on the screen, and once', async () => {
  const { text, until } = listen()
  await text.write(Buffer.from('one\r\n'))
  await until('one\n')
  await text.write(Buffer.from('password: '))
  assert.equal(await until('password:\n'), 'one\npassword:\n')
  text.end()
})

test('what is drawn anew is told where it has become another', async () => {
  const { text, until } = listen()
  await text.write(Buffer.from('working\r\n> \r\n'))
  await until('>\n')
  await text.write(Buffer.from('\x1b[2Aanswer 1\r\nanswer 2\r\n> \r\n'))
  assert.equal(await until('answer 2\n>\n'), 'working\n>\nanswer 1\nanswer 2\n>\n')
  text.end()
})

test('a resize loses no line and repeats none', async () => {
  let told = ''
  const text = new SettledText(size, (lines) => {
    told += lines
  })
  await text.write(Buffer.from(`${numbers(3).join('\r\n')}\r\n`))
  text.resize({ cols: 8, rows: 3 })
  await text.write(Buffer.from('more\r\n'))
  text.end()
  assert.equal(told, 'line 1\nline 2\nline 3\nmore\n')
})
