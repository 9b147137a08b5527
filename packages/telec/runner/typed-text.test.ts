import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeTypedText } from './typed-text.ts'

const typed = (text: string, bracketedPaste: boolean) => encodeTypedText(text, bracketedPaste).bytes.toString('utf8')

test('each line ends as the Enter key ends it, and one line is typed as it is', () => {
  for (const bracketedPaste of [false, true]) {
    assert.equal(typed('grüße \x1b[A', bracketedPaste), 'grüße \x1b[A')
    assert.equal(typed('', bracketedPaste), '')
  }
  assert.equal(typed('one\ntwo\r\nthree\r\n', false), 'one\rtwo\rthree\r')
})

test('several lines are a paste where the program asks for that', () => {
  assert.equal(typed('one\ntwo', true), '\x1b[200~one\rtwo\x1b[201~')
})

test('nothing in a text ends its paste early', () => {
  const sly = fc.array(fc.constantFrom('\x1b', '\x9b', '[201~', '[200~', '201~', '\n', 'a'), { minLength: 1 })
  fc.assert(
    fc.property(sly, (parts) => {
      const text = `${parts.join('')}\n`
      const inside = typed(text, true).slice('\x1b[200~'.length, -'\x1b[201~'.length)
      assert.equal(typed(text, true), `\x1b[200~${inside}\x1b[201~`)
      assert.ok(!inside.includes('\x1b') && !inside.includes('\x9b'))
    }),
  )
})
