import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { shellQuote } from './shell-quote.ts'

test('a shell reads back every word as it was', () => {
  const words = [
    'plain/path-1.sock',
    '',
    ' ',
    "it's",
    '$(id)',
    '`id`',
    'a\nb',
    '*',
    '~',
    '-n',
    '"',
    '\\',
    'a;b',
    '!x',
    'ü',
    "''",
  ]
  const printed = execFileSync('sh', ['-c', `printf '%s\\0' ${words.map(shellQuote).join(' ')}`], { encoding: 'utf8' })
  assert.deepEqual(printed.split('\0').slice(0, -1), words)
  assert.equal(shellQuote('plain/path-1.sock'), 'plain/path-1.sock')
})
