// The product as its owner uses it: `telec` in a home directory of its own, on both engines.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { engines, Installation } from './support/installation.ts'

const notice = 'Sessions on this system are subject to admin audit.\n'

for (const engine of engines) {
  describe(`on ${engine}`, () => {
    let own: Installation
    before(async () => {
      own = await Installation.make(engine)
    })
    after(() => own[Symbol.asyncDispose]())

    test('a command starts the service, shows its output after the notice, and passes its exit code on', async () => {
      const ran = await own.telec(['run', '--', 'bash', '-c', 'for i in 1 2 3; do echo line $i; done; exit 7'])
      assert.deepEqual(
        { code: ran.code, stdout: ran.stdout.toString(), stderr: ran.stderr },
        {
          code: 7,
          stdout: 'line 1\r\nline 2\r\nline 3\r\n',
          stderr: notice,
        },
      )
      const [session] = await own.list()
      assert.partialDeepStrictEqual(session, {
        title: 'bash',
        agent: null,
        status: 'ended',
        exit: { kind: 'exited', code: 7 },
        transcriptBytes: 24,
      })
    })

    test('what is piped in is typed, and its end is the end of the input', async () => {
      const ran = await own.telec(['run', '--', 'sh', '-c', 'stty -echo; cat'], { input: 'one\ntwo\n' })
      // Before it, there can be the terminal's echo of what was typed before the program turned that off.
      assert.match(ran.stdout.toString(), /(^|\n)one\r\ntwo\r\n$/)
      assert.equal(ran.code, 0)
    })

    test('programs that can not be found or executed, or end by a signal, give the exit codes of a shell', async () => {
      const before = (await own.list()).length
      const plain = join(own.home, 'plain')
      writeFileSync(plain, 'no program')
      assert.equal((await own.telec(['run', '--', 'no-such-command'])).code, 127)
      assert.equal((await own.telec(['run', '--', join(own.home, 'missing')])).code, 127)
      assert.equal((await own.telec(['run', '--', plain])).code, 126)
      assert.equal((await own.telec(['run', '--', own.home])).code, 126)
      assert.equal((await own.list()).length, before, 'nothing was started')
      assert.equal((await own.telec(['run', '--', 'sh', '-c', 'kill -TERM $$'])).code, 143)
    })

    test('output in flight at the exit is recorded to the last byte, and the raw transcript is what the terminal produced', async () => {
      const ran = await own.telec(['run', '--title', 'flight', '--', 'seq', '1', '200000'])
      const expected = Buffer.from(Array.from({ length: 200_000 }, (_, index) => `${index + 1}\r\n`).join(''))
      assert.ok(ran.stdout.equals(expected), `shown ${ran.stdout.length} of ${expected.length} bytes`)
      const [session] = await own.list(['--limit', '1'])
      assert.equal(session?.transcriptBytes, expected.length)
      const raw = await own.telec(['transcript', session?.id ?? '', '--format', 'raw'])
      assert.ok(raw.stdout.equals(expected), `recorded ${raw.stdout.length} of ${expected.length} bytes`)
    })

    test('bytes that are no text are recorded as they are', async () => {
      const script = `stty raw -echo; i=0; while [ $i -lt 256 ]; do printf "\\\\$(printf %03o $i)"; i=$((i+1)); done`
      await own.telec(['run', '--', 'sh', '-c', script])
      const [session] = await own.list(['--limit', '1'])
      const raw = await own.telec(['transcript', session?.id ?? '', '--format', 'raw'])
      assert.deepEqual(raw.stdout, Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)))
    })

    test('a session keeps title, project and agent, and the project is the enclosing git work tree by default', async () => {
      const tree = join(own.home, 'work tree')
      mkdirSync(join(tree, 'deep', 'er'), { recursive: true })
      execFileSync('git', ['init', '-q', tree])
      await own.telec(['run', '--title', 'a title', '--agent', 'codex', '--', 'true'], {
        cwd: join(tree, 'deep', 'er'),
      })
      await own.telec(['run', '--project', join(tree, 'deep'), '--', 'true'])
      const [named, inTree] = await own.list(['--limit', '2'])
      assert.partialDeepStrictEqual(inTree, { title: 'a title', agent: 'codex', project: tree, argv: ['true'] })
      assert.equal(named?.project, join(tree, 'deep'))
      const listed = (await own.telec(['ls'])).stdout.toString()
      const lines = listed.split('\n')
      assert.ok(
        lines.some((line) => line.includes('work tree/deep')),
        listed,
      )
      assert.ok(
        lines.some((line) => /ended\b.*codex.*a title/.test(line)),
        listed,
      )
    })

    test('without a command the agent named, the default agent, or the login shell is started', async () => {
      const bin = join(own.home, 'bin')
      mkdirSync(bin)
      writeFileSync(join(bin, 'claude'), '#!/bin/sh\necho I am $0\n')
      chmodSync(join(bin, 'claude'), 0o755)
      const withAgent = await Installation.make(engine, {
        PATH: `${bin}:${process.env.PATH}`,
        TELECLAUDE_AGENT: 'claude',
      })
      await using _ = withAgent
      assert.match((await withAgent.telec(['run'])).stdout.toString(), /I am .*claude/)
      assert.equal((await withAgent.list())[0]?.agent, 'claude')
      const shell = await own.telec(['run'], { input: 'echo from the shell $((40 + 2))\nexit 5\n' })
      assert.match(shell.stdout.toString(), /from the shell 42/)
      assert.equal(shell.code, 5)
    })

    test('a detached session is found by a prefix of its id, runs on by itself, and is stopped', async () => {
      const ran = await own.telec(['run', '--detach', '--', 'sh', '-c', 'echo up; exec sleep 300'])
      const id = ran.stdout.toString().trim()
      assert.match(id, /^[0-9a-f-]{36}$/)
      await own.until(id, (session) => session.transcriptBytes > 0)
      const shown = JSON.parse((await own.telec(['show', id.slice(0, 13), '--json'])).stdout.toString()) as object
      assert.partialDeepStrictEqual(shown, { session: { id, status: 'running' } })
      const stopped = await own.telec(['stop', id.slice(0, 13)])
      assert.equal(stopped.code, 0, stopped.stderr)
      assert.partialDeepStrictEqual(await own.client.readSession(id), {
        status: 'ended',
        exit: { kind: 'signalled', signal: 'SIGHUP' },
      })
      assert.equal((await own.telec(['stop', id])).code, 65)
    })

    test('a program that ignores being hung up is killed, at once with --force', async () => {
      const ran = await own.telec([
        'run',
        '--detach',
        '--',
        'sh',
        '-c',
        'trap "" HUP TERM; echo up; while :; do sleep 1; done',
      ])
      const id = ran.stdout.toString().trim()
      await own.until(id, (session) => session.transcriptBytes > 0)
      assert.equal((await own.telec(['stop', '--force', id])).code, 0)
      assert.deepEqual((await own.client.readSession(id)).exit, { kind: 'signalled', signal: 'SIGKILL' })
    })

    test('an id that matches nothing, or two sessions, is said to do so', async () => {
      const none = await own.telec(['show', 'ffffffff-ffff'])
      assert.equal(none.code, 65)
      assert.match(none.stderr, /cannot find the session ffffffff-ffff/)
      assert.equal((await own.telec(['show', 'not-an-id!'])).code, 65)
      // There are sixteen first digits, so at the latest the seventeenth session begins as another does.
      const findTwins = async () =>
        (await own.list(['--all'])).map(({ id }) => id.slice(0, 1)).find((digit, at, all) => all.indexOf(digit) !== at)
      let first = await findTwins()
      for (; first === undefined; first = await findTwins()) await own.telec(['run', '--', 'true'])
      const two = await own.telec(['show', first])
      assert.equal(two.code, 65)
      assert.match(two.stderr, /more than one session/)
    })

    test('text and asciicast transcripts say what was shown', async () => {
      await own.telec(['run', '--title', 'colours', '--', 'printf', '\\033[31mred\\033[0m and \\360\\237\\230\\200\\n'])
      const id = (await own.list(['--limit', '1']))[0]?.id ?? ''
      assert.equal((await own.telec(['transcript', id])).stdout.toString(), 'red and 😀\n')
      for (const version of ['2', '3']) {
        const cast = (
          await own.telec(['transcript', id, '--format', 'cast', '--cast-version', version])
        ).stdout.toString()
        const [header, ...events] = cast
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Record<string, unknown>)
        assert.partialDeepStrictEqual(header, { version: Number(version), title: 'colours' })
        const shown = events.filter((event) => event[1] === 'o').map((event) => event[2])
        assert.equal(shown.join(''), '\u001b[31mred\u001b[0m and 😀\r\n')
      }
    })

    test('a hostile title is stored as it is and never reaches a terminal as it is', async () => {
      const title = 'evil\u001b]0;pwned\u0007\u009b31m\u202etxt'
      assert.equal((await own.telec(['run', '--title', title, '--', 'true'])).code, 0)
      const [session] = await own.list(['--limit', '1'])
      assert.equal(session?.title, title)
      for (const args of [['ls'], ['show', session?.id ?? '']]) {
        const shown = (await own.telec(args)).stdout.toString()
        assert.match(shown, /evil/)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        assert.doesNotMatch(shown, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
      }
      const long = await own.telec(['run', '--title', 'x'.repeat(10_000), '--', 'true'])
      assert.equal(long.code, 65)
      assert.match(long.stderr, /title/)
    })

    test('a mistyped command or flag gets a suggestion and the exit code for usage', async () => {
      for (const [args, suggestion] of [
        [['transcrpit', 'abc'], 'transcript'],
        [['ls', '--jsn'], '--json'],
      ] as const) {
        const ran = await own.telec(args)
        assert.equal(ran.code, 64)
        assert.match(ran.stderr, new RegExp(`Did you mean ${suggestion}`))
      }
      assert.equal((await own.telec(['ls', '--limit', 'many'])).code, 64)
      assert.equal((await own.telec(['show'])).code, 64)
    })

    test('whoami and version say who and what', async () => {
      const who = JSON.parse((await own.telec(['whoami', '--json'])).stdout.toString()) as object
      assert.partialDeepStrictEqual(who, {
        uid: process.getuid?.(),
        gid: process.getgid?.(),
        role: 'admin',
        mode: 'single-user',
      })
      assert.match((await own.telec(['whoami'])).stdout.toString(), /admin/)
      const version = JSON.parse((await own.telec(['version', '--json'])).stdout.toString()) as {
        telec: string
        service: string
      }
      assert.equal(version.telec, version.service)
    })
  })
}
