// A person's own file, ~/.teleclaude/config.yml, from what is written there to what it does; and the keys that let go of a session.

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { auditNotice } from '@teleclaude/config/defaults.ts'
import { singleUserLayout } from '@teleclaude/config/layout.ts'
import { Installation } from './support/installation.ts'
import { Terminal } from './support/tmux.ts'

/** Says what of the schema library and the YAML parser is loaded. */
const watchLoads = `--import=data:text/javascript,${encodeURIComponent(`
import { registerHooks } from 'node:module'
registerHooks({
  load(url, context, next) {
    const name = /node_modules\\/(zod|yaml)\\//.exec(url)?.[1]
    if (name !== undefined) process.stderr.write('loads ' + name + '\\n')
    return next(url, context)
  },
})`)}`

let own: Installation
let file: string
let service: ChildProcess
before(async () => {
  own = await Installation.make('sqlite')
  file = singleUserLayout(own.home).configFile
  const bin = join(own.home, 'bin')
  mkdirSync(bin)
  for (const agent of ['claude', 'codex']) {
    // Without what has them say how they are (agents.test.ts).
    const skip = 'case $1 in -c | --settings) shift 2 ;; *) break ;; esac'
    writeFileSync(
      join(bin, agent),
      `#!/bin/sh\nwhile :; do ${skip}; done\nprintf '${agent}'; printf ' <%s>' "$@"; echo\n`,
    )
    chmodSync(join(bin, agent), 0o755)
  }
  own.env.PATH = `${bin}:${own.env.PATH}`
  delete own.env.FORCE_COLOR
  delete own.env.NO_COLOR
  // Before any file is there: it is the service's, too, where there is one person.
  service = await own.startDaemon()
})
after(() => own[Symbol.asyncDispose]())
afterEach(() => {
  rmSync(file, { force: true })
  delete own.env.TELECLAUDE_AGENT
})

function prefer(text: string): void {
  writeFileSync(file, text, { mode: 0o600 })
}

async function started(args: readonly string[], cwd = own.home) {
  const ran = await own.telec(['run', ...args], { cwd })
  assert.equal(ran.code, 0, ran.stderr)
  const [session] = await own.list(['--limit', '1'])
  assert.ok(session !== undefined)
  return { shown: ran.stdout.toString().trim(), agent: session.agent, title: session.title }
}

describe('what a person prefers', () => {
  const agents = 'agents: { claude: { modes: { plan: [--permission-mode, plan], edit: [] } } }\n'

  test('is the agent, its mode and the title, and in a project others', async () => {
    const project = join(own.home, 'app')
    mkdirSync(join(project, '.git'), { recursive: true })
    mkdirSync(join(project, 'deep'))
    prefer(`agent: claude
mode: plan
${agents}title: '{agent} {mode} in {project}'
projects:
  ~/app: { agent: codex, title: '{agent} {mode} in {directory}' }
`)
    const everywhere = {
      shown: 'claude <--permission-mode> <plan>',
      agent: 'claude',
      title: `claude plan in ${own.home.slice(5)}`,
    }
    assert.deepEqual(await started([]), everywhere)
    const inProject = { shown: 'codex <>', agent: 'codex', title: 'codex in deep' }
    assert.deepEqual(await started([], join(project, 'deep')), inProject)
    assert.deepEqual(await started(['--title', 'mine', '--agent', 'codex']), { ...inProject, title: 'mine' })
    assert.equal((await started(['--mode', 'edit'])).title, `claude edit in ${own.home.slice(5)}`)
    assert.equal((await started(['--', 'true'])).title, `in ${own.home.slice(5)}`)
    own.env.TELECLAUDE_AGENT = 'codex'
    assert.equal((await started([])).agent, 'codex')
  })

  test('does not make up a mode that was asked for', async () => {
    prefer(`agent: claude\n${agents}`)
    const before = (await own.list(['--all'])).length
    for (const [args, said] of [
      [['--mode', 'plna'], /^telec: cannot use the mode plna: claude has no such mode; there are plan, edit$/m],
      [['--mode', 'plan', '--', 'claude'], /^telec: cannot use the mode plan: a command was given/m],
    ] as const) {
      const ran = await own.telec(['run', ...args])
      assert.equal(ran.code, 64)
      assert.match(ran.stderr, said)
    }
    assert.equal((await own.list(['--all'])).length, before, 'nothing was started')
  })

  test('is colours, which NO_COLOR and FORCE_COLOR come before', async () => {
    await started(['--', 'printf', '\\033[31mred\\033[0m\\n'])
    const id = (await own.list(['--limit', '1']))[0]?.id ?? ''
    const isColoured = async (...args: readonly string[]) => (await own.telec(args)).stdout.includes('\x1b[')
    const commands = [['ls'], ['show', id], ['transcript', id], ['doctor']] as const
    for (const command of commands) assert.equal(await isColoured(...command), false, command.join(' '))
    prefer('colours: always\n')
    for (const command of commands) assert.equal(await isColoured(...command), true, command.join(' '))
    own.env.NO_COLOR = '1'
    for (const command of commands) assert.equal(await isColoured(...command), false, command.join(' '))
    delete own.env.NO_COLOR
    prefer('colours: never\n')
    own.env.FORCE_COLOR = '1'
    for (const command of commands) assert.equal(await isColoured(...command), true, command.join(' '))
    delete own.env.FORCE_COLOR
  })

  test('is how the notice looks, where there are colours, and never whether it is shown', async () => {
    const notice = async () => (await own.telec(['run', '--', 'true'])).stderr
    prefer('notice_style: bold\n')
    assert.equal(await notice(), `${auditNotice}\n`)
    prefer('notice_style: bold\ncolours: always\n')
    assert.equal(await notice(), `\x1b[1m${auditNotice}\x1b[22m\n`)
    prefer('notice_style: dim\ncolours: always\n')
    assert.equal(await notice(), `\x1b[2m${auditNotice}\x1b[22m\n`)
    prefer('notice_style: off\n')
    assert.equal((await own.telec(['run', '--', 'true'])).code, 78)
  })

  test('is nothing where there is no file, and nothing is loaded to read one', async () => {
    own.env.NODE_OPTIONS = watchLoads
    try {
      const ran = await own.telec(['ls'])
      assert.deepEqual({ code: ran.code, stderr: ran.stderr }, { code: 0, stderr: '' })
      prefer('colours: never\n')
      assert.match((await own.telec(['ls'])).stderr, /^loads zod$/m)
    } finally {
      delete own.env.NODE_OPTIONS
    }
  })
})

