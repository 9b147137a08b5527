// Makes docs/telec.svg, the picture in the README: `node docs/picture.ts`. Bash runs on a terminal of its own in a new home
// directory, commands are typed to it, and what the terminal then shows is drawn. Nothing is written by hand.

import { fail } from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { Emulator } from '@teleclaude/api/transcript/emulator.ts'
import { displayWidth } from '@teleclaude/core/terminal-text.ts'
// biome-ignore lint/style/noRestrictedImports: the picture is taken on the terminal that sessions run on.
import { spawnPty } from '@teleclaude/telec/runner/pty.ts'

const size = { cols: 100, rows: 40 }
const prompt = '$ '
const cell = { width: 8.4, height: 19 }
const margin = 22
const across = (column: number) => (margin + column * cell.width).toFixed(1)
const colours = { ground: '#161b22', edge: '#30363d', text: '#d6dde6', cursor: '#8b949e' }
const palette = ['#484f58', '#ff7b72', '#56d364', '#e3b341', '#79c0ff', '#d2a8ff', '#56d4dd', '#d6dde6']
/** By the parameter of SGR (ECMA-48 8.3.117); what is not here is refused and never drawn wrong. */
const looks: ReadonlyMap<string, string> = new Map([
  ['1', 'font-weight="bold"'],
  ['2', 'fill-opacity=".6"'],
  ['90', 'fill="#8b949e"'],
  ...palette.map((fill, index) => [`${30 + index}`, `fill="${fill}"`] as const),
])
const fonts = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

const cart = 'export const isExpired = (cart, now) => now - cart.touchedAt > 900_000\n'
const cartTest = `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isExpired } from './cart.mjs'
test('a new cart is kept', () => assert.equal(isExpired({ touchedAt: 5 }, 5), false))
test('a cart is kept for 15 minutes', () => assert.equal(isExpired({ touchedAt: 0 }, 900_000), false))
test('a cart expires after 15 minutes', () => assert.equal(isExpired({ touchedAt: 0 }, 900_001), true))
`

const commands = [
  `telec run --title "fix the flaky test" -- sh -c 'git status -sb; node --test'`,
  'telec ls',
  'telec transcript <id> | grep pass',
  'telec whoami',
]

const home = realpathSync(mkdtempSync(join(tmpdir(), 'telec-picture-')))
const bin = resolve(import.meta.dirname, '../bin')
const env = {
  HOME: home,
  PATH: `${bin}:${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
  PS1: prompt,
  TERM: 'xterm-256color',
  LANG: 'C.UTF-8',
  TELECLAUDE_HOST: 'build-1',
}

try {
  writeFileSync(join(import.meta.dirname, 'telec.svg'), draw(await record(makeWorkTree())))
} finally {
  execFileSync(join(bin, 'telec'), ['daemon', '--stop'], { env, cwd: home })
  rmSync(home, { recursive: true, force: true })
}

function makeWorkTree(): string {
  const directory = join(home, 'shop')
  const author = ['-c', 'user.name=shop', '-c', 'user.email=shop@localhost']
  const git = (...args: readonly string[]) => execFileSync('git', [...author, ...args], { cwd: directory, env })
  mkdirSync(directory)
  writeFileSync(join(directory, 'cart.mjs'), cart)
  writeFileSync(join(directory, 'cart.test.mjs'), '')
  git('init', '--quiet', '--initial-branch=main')
  git('add', '.')
  git('commit', '--quiet', '--message=Carts')
  writeFileSync(join(directory, 'cart.test.mjs'), cartTest)
  return directory
}

/** The lines of the terminal once every command has run, the next prompt included. */
async function record(cwd: string): Promise<string[]> {
  let output = ''
  let changed = Promise.withResolvers<void>()
  const decoder = new TextDecoder()
  const ended = Promise.withResolvers<void>()
  const gone = ended.promise.then(() => changed.reject(new Error('cannot go on typing: bash has ended')))
  const program = { file: '/bin/bash', args: ['--norc', '--noprofile'], env, cwd, size }
  const pty = spawnPty(program, {
    output: (bytes) => {
      output += decoder.decode(bytes, { stream: true })
      changed.resolve()
    },
    exited: () => ended.resolve(),
  })
  // Readline asks for bracketed paste right before each prompt, and nothing else here does.
  const prompted = async (from: number) => {
    while (!output.slice(from).endsWith(`\x1b[?2004h${prompt}`)) {
      changed = Promise.withResolvers<void>()
      await changed.promise
    }
  }
  await prompted(0)
  for (const command of commands) {
    const from = output.length
    const id = /^ {2}([0-9a-f]{8}) /m.exec(stripVTControlCharacters(output))?.[1] ?? ''
    pty.write(Buffer.from(`${command.replace('<id>', id)}\r`))
    await prompted(from)
  }
  const emulator = new Emulator(size, { colour: true })
  const parts = [...(await Array.fromAsync(emulator.write(output))), ...emulator.end()]
  pty.write(Buffer.from('exit\r'))
  await gone
  return parts.join('').trimEnd().split('\n')
}

function draw(lines: readonly string[]): string {
  const width = 2 * margin + size.cols * cell.width
  const height = 2 * margin + lines.length * cell.height
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img">`,
    '<title>A terminal in which telec runs a test, lists the session and reads its transcript</title>',
    `<rect x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="10" fill="${colours.ground}" stroke="${colours.edge}"/>`,
    `<g font-family="${fonts}" font-size="14" fill="${colours.text}">`,
    ...lines.flatMap(drawLine),
    `<rect x="${across(prompt.length)}" y="${height - margin - cell.height}" width="${cell.width}" height="${cell.height}" fill="${colours.cursor}"/>`,
    '</g>',
    '</svg>',
  ].join('\n')}\n`
}

/** One element for each run of characters that look the same, held to its columns whatever font is found. */
function drawLine(line: string, row: number): string[] {
  let column = 0
  // The emulator writes every change of looks as `ESC [ 0`, the parameters that are set, and `m`.
  return `m${line}`.split('\x1b[0').flatMap((run) => {
    const end = run.indexOf('m')
    const text = run.slice(end + 1)
    const place = `x="${across(column)}" y="${margin + row * cell.height + 14}"`
    column += displayWidth(text)
    if (text.trim() === '') return []
    const length = `textLength="${(displayWidth(text) * cell.width).toFixed(1)}"`
    const look = run.slice(0, end).split(';').slice(1).map(lookOf)
    const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
    return [`<text ${[place, length, 'xml:space="preserve"', ...look].join(' ')}>${escaped}</text>`]
  })
}

function lookOf(parameter: string): string {
  return looks.get(parameter) ?? fail(`cannot draw SGR ${parameter}: add it to the looks in docs/picture.ts`)
}
