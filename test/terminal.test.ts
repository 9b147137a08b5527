// Programs that need a terminal, inside `telec run`, inside a real one: both must behave as if `telec` were not there.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { SessionView } from '@teleclaude/core/api.ts'
import { Installation } from './support/installation.ts'
import { Terminal } from './support/tmux.ts'

const notice = 'Sessions on this system are subject to admin audit.'

let own: Installation
before(async () => {
  own = await Installation.make('sqlite')
  await own.startDaemon()
})
after(() => own[Symbol.asyncDispose]())

function write(name: string, text: string): string {
  writeFileSync(join(own.home, name), text)
  return text
}

async function newest(): Promise<SessionView> {
  const [session] = await own.list(['--limit', '1'])
  assert.ok(session !== undefined)
  return session
}

test('an editor is used to write a file, with wide characters typed', async () => {
  await using terminal = await Terminal.open(own)
  await terminal.enter('telec run -- vim --clean notes.txt; echo "code=$?"')
  await terminal.until(/^~\n.*"notes.txt" \[New\]/ms)
  await terminal.type('ione 漢字 😀 é')
  await terminal.press('Enter')
  await terminal.type('two')
  await terminal.until(/^one 漢字 😀 é\ntwo\n~.*-- INSERT --/s)
  await terminal.press('Escape')
  await terminal.enter(':wq')
  await terminal.until(/^code=0$/m)
  assert.equal(readFileSync(join(own.home, 'notes.txt'), 'utf8'), 'one 漢字 😀 é\ntwo\n')
})

test('top draws its table, draws it again, and quits at one key', async () => {
  await using terminal = await Terminal.open(own)
  await terminal.enter('telec run -- top -d 0.3; echo "code=$?"')
  await terminal.until(/^top - .* load average.*\n%Cpu.*\n +PID USER +PR [^\n]* COMMAND\n *\d+ /s)
  const before = (await newest()).transcriptBytes
  await own.until((await newest()).id, ({ transcriptBytes }) => transcriptBytes > before)
  await terminal.type('q')
  await terminal.until(/^code=0$/m)
})

test('a program on the alternate screen leaves the main screen as it was', async () => {
  await using terminal = await Terminal.open(own)
  write('long.txt', Array.from({ length: 200 }, (_, index) => `line ${index + 1}\n`).join(''))
  const command = 'telec run -- less long.txt; echo "code=$?"'
  await terminal.enter('echo "as it $((40 + 2)) was"')
  await terminal.until(/^as it 42 was\noutside>$/m)
  const before = await terminal.screen()
  await terminal.enter(command)
  await terminal.until(/^line 1\n.*\nline 29\nlong.txt$/s)
  assert.equal(await terminal.showsAlternateScreen(), true)
  await terminal.type('G')
  await terminal.until(/^line 172\n.*\nline 200\n\(END\)$/s)
  await terminal.type('q')
  await terminal.until(/^code=0\noutside>$/m)
  assert.equal(await terminal.showsAlternateScreen(), false)
  assert.equal(await terminal.screen(), `${before} ${command}\n${notice}\ncode=0\noutside>`)
})

