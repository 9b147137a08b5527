import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { parse } from 'dotenv'
import fc from 'fast-check'
import { ConfigError, describeFault } from '../config-error.ts'
import { toPlain } from './nodes.ts'
import { readOriginalEnvironment } from './read-environment.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))
const file = join(directory, 'old.env')

function read(text: string) {
  writeFileSync(file, text)
  return readOriginalEnvironment(file, '--env')
}

function faults(text: string): readonly string[] {
  try {
    read(text)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults.map((fault) => describeFault(fault).slice(file.length + 1))
    throw error
  }
  return []
}

test('variables are read with the comments above and beside them', () => {
  const { root, comments } = read(`\ufeff# above\r
A=1 # beside\r
export B="two words"
C='# no comment'

# over
# there
D="-----BEGIN
END-----"
E=
F='\${A} $x' # kept
# the end
`)
  assert.deepEqual(toPlain(root), {
    A: '1',
    B: 'two words',
    C: '# no comment',
    D: '-----BEGIN\nEND-----',
    E: '',
    F: `\${A} $x`,
  })
  const shown = root.items.map(({ key, value }) => [key.commentBefore, value?.comment])
  assert.deepEqual(shown, [
    [' above', ' beside'],
    [null, null],
    [null, null],
    [' over\n there', null],
    [null, null],
    [null, ' kept'],
  ])
  assert.deepEqual(comments, { before: null, after: ' the end' })
})

test('what would be passed over, or read in another way by another program, is refused with its line', () => {
  for (const [text, says] of [
    ['A=1\nnot an assignment\n', '2:1: is no assignment'],
    ['A=1\n\n# x\nA=2\n', '4:1: A is set again'],
    ['A=b#c\n', '1:1: A has a # that begins a comment for some programs, and not for others'],
    ['A=#c\n', '1:1: A has a # that begins a comment for some programs, and not for others'],
    ['A="b\nC=d\n', '1:1: A has a quote that does not end, or something behind it'],
    ['A="b" c\n', '1:1: A has a quote that does not end, or something behind it'],
    ["A='b\\'c'\n", '1:1: A has a quote that does not end, or something behind it'],
    ['A="b\\tc"\n', '1:1: A has a \\ in quotes, which programs read in different ways'],
    ['A=`b`\n', '1:1: A begins with `, which not every program takes for a quote'],
    ['__proto__=a\n', '1:1: is no assignment'],
  ])
    assert.deepEqual(faults(String(text)).slice(0, 1), [says], String(text))
})

test('what is taken, dotenv reads in the same way', () => {
  const piece = fc.constantFrom(
    'A',
    'B',
    '=',
    ' ',
    '\n',
    '"',
    "'",
    '#',
    'x',
    '\\n',
    '\\',
    'export ',
    '\t',
    '`',
    ':',
    '$',
    '\r\n',
    '\u00a0',
  )
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join('')),
      (text) => {
        if (faults(text).length === 0) assert.deepEqual(toPlain(read(text).root), Object.assign({}, parse(text)))
      },
    ),
    { numRuns: 2000 },
  )
})
