// Several terminals on one session: who drives, who looks, and what each of them is left with.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { Installation } from './support/installation.ts'
import { runnerPid } from './support/runner-process.ts'
import { Terminal } from './support/tmux.ts'

const usage = 64
/** Says what it gets, and how large its terminal is. */
const echo = 'stty -echo; echo up; while read -r line; do echo "<$line> $(stty size)"; done; exit 3'

let own: Installation
before(async () => {
  own = await Installation.make('sqlite')
  await own.startDaemon()
})
after(() => own[Symbol.asyncDispose]())

async function start(script: string, installation = own): Promise<string> {
  const ran = await installation.telec(['run', '--detach', '--', 'sh', '-c', script])
  assert.equal(ran.code, 0, ran.stderr)
  const id = ran.stdout.toString().trim()
  await installation.until(id, (session) => session.transcriptBytes > 0)
  return id
}

async function attach(terminal: Terminal, id: string, ...options: readonly string[]): Promise<void> {
  await terminal.enter(['clear; telec attach', ...options, `${id.slice(0, 13)}; echo "code=$?"`].join(' '))
}

async function detach(terminal: Terminal): Promise<void> {
  await terminal.press('C-\\')
  await terminal.type('d')
  await terminal.until(/^Detached from .*\n(.*\n)*code=0\n/m)
}

test('a session is joined, left and joined again, and what the terminal showed before is still there', async () => {
  const id = await start(echo)
  await using terminal = await Terminal.open(own)
  await terminal.enter('echo "as it $((40 + 2)) was"')
  await terminal.until(/^as it 42 was$/m)
  await terminal.enter(`telec attach ${id}; echo "code=$?"`)
  await terminal.until(/^up$/)
  await terminal.enter('one')
  await terminal.until(/^up\n<one> 30 100$/)
  await detach(terminal)
  assert.match(await terminal.history(), /^as it 42 was\n/m)
  assert.match(await terminal.screen(), new RegExp(`^Back to it: telec attach ${id}$`, 'm'))
  await attach(terminal, id)
  await terminal.until(/^up\n<one> 30 100$/)
  await terminal.enter('two')
  await terminal.until(/^up\n<one> 30 100\n<two> 30 100$/)
  await terminal.press('C-d')
  await terminal.until(/^The session has ended \(3\)\.\ncode=0\n/m)
})

test('a full-screen program looks the same in any terminal that joins, and leaves no trace when that is left', async () => {
  writeFileSync(join(own.home, 'long.txt'), Array.from({ length: 200 }, (_, index) => `line ${index + 1}\n`).join(''))
  await using first = await Terminal.open(own)
  await first.enter('telec run -- vim --clean -c "set mouse=a" long.txt; echo "code=$?"')
  await first.until(/^line 1\n.*\nline 29\n.*"long.txt"/s)
  await first.type('50G')
  await first.until(/^line 50$/m)
  const screen = await first.screen()
  await detach(first)
  assert.equal(await first.showsAlternateScreen(), false)
  assert.equal(await first.hasDefaultModes(), true)

  const [session] = await own.list(['--limit', '1'])
  await using second = await Terminal.open(own)
  await attach(second, session?.id ?? '')
  await second.until(/^line 50$/m)
  assert.equal(await second.showsAlternateScreen(), true)
  assert.equal(await second.screen(), screen)
  await second.enter(':q')
  await second.until(/^The session has ended \(0\)\.\ncode=0\n/m)
  assert.equal(await second.showsAlternateScreen(), false)
  assert.equal(await second.hasDefaultModes(), true)
})

test('one drives; who joins looks, is told so, and neither types nor resizes', async () => {
  const id = await start(echo)
  await using driver = await Terminal.open(own)
  await attach(driver, id)
  await driver.until(/^up$/)
  await using viewer = await Terminal.open(own, { cols: 110, rows: 35 })
  const received = await viewer.record()
  await attach(viewer, id)
  await viewer.until(/^up\n(.*\n)* \w+ drives\. Take over: telec attach --take /)
  const line = `drives this session from another terminal; you are looking. Take over: telec attach --take ${id.slice(0, 8)}; leave: Ctrl-\\ d\r\n`
  await received(line)
  await viewer.enter('not mine')
  await viewer.resize({ cols: 120, rows: 40 })
  await driver.enter('mine')
  await driver.until(/^up\n<mine> 30 100$/)
  // The notice is gone after a while, and what it covered is there again.
  await viewer.until(/^up\n<mine> 30 100$/)
  await detach(viewer)
  await driver.enter('still mine')
  await driver.until(/^<still mine> 30 100$/m)
  await driver.press('C-d')
  await driver.until(/^The session has ended \(3\)/m)
})

test('who takes the wheel drives in their own size, and who had it is told and looks', async () => {
  const id = await start(echo)
  await using first = await Terminal.open(own)
  await attach(first, id)
  await first.until(/^up$/)
  await using second = await Terminal.open(own, { cols: 90, rows: 25 })
  await attach(second, id, '--take')
  await second.until(/^up$/)
  await first.until(/ took the wheel\. Take it back: telec attach --take /)
  await first.enter('not mine')
  await second.enter('mine')
  await second.until(/^up\n<mine> 25 90$/)
  await first.until(/^up\n<mine> 25 90$/)
  await detach(second)
  await first.until(/Nobody drives now\. Drive it: telec attach /)
  await detach(first)
  await attach(first, id)
  await first.enter('again')
  await first.until(/^up\n<mine> 25 90\n<again> 30 100$/)
  await first.press('C-d')
  await first.until(/^The session has ended \(3\)/m)
})

