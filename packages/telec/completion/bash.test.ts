import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { Command, Option } from 'commander'
import { completionScript } from '../commands/completion.ts'

function defineProgram(): Command {
  const program = new Command('telec').enablePositionalOptions().option('--socket <path>', 'socket of the service')
  program
    .command('run')
    .description("start a session: it's yours")
    .argument('[command...]', 'the program')
    .passThroughOptions()
    .option('--title <text>', 'what lists call it')
    .option('--project <directory>', 'the project')
  program.command('ls').alias('list').option('-n, --limit <number>', 'at most this many').option('--json', 'print JSON')
  program.command('show').argument('<id>', 'a session')
  program
    .command('transcript')
    .argument('<id>', 'a session')
    .addOption(new Option('--format <format>', 'form').choices(['text', 'raw', 'cast']))
    .option('-o, --output <file>', 'where to')
  const access = program.command('access').description('grants')
  access.command('open').argument('<session>', 'a session').option('--reason <text>', 'why')
  access.command('ls')
  program.command('__complete-ids', { hidden: true })
  return program
}

/** What the service is said to know: ids and untrusted titles. */
const ids = `0b5c1e2a-0000-4000-8000-000000000001\tbuild
0b77aaaa-0000-4000-8000-000000000002\t$(touch pwned) \`touch pwned\`
$(touch pwned)\ttitle
ffff0000-0000-4000-8000-000000000003\t
`

/** A bash that completes in a directory of its own, with a `telec` that notes how it was called. */
function shell(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), 'teleclaude-'))
  t.after(() => rmSync(directory, { recursive: true }))
  writeFileSync(join(directory, 'ids'), ids)
  mkdirSync(join(directory, 'bin'))
  mkdirSync(join(directory, 'two words'))
  const stub = `#!/bin/sh\necho "$@" > '${directory}/called'\ncat '${directory}/ids'\n`
  writeFileSync(join(directory, 'bin', 'telec'), stub)
  chmodSync(join(directory, 'bin', 'telec'), 0o755)
  writeFileSync(join(directory, 'script'), completionScript('bash', defineProgram()))
  /** Completes the last word. */
  const complete = (...words: string[]): string[] => {
    const code = `source ./script; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _telec
      printf '%s\\n' "\${COMPREPLY[@]}"`
    const printed = execFileSync('bash', ['--norc', '-uc', code, 'bash', ...words], {
      cwd: directory,
      env: { PATH: `${join(directory, 'bin')}:${process.env.PATH}` },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    return printed.split('\n').filter((line) => line !== '')
  }
  return { directory, complete }
}

test('commands complete at their level, hidden ones are not shown', (t) => {
  const { complete } = shell(t)
  assert.deepEqual(complete('telec', ''), ['run', 'ls', 'list', 'show', 'transcript', 'access', 'help'])
  assert.deepEqual(complete('telec', 'tr'), ['transcript'])
  assert.deepEqual(complete('telec', 'access', ''), ['open', 'ls', 'help'])
  assert.deepEqual(complete('telec', 'help', 'sh'), ['show'])
  assert.deepEqual(complete('telec', '__'), [])
  assert.deepEqual(complete('telec', 'nonsense', 'l'), ['ls', 'list'])
})

test('options complete with their command, also under its other name', (t) => {
  const { complete } = shell(t)
  assert.deepEqual(complete('telec', '--s'), ['--socket'])
  assert.deepEqual(complete('telec', 'ls', '--'), ['--limit', '--json', '--help'])
  assert.deepEqual(complete('telec', 'list', '-n', '5', '--j'), ['--json'])
  assert.deepEqual(complete('telec', 'access', 'open', '--r'), ['--reason'])
})

test('values complete by what the option takes', (t) => {
  const { complete } = shell(t)
  assert.deepEqual(complete('telec', 'transcript', '--format', ''), ['text', 'raw', 'cast'])
  assert.deepEqual(complete('telec', 'transcript', '--format', '=', 'ca'), ['cast'])
  assert.deepEqual(complete('telec', 'transcript', '--format', '='), ['text', 'raw', 'cast'])
  assert.deepEqual(complete('telec', 'run', '--project', 'tw'), ['two words'])
  assert.deepEqual(complete('telec', 'transcript', '-o', 'scr'), ['script'])
  assert.deepEqual(complete('telec', 'run', '--title', ''), [])
})

test('session ids complete where a session is wanted, once', (t) => {
  const { complete } = shell(t)
  assert.deepEqual(complete('telec', 'show', '0b7'), ['0b77aaaa-0000-4000-8000-000000000002'])
  assert.equal(complete('telec', 'transcript', '--format', 'raw', '').length, 3)
  assert.equal(complete('telec', 'access', 'open', '').length, 3)
  assert.deepEqual(complete('telec', 'show', '0b77', ''), [])
})

test('the service that was chosen is asked', (t) => {
  const { directory, complete } = shell(t)
  complete('telec', '--socket', '/tmp/s.sock', 'show', '')
  assert.equal(
    execFileSync('cat', [join(directory, 'called')], { encoding: 'utf8' }),
    '--socket /tmp/s.sock __complete-ids\n',
  )
})

test('ids and titles are never run or proposed when they are something else', (t) => {
  const { directory, complete } = shell(t)
  for (const word of ['', '$', '0b']) {
    for (const id of complete('telec', 'show', word)) assert.match(id, /^[0-9a-f-]{36}$/)
  }
  assert.equal(existsSync(join(directory, 'pwned')), false)
})

test('what follows run is completed as the command that it is', (t) => {
  const { complete } = shell(t)
  assert.ok(complete('telec', 'run', 'bas').includes('bash'))
  assert.ok(complete('telec', 'run', '--', 'bas').includes('bash'))
  assert.ok(complete('telec', 'run', '--title', 'x', 'bas').includes('bash'))
  assert.deepEqual(complete('telec', 'run', 'cat', 'scr'), ['script'])
  assert.deepEqual(complete('telec', 'run', '--', 'cat', '--title', 'scr'), ['script'])
})