describe('a file that is wrong', () => {
  test('stops what would use it, with every fault and its place, and nothing else', async () => {
    const id = (await own.telec(['run', '--detach', '--', 'sleep', '300'])).stdout.toString().trim()
    prefer('colors: never\nagent: [claude]\n')
    for (const args of [['run', '--', 'true'], ['ls'], ['show', id], ['transcript', id]]) {
      const ran = await own.telec(args)
      assert.equal(ran.code, 78, args.join(' '))
      assert.deepEqual(
        ran.stderr.split('\n').filter((line) => line.startsWith('  ')),
        [
          `  ${file}:1:1: colors is no key that is known here; did you mean colours?`,
          `  ${file}:2:8: agent is not text; write the name of a program, such as claude, or take it away for your login shell`,
        ],
      )
    }
    for (const args of [['whoami'], ['version'], ['completion', 'bash'], ['--help'], ['ls', '--json'], ['stop', id]]) {
      const ran = await own.telec(args)
      assert.equal(ran.code, 0, `${args.join(' ')}: ${ran.stderr}`)
    }
    assert.match((await own.telec(['doctor'])).stdout.toString(), /^\d+ ok, \d+ to look at, \d+ failed$/m)
  })

  test('is one with keys of the machine where the machine has a service, and of people where one is alone', async () => {
    const elsewhere = join(own.home, 'system.sock')
    symlinkSync(own.client.socketPath, elsewhere)
    prefer('log_level: debug\n')
    assert.equal((await own.telec(['ls'])).code, 0)
    const refused = await own.telec(['--socket', elsewhere, 'ls'])
    assert.equal(refused.code, 78)
    assert.match(refused.stderr, /config\.yml:1:1: log_level is a key of the machine's configuration/)
    prefer('people: []\n')
    const alone = await own.telec(['ls'])
    assert.equal(alone.code, 78)
    assert.match(alone.stderr, /config\.yml:1:1: people is for a service of the whole machine/)
  })

  test('is one that everybody can change', async () => {
    prefer('colours: never\n')
    chmodSync(file, 0o602)
    const ran = await own.telec(['ls'])
    assert.equal(ran.code, 78)
    assert.ok(ran.stderr.includes(`${file}:1:1: can be changed by everybody (mode 0602); close it: chmod go-w ${file}`))
  })
})

describe('the detach keys', () => {
  const detached =
    /^Detached from ([0-9a-f-]{36}): the session goes on\.\nBack to it: telec attach \1\nEnd it: telec stop \1\ncode=0\noutside>$/m

  test('let go of a session, which has what was typed before and goes on, and leave the terminal as it was', async () => {
    await using terminal = await Terminal.open(own)
    writeFileSync(join(own.home, 'read.sh'), 'stty -echo; echo up; read -r line; echo "read $line"; exec sleep 300')
    const before = await terminal.modes()
    await terminal.enter('telec run -- sh read.sh; echo "code=$?"')
    await terminal.until(/^up$/m)
    await terminal.type('some words\r\x1cd')
    const [, id = ''] = await terminal.until(detached)
    assert.deepEqual(await terminal.modes(), before)
    const shown = 'up\r\nread some words\r\n'
    assert.equal((await own.until(id, (session) => session.transcriptBytes >= shown.length)).status, 'running')
    assert.equal((await own.telec(['transcript', id, '--format', 'raw'])).stdout.toString(), shown)
    await terminal.enter(`clear; telec stop ${id}`)
    await terminal.until(/^Stopped/m)
  })

  test('let go while the service is away, too', async () => {
    await using terminal = await Terminal.open(own)
    await terminal.enter('telec run -- sh -c "echo up; exec sleep 300"; echo "code=$?"')
    await terminal.until(/^up$/m)
    service.kill('SIGKILL')
    await once(service, 'exit')
    await terminal.type('\x1cd')
    await terminal.until(detached)
    service = await own.startDaemon()
  })

  test('leave nothing switched on by a program that goes on', async () => {
    await using terminal = await Terminal.open(own)
    writeFileSync(
      join(own.home, 'editor.sh'),
      `printf '\\033[?1049h\\033[?1h\\033=\\033[?25l\\033[?1000;1006h\\033[31mred'; exec sleep 300`,
    )
    await terminal.enter('telec run -- sh editor.sh; echo "code=$?"')
    await terminal.until(/^red$/m)
    assert.deepEqual([await terminal.showsAlternateScreen(), await terminal.hasDefaultModes()], [true, false])
    await terminal.press('C-\\')
    await terminal.type('d')
    await terminal.until(
      /^outside> telec run -- sh editor.sh; .*\n.*admin audit\.\nDetached from (?:.*\n)+code=0\noutside>$/,
    )
    assert.deepEqual([await terminal.showsAlternateScreen(), await terminal.hasDefaultModes()], [false, true])
    assert.doesNotMatch(await terminal.screen({ colours: true }), /red/)
  })

  test('are the program’s where only the first is pressed, and once where it is pressed twice', async () => {
    await using terminal = await Terminal.open(own)
    writeFileSync(
      join(own.home, 'quit.sh'),
      `trap 'quit=yes' QUIT; echo up; until [ -n "$quit" ]; do sleep 0.05; done; echo caught
      stty raw -echo; echo raw; printf 'hex '; head -c 4 | od -An -tx1`,
    )
    await terminal.enter('telec run -- sh quit.sh; echo "code=$?"')
    await terminal.until(/^up$/m)
    await terminal.press('C-\\')
    await terminal.until(/caught\n(.*\n)*.*raw/)
    await terminal.press('C-\\')
    await terminal.press('C-\\')
    await terminal.press('C-\\')
    await terminal.type('xd')
    await terminal.until(/hex +1c 1c 78 64/)
    await terminal.until(/code=0/)
  })

  test('are those of the person’s own file', async () => {
    prefer('detach_key: ctrl-a q\n')
    await using terminal = await Terminal.open(own)
    await terminal.enter('telec run -- sh -c "echo up; exec cat"; echo "code=$?"')
    await terminal.until(/^up$/m)
    await terminal.press('C-\\')
    await terminal.until(/^\^\\code=131$/m)
    await terminal.enter('clear; telec run -- sh -c "echo ready; exec cat"; echo "code=$?"')
    await terminal.until(/^ready$/m)
    await terminal.press('C-a')
    await terminal.type('q')
    await terminal.until(detached)
  })

  test('are bytes like others in what is piped in', async () => {
    // Of no meaning to the terminal inside, whose program may not have made it raw by then.
    prefer('detach_key: ctrl-x q\n')
    const ran = await own.telec(['run', '--', 'sh', '-c', 'head -n 1 | od -An -tx1'], { input: 'a\x18qb\n' })
    assert.match(ran.stdout.toString(), /61 18 71 62 0a/)
  })
})
