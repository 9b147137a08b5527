import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { ConfigError, describeFault } from '../config-error.ts'
import { printFile, toPlain } from './nodes.ts'
import { readOriginal } from './read-original.ts'

const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
after(() => rmSync(directory, { recursive: true }))
const file = join(directory, 'old.yml')

function read(text: string | Uint8Array) {
  writeFileSync(file, text)
  return readOriginal(file, '--from')
}

/** As it is printed again. */
function again(text: string): string {
  const { root, comments } = read(text)
  return printFile(root, comments)
}

/** Without the file's name: `LINE:COLUMN: PROBLEM; MEND`. */
function faults(text: string | Uint8Array): readonly string[] {
  try {
    read(text)
  } catch (error) {
    if (error instanceof ConfigError)
      return error.faults.map((fault) => `${describeFault(fault).slice(file.length + 1)}; ${fault.mend}`)
    throw error
  }
  throw new Error(`the original was taken: ${text}`)
}

test('scalars keep their characters, whatever they would be rounded or turned to', () => {
  const text = `a: 1099511627776000123
b: 0031612345678
c: 5.50
d: yes
e: ~
f: 06:00
g: "007"
h: 'it''s'
i: |
  two
    lines
1.0: x
`
  assert.equal(again(text), text)
})

test('aliases, merge keys and tags are resolved', () => {
  const text = `
base: &base { x: 1, y: 2 } # the base
one: *base
two: { <<: *base, y: 3 }
three:
  x: 0
  <<: [{ x: 4, z: 5 }, *base]
list: [&a text, *a]
tags: [!!str 12, !!int "12", !!bool "true", !!null "", ! x, !!seq [], !!map {}]
`
  assert.deepEqual(toPlain(read(text).root), {
    base: { x: 1, y: 2 },
    one: { x: 1, y: 2 },
    two: { y: 3, x: 1 },
    three: { x: 0, z: 5, y: 2 },
    list: ['text', 'text'],
    tags: ['12', 12, true, null, 'x', [], {}],
  })
  assert.doesNotMatch(again(text), /[&*!]/)
})

test('comments stay where they were, also behind an empty value or the end of a list', () => {
  const text = `# the file

# a
a: 1 # one
b:
  # in b
  c: null # empty
  d:
    - x
    # end of d

# e
e: null

f: 2

# the end
`
  assert.equal(again(text.replaceAll(': null', ':')), text)
})

test('line ends of Windows, a byte order mark and a start of the document are taken', () => {
  assert.equal(again('\ufeff---\r\n# x\r\na: |\r\n  b\r\n  c\r\n'), '# x\na: |\n  b\n  c\n')
})

test('a file that says nothing is one without keys', () => {
  for (const text of ['', '# x\n', '~', 'null\n', '---\n', '{}']) assert.deepEqual(toPlain(read(text).root), {}, text)
})

test('what can not be used is refused with its place', () => {
  const cases: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ['a: 1\nb: 2\na: 3\n', /^3:1: is a key that is there twice; keep one/],
    ['1: a\n"1": b\n', /^2:1: is a key that is there twice/],
    ['a:\n  b: {c: 1, c: 2}\n', /^2:13: is a key that is there twice/],
    ['a: *b\n', /^1:4: is an alias of nothing/],
    ['a: &a [*a]\n', /^1:8: is an alias of what it is a part of/],
    ['a: &a {<<: *a}\n', /^1:12: is an alias of what it is a part of/],
    ['<<: text\n', /^1:1: merges what is no group of keys/],
    ['? [a, b]\n: c\n', /^1:3: is a key that is no text/],
    [': a\n', /^1:1: is a key without a name/],
    ['a: !secret b\n', /^1:12: has a tag that says nothing here/],
    ['a: !!binary aGk=\n', /^1:13: has a tag that says nothing here/],
    ['a: !!int text\n', /^1:10: has a tag that says nothing here/],
    ['a: !!set {b, c}\n', /^1:\d+: has a tag that says nothing here/],
    ['- a\n', /^1:1: is no group of keys/],
    ['text', /^1:1: is no group of keys/],
    ['""', /^1:1: is no group of keys/],
    ['a: 1\n---\nb: 2\n', /^2:1: there is more than one document/],
    ['a:\n\tb: 1\n', /^2:1: is no YAML; indent with spaces/],
    ['a: [\n', /^2:1: is no YAML/],
    [`a: ${'['.repeat(100)}${']'.repeat(100)}`, /^1:\d+: is nested deeper than 64 levels/],
    [`a: ${'['.repeat(9999)}`, /it is nested too deeply|is no YAML/],
    [new Uint8Array([0x61, 0x3a, 0xff]), /^1:1: is not text in UTF-8/],
    [`# ${'x'.repeat(1024 * 1024)}`, /^1:1: is longer than 1048576 bytes/],
  ]
  for (const [text, says] of cases) assert.match(faults(text)[0] ?? '', says, String(text).slice(0, 40))
})

test('a few lines that stand for billions are refused at once', () => {
  const line = (name: string, of: string) => `${name}: &${name} [${Array(9).fill(of).join(', ')}]\n`
  const bomb = ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].reduce(
    (text, name) => text + line(name, `*${String.fromCharCode(name.charCodeAt(0) - 1)}`),
    line('a', '1'),
  )
  assert.match(faults(bomb)[0] ?? '', /^5:8: makes aliases stand for more than 10000 values/)
})

test('what is wrong is said without the words that are there', () => {
  const secret = 'sk-proj-FakeFakeFakeFake'
  for (const text of [
    `a: |${secret}`,
    `${secret}: a`,
    `a: "\\${secret}"`,
    `a: "x" ${secret}`,
    `a: @${secret}\n`,
    `a: !${secret} b`,
    `a: *${secret}`,
  ])
    assert.ok(!faults(text).join().includes('Fake'), text)
})

test('a file that is missing, or that is none, is named', () => {
  rmSync(file, { force: true })
  const refusal = (path: string) => {
    try {
      readOriginal(path, '--people')
    } catch (error) {
      return error instanceof ConfigError ? error.message : String(error)
    }
    return 'taken'
  }
  assert.match(refusal(file), /old\.yml:1:1: is not there; name a file that is there with --people$/)
  mkdirSync(join(directory, 'dir'))
  assert.match(refusal(join(directory, 'dir')), /dir:1:1: is not a file/)
  const pipe = join(directory, 'pipe')
  execFileSync('mkfifo', [pipe])
  assert.match(refusal(pipe), /pipe:1:1: is not a file/)
})