test('24-bit colours and wide characters come to the screen and into the transcript unchanged', async () => {
  await using terminal = await Terminal.open(own)
  // Odd lengths and many of them: characters and colours are cut wherever output is passed on in parts.
  const colour = (index: number) => `${index % 256};${(index * 7) % 256};${(index * 13) % 256}`
  // tmux itself may lose a joiner between two of its reads, so the lines that are compared on its screen have none.
  const joined = (index: number) => (index < 2900 ? 'e\u0301 👩\u200d👩\u200d👧' : 'é')
  const line = (index: number) =>
    `\u001b[38;2;${colour(index)}m漢字\u001b[48;2;${colour(index + 99)}m😀 ${index}\u001b[0m ${joined(index)} ｗｉｄｅ|\n`
  const text = write('colours.txt', Array.from({ length: 3000 }, (_, index) => line(index)).join(''))
  await terminal.enter('cat colours.txt; echo "plain=$?"')
  await terminal.until(/^plain=0\noutside>$/m)
  const linesOf = (screen: string) => screen.split('\n').filter((line) => line.includes('漢字'))
  const plain = linesOf(await terminal.screen({ colours: true }))
  assert.equal(plain.length, 28)
  assert.match(plain.at(-1) ?? '', /\[38;2;183;1;75m漢字/)

  const received = await terminal.record()
  await terminal.enter('clear; telec run -- cat colours.txt; echo "code=$?"')
  await terminal.until(/^code=0\noutside>$/m)
  assert.ok((await received('code=0')).replaceAll('\r', '').includes(text), 'every line, not only those still shown')
  assert.deepEqual(linesOf(await terminal.screen({ colours: true })), plain)
  const raw = await own.telec(['transcript', (await newest()).id, '--format', 'raw'])
  assert.ok(raw.stdout.equals(Buffer.from(text.replaceAll('\n', '\r\n'))), `${raw.stdout.length} bytes`)
})

test('the size of the window is the size inside, when it changes too, and the recording says so', async () => {
  await using terminal = await Terminal.open(own, { cols: 100, rows: 30 })
  const status = 'set laststatus=2 statusline=%{&columns}x%{&lines}'
  await terminal.enter(`telec run -- vim --clean -c '${status}' -c '!stty size'; echo "code=$?"`)
  await terminal.until(/^30 100$/m)
  await terminal.press('Enter')
  await terminal.until(/\n~\n100x30$/)
  await terminal.resize({ cols: 90, rows: 25 })
  await terminal.until(/\n~\n90x25$/)
  await terminal.resize({ cols: 120, rows: 40 })
  await terminal.until(/\n~\n120x40$/)
  await terminal.enter(':!stty size')
  await terminal.until(/^40 120$/m)
  await terminal.press('Enter')
  await terminal.enter(':q')
  await terminal.until(/^code=0$/m)

  const cast = await own.telec(['transcript', (await newest()).id, '--format', 'cast'])
  const [header, ...events] = cast.stdout
    .toString()
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  assert.partialDeepStrictEqual(header, { version: 3, term: { cols: 100, rows: 30 } })
  const sizes = events.flatMap((event) => (Array.isArray(event) && event[1] === 'r' ? [event[2]] : []))
  assert.deepEqual(sizes.slice(-2), ['90x25', '120x40'])
})

test('Ctrl-C interrupts the program and not telec', async () => {
  await using terminal = await Terminal.open(own)
  write(
    'interrupted.sh',
    `trap 'interrupted=yes' INT
    echo up; until [ -n "$interrupted" ]; do sleep 0.05; done
    echo caught; read -r line; echo "read $line"; exit 5`,
  )
  await terminal.enter('telec run -- sh interrupted.sh; echo "code=$?"')
  await terminal.until(/^up$/m)
  await terminal.press('C-c')
  await terminal.until(/^\^Ccaught$/m)
  await terminal.enter('on')
  await terminal.until(/^on\nread on\ncode=5$/m)

  // Another word than before: that one is on the screen until the shell has cleared it.
  await terminal.enter('clear; telec run -- sh -c "echo ready; exec sleep 300"; echo "code=$?"')
  await terminal.until(/^ready$/m)
  await terminal.press('C-c')
  await terminal.until(/^\^Ccode=130$/m)
  const { status, exit } = await newest()
  assert.deepEqual({ status, exit }, { status: 'ended', exit: { kind: 'signalled', signal: 'SIGINT' } })
})

test('Ctrl-Z stops a job of the shell inside, which lists it and brings it back', async () => {
  await using terminal = await Terminal.open(own)
  await terminal.enter(`telec run -- env PS1='inside> ' bash --norc; echo "code=$?"`)
  await terminal.until(/^inside>$/m)
  // What is typed while the shell still has the terminal in its own mode ends no line for cat.
  await terminal.enter('echo up; cat')
  await terminal.until(/^up$/m)
  await terminal.enter('one')
  await terminal.until(/^one\none$/m)
  await terminal.press('C-z')
  await terminal.until(/^\[1\]\+ +Stopped +cat\ninside>$/m)
  await terminal.enter('jobs')
  await terminal.until(/^inside> jobs\n\[1\]\+ +Stopped +cat\ninside>$/m)
  await terminal.enter('fg')
  await terminal.until(/^inside> fg\ncat$/m)
  await terminal.enter('two')
  await terminal.until(/^two\ntwo$/m)
  await terminal.press('C-c')
  await terminal.until(/^\^C\ninside>$/m)
  await terminal.enter('jobs; exit 3')
  await terminal.until(/^inside> jobs; exit 3\nexit\ncode=3\noutside>$/m)
})

test('the exit code is the session’s, and the terminal is afterwards as it was', async () => {
  await using terminal = await Terminal.open(own)
  write('end.sh', 'stty raw -echo; printf "up for $1"; read -r line; eval "$line"')
  for (const [end, code] of [
    ['exit 7', 7],
    ['kill -TERM $$', 143],
  ] as const) {
    // In one line: a shell sets the terminal up anew for every prompt.
    await terminal.enter(
      `clear; stty -g; telec run -- sh end.sh ${code}; echo "code=$?"; stty -g; stty -a; echo "done=$?"`,
    )
    await terminal.until(new RegExp(`^up for ${code}`, 'm'))
    const during = await terminal.modes()
    assert.ok(during.has('-icanon') && during.has('-echo') && during.has('-isig'), [...during].join(' '))
    await terminal.type(end)
    await terminal.press('C-j')
    await terminal.until(/^done=0$/m)
    const screen = await terminal.screen()
    const states = screen.match(/^[0-9a-f]+(:[0-9a-f]+){20,}$/gm) ?? []
    assert.equal(states.length, 2, screen)
    assert.equal(states[0], states[1])
    const [, codeShown, settings = ''] = /code=(\d+)\n(.*)done=0/s.exec(screen) ?? []
    assert.equal(codeShown, `${code}`, screen)
    const words = new Set(settings.split(/[\s;]+/))
    for (const mode of ['icanon', 'echo', 'isig', 'opost', 'icrnl']) assert.ok(words.has(mode), `${mode}\n${screen}`)
  }
})