test('the terminal that a session was started in hands the wheel over like any other', async () => {
  await using first = await Terminal.open(own)
  writeFileSync(join(own.home, 'echo.sh'), echo)
  await first.enter('clear; telec run -- sh echo.sh; echo "code=$?"')
  await first.until(/^up$/m)
  const [session] = await own.list(['--limit', '1'])
  await using second = await Terminal.open(own)
  await attach(second, session?.id ?? '', '--take')
  await first.until(/ took the wheel/)
  await second.enter('mine')
  await second.until(/^<mine> 30 100$/m)
  await first.until(/^up\n<mine> 30 100$/m)
  await second.press('C-d')
  await second.until(/^The session has ended \(3\)\.\ncode=0\n/m)
  await first.until(/^code=3\n/m)
})

test('who only looks is told that nobody drives, and types into nothing', async () => {
  const id = await start(echo)
  await using terminal = await Terminal.open(own)
  const received = await terminal.record()
  await attach(terminal, id, '--view')
  await terminal.until(/^up$/)
  assert.match(await received('up'), /You are looking at this session; nobody drives it\. Drive it: telec attach /)
  await terminal.enter('nothing')
  await detach(terminal)
  const both = await own.telec(['attach', '--view', '--take', id])
  assert.equal(both.code, usage)
  assert.match(both.stderr, /'--take' cannot be used with option '--view'/)
  await own.telec(['send', id, '\u0004'])
  await own.until(id, ({ status }) => status === 'ended')
  assert.equal((await own.telec(['transcript', id])).stdout.toString(), 'up\n')
})

test('a terminal that is smaller than the session is told so, and leaves that its size', async () => {
  const id = await start(echo)
  await using terminal = await Terminal.open(own, { cols: 60, rows: 20 })
  const received = await terminal.record()
  await attach(terminal, id, '--view')
  await received("This terminal is smaller than the session's 80x24: parts of it are not shown.\r\n")
  await own.telec(['send', id, 'it', '--enter'])
  await own.telec(['send', id, '\u0004'])
  await terminal.until(/^The session has ended \(3\)/m)
  assert.match((await own.telec(['transcript', id])).stdout.toString(), /^<it> 24 80$/m)
})

test('a service that is killed is waited for: the driver goes on to drive, and the viewer to look', async () => {
  await using killed = await Installation.make('sqlite')
  const daemon = await killed.startDaemon()
  const id = await start(echo, killed)
  await using driver = await Terminal.open(killed)
  await attach(driver, id)
  await driver.until(/^up$/)
  await using viewer = await Terminal.open(killed)
  await attach(viewer, id, '--view')
  await viewer.until(/^up$/)
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
  await killed.startDaemon()
  // Both terminals and the runner are back where this is shown.
  await killed.telec(['send', id, 'sent', '--enter'])
  for (const terminal of [driver, viewer]) await terminal.until(/^up\n<sent> 30 100$/)
  await viewer.enter('not mine')
  await driver.enter('more')
  for (const terminal of [driver, viewer]) await terminal.until(/^up\n<sent> 30 100\n<more> 30 100$/)
  await driver.press('C-d')
  for (const terminal of [driver, viewer]) await terminal.until(/^The session has ended \(3\)\.\ncode=0\n/m)
})

test('of a session that is over the last screen is shown, with how it ended', async () => {
  const ended = await start('seq 1 100; exit 3')
  await own.until(ended, ({ status }) => status === 'ended')
  await using terminal = await Terminal.open(own)
  await attach(terminal, ended)
  await terminal.until(/^75\n(\d+\n)*100\nThe session has ended \(3\)\.\ncode=0\n/m)
  const piped = await own.telec(['attach', ended])
  assert.equal(piped.code, 0)
  assert.match(piped.stdout.toString(), /^77\n(\d+\n)*100\n$/)
  assert.equal(piped.stderr, 'The session has ended (3).\n')

  const lost = await start('echo up; exec sleep 300')
  process.kill(runnerPid(lost), 'SIGKILL')
  await own.until(lost, ({ status }) => status === 'lost')
  const shown = await own.telec(['attach', lost])
  assert.equal(shown.code, 0)
  assert.match(shown.stdout.toString(), /^up\n/)
  assert.equal(shown.stderr, 'The session is lost: its runner is gone.\n')
})

test('a session is not shown inside of itself, nor inside of one that was started in it', async () => {
  await using terminal = await Terminal.open(own)
  const shell = `clear; telec run -- env PS1='inside> ' bash --norc --noprofile -i`
  await terminal.enter(shell)
  await terminal.until(/^inside>$/m)
  const [outer] = await own.list(['--limit', '1'])
  await terminal.enter(`clear; telec attach ${outer?.id}; echo "code=$?"`)
  await terminal.until(/would be shown in itself for ever\n(.*\n)*code=64\n/)
  await terminal.enter(shell)
  await terminal.until(/audit\.\ninside>$/m)
  await terminal.enter(`clear; telec attach ${outer?.id}; echo "code=$?"`)
  await terminal.until(/would be shown in itself for ever\n(.*\n)*code=64\n/)
  await terminal.enter('clear; exit')
  await terminal.until(/^exit\ninside>$/)
  await terminal.enter('exit')
  await terminal.until(/^exit\noutside>$/m)
})

test('without a terminal there is nothing to draw on, and it is said what to do instead', async () => {
  const id = await start('echo up; exec cat')
  const ran = await own.telec(['attach', id])
  assert.equal(ran.code, usage)
  assert.match(ran.stderr, /cannot attach to the session \S+: that needs a terminal .*\nFollow it as text: telec tail /)
  await own.telec(['stop', id])
})
