// Sessions driven from outside of any terminal: typed into, interrupted, waited for and followed, also while the service restarts.

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { CommandView, SessionView } from '@teleclaude/core/api.ts'
import type { AgentState } from '@teleclaude/core/session.ts'
import { engines, Installation, telecPath } from './support/installation.ts'
import { runnerPid } from './support/runner-process.ts'

const usage = 64
const data = 65
const unavailable = 69
const timedOut = 124

/** `telec` that goes on while the test does. */
function spawnTelec(own: Installation, ...args: readonly string[]) {
  const child = spawn(process.execPath, [telecPath, ...args], { env: own.env, cwd: own.home, stdio: 'pipe' })
  let stdout = ''
  let stderr = ''
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return {
    child,
    exited,
    /** Waits until standard output has it, and gives all that there is then. */
    async until(wanted: string | RegExp): Promise<string> {
      const isThere = () => (typeof wanted === 'string' ? stdout.includes(wanted) : wanted.test(stdout))
      while (!isThere())
        await Promise.race([once(child.stdout, 'data'), exited.then(() => assert.ok(isThere(), stderr))])
      return stdout
    },
    get shown() {
      return { stdout, stderr }
    },
  }
}

async function start(own: Installation, script: string): Promise<string> {
  const ran = await own.telec(['run', '--detach', '--', 'sh', '-c', script])
  assert.equal(ran.code, 0, ran.stderr)
  return ran.stdout.toString().trim()
}

/** Asks until the session has shown it; the caller's test has a time limit. */
async function untilShown(own: Installation, id: string, wanted: RegExp): Promise<string> {
  for (let bytes = -1; ; ) {
    const session = await own.until(id, (current) => current.transcriptBytes > bytes || current.status === 'ended')
    bytes = session.transcriptBytes
    const text = (await own.telec(['transcript', id])).stdout.toString()
    if (wanted.test(text)) return text
    assert.notEqual(session.status, 'ended', `ended without ${wanted}:\n${text}`)
  }
}

/** As the agent's own hook does. */
async function reportAgent(own: Installation, id: string, state: AgentState): Promise<void> {
  const body = JSON.stringify({ agentStatus: { state } })
  const asked = request({
    socketPath: own.client.socketPath,
    path: `/v1/sessions/${id}`,
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
  })
  asked.end(body)
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  assert.equal(answer.statusCode, 200)
  answer.resume()
  await once(answer, 'end')
}

async function kill(daemon: ChildProcess): Promise<void> {
  daemon.kill('SIGKILL')
  await once(daemon, 'exit')
}

for (const engine of engines) {
  describe(`on ${engine}`, () => {
    let own: Installation
    before(async () => {
      own = await Installation.make(engine)
      await own.startDaemon()
    })
    after(() => own[Symbol.asyncDispose]())

    test('what is sent is typed once, in order, with the Enter key where that is asked for', async () => {
      const id = await start(own, 'stty -echo; echo up; while read -r line; do echo "got <$line>"; done')
      await untilShown(own, id, /up/)
      const first = await own.telec(['send', id.slice(0, 8), 'one ', '--json'])
      assert.equal(first.code, 0, first.stderr)
      const { command } = JSON.parse(first.stdout.toString()) as { command: CommandView }
      assert.partialDeepStrictEqual(command, { number: 1, kind: 'send', enter: false })
      const second = await own.telec(['send', id, 'two 漢字', '--enter'])
      assert.equal(second.stdout.toString(), `Sent: command 2 of ${id.slice(0, 8)}.\n`)
      assert.equal(second.stderr, '')
      await own.telec(['sessions', 'send', id, '--stdin'], { input: '--enter is no option here\n' })
      const text = await untilShown(own, id, /option here>/)
      assert.equal(text, 'up\ngot <one two 漢字>\ngot <--enter is no option here>\n')
      const shown = (await own.telec(['show', id])).stdout.toString()
      assert.match(shown, /^command 1 +\S+ send by \S+: done$/m)
      assert.match(shown, /^command 2 +\S+ send --enter by \S+: done$/m)
      assert.doesNotMatch(shown, /two/, 'what was typed is content')
      await own.telec(['stop', id])
      assert.equal((await own.telec(['send', id, 'late'])).code, data)
    })

    test('what can not be typed is refused, and nothing is sent', async () => {
      const id = await start(own, 'exec cat')
      const tooLong = 'x'.repeat(64 * 1024 + 1)
      for (const [args, input, code, why] of [
        [['send', id], '', usage, /give a TEXT, or --stdin/],
        [['send', id, 'text', '--stdin'], 'more', usage, /there is a text and --stdin/],
        [['send', id, '--stdin'], Buffer.from([0x61, 0xff]), data, /not valid UTF-8/],
        [['send', id, '\ufffd'], '', data, /not valid UTF-8\nA U\+FFFD that is meant goes through --stdin/],
        [['send', id, '--stdin'], 'a\0b', data, /a NUL character/],
        [['send', id, '--stdin'], tooLong, data, /longer than 65536 characters/],
        [['send', id, ''], '', data, /the text is empty/],
        [['send', 'ffffffff-ffff', 'x'], '', data, /cannot find the session/],
        [['interrupt', id, 'more'], '', usage, /too many arguments/],
      ] as const) {
        const ran = await own.telec(args, { input })
        assert.equal(ran.code, code, `${args.join(' ').slice(0, 60)}: ${ran.stderr}`)
        assert.match(ran.stderr, why)
      }
      assert.deepEqual((await own.client.listCommands(id)).commands, [])
      await own.telec(['stop', id])
    })

    test('an interrupt ends what runs, and wait gives its exit code', async () => {
      const id = await start(own, 'echo up; exec sleep 300')
      await untilShown(own, id, /up/)
      const waiting = spawnTelec(own, 'wait', id)
      const ran = await own.telec(['interrupt', id])
      assert.equal(ran.stdout.toString(), `Sent: command 1 of ${id.slice(0, 8)}.\n`)
      assert.deepEqual(await waiting.exited, [130, null], waiting.shown.stderr)
    })

    test('wait exits as the program did, at once where it has ended already, and with its own code when time is up', async () => {
      for (const [script, code] of [
        ['exit 0', 0],
        ['exit 3', 3],
        ['kill -TERM $$', 143],
      ] as const) {
        const id = await start(own, `read -r line; ${script}`)
        const waiting = spawnTelec(own, 'wait', id.slice(0, 12))
        await own.telec(['send', id, '', '--enter'])
        assert.deepEqual(await waiting.exited, [code, null], waiting.shown.stderr)
        assert.equal((await own.telec(['wait', id])).code, code)
      }
      const id = await start(own, 'exec cat')
      const ran = await own.telec(['wait', id, '--timeout', '0.2'])
      assert.equal(ran.code, timedOut)
      assert.match(ran.stderr, /cannot wait any longer: the session \S+ goes on/)
      assert.equal((await own.telec(['wait', id, '--timeout', 'soon'])).code, usage)
      await own.telec(['stop', id])
    })

    test('wait says where a session is lost', async () => {
      const id = await start(own, 'echo up; exec sleep 300')
      await untilShown(own, id, /up/)
      const waiting = spawnTelec(own, 'wait', id)
      process.kill(runnerPid(id), 'SIGKILL')
      assert.deepEqual(await waiting.exited, [unavailable, null])
      assert.match(waiting.shown.stderr, /the session is lost: its runner is gone/)
    })

    test('tail shows the last lines and those that come, until the session ends', async () => {
      const id = await start(own, 'seq 1 500; while read -r line; do echo "got $line"; done')
      await untilShown(own, id, /^500$/m)
      const tail = spawnTelec(own, 'tail', '-n', '2', id)
      await tail.until('500\n')
      await own.telec(['send', id, 'one', '--enter'])
      await tail.until('got one\n')
      await own.telec(['send', id, '\u0004'])
      assert.deepEqual(await tail.exited, [0, null], tail.shown.stderr)
      assert.match(tail.shown.stdout, /^499\n500\n(.*\n)*got one\n$/)
      const again = await own.telec(['tail', '-n', '1', id])
      assert.equal(again.stdout.toString(), 'got one\n')
    })

    test('a transcript that is followed has all of it, in every format', async () => {
      const id = await start(own, 'stty -echo; seq 1 50; read -r line; echo "got $line"')
      const whole = `${Array.from({ length: 50 }, (_, index) => `${index + 1}\n`).join('')}got it\n`
      const following = (['text', 'raw', 'cast'] as const).map((format) =>
        spawnTelec(own, 'transcript', id, '--follow', '--format', format),
      )
      const [text, raw, cast] = following
      await Promise.all(following.map((each) => each.until(/\b50\b/)))
      await own.telec(['send', id, 'it', '--enter'])
      for (const each of following) assert.deepEqual(await each.exited, [0, null], each.shown.stderr)
      assert.equal(text?.shown.stdout, whole)
      assert.equal(raw?.shown.stdout, whole.replaceAll('\n', '\r\n'))
      assert.match(cast?.shown.stdout ?? '', /^{"version":3.*got it.*"x", "0"\]\n$/s)
    })

    test('lists show first who waits for a human, and what the others are up to', async () => {
      const project = join(own.home, 'waiting')
      mkdirSync(project)
      const run = ['run', '--detach', '--project', project, '--title']
      const ids = []
      for (const title of ['older', 'newer']) {
        ids.push((await own.telec([...run, title, '--', 'cat'])).stdout.toString().trim())
      }
      const [older = '', newer = ''] = ids
      await reportAgent(own, older, 'waiting')
      await reportAgent(own, newer, 'working')
      const list = (await own.telec(['ls', '--project', project])).stdout.toString()
      assert.match(
        list,
        /^ +ID +STATUS +AGE +AGENT +DOES +TITLE\n.*waiting\n.*waiting \d+s +older\n.*working \d+s +newer\n$/,
      )
      const shown = (await own.telec(['show', older])).stdout.toString()
      assert.match(shown, /^agent status waiting, for \d+s \(the agent says so\)$/m)
      const [first] = await own.list(['--project', project])
      assert.equal(first?.id, newer, 'JSON is as the service has it')
      for (const id of ids) await own.telec(['sessions', 'end', id])
      const after = (await own.telec(['sessions', 'list', '--project', project])).stdout.toString()
      assert.match(after, /^ +ID +STATUS +AGE +AGENT +TITLE\n.*waiting\n.*newer\n.*older\n$/)
    })

    test('events tell what happens, a line each', async () => {
      const plain = spawnTelec(own, 'events')
      const json = spawnTelec(own, 'events', '--json')
      await json.until('{"kind":"reset"}\n')
      const id = await start(own, 'exit 7')
      await plain.until(new RegExp(` ended ${id.slice(0, 8)} ended \\(7\\) sh\n`))
      const lines = (await json.until(new RegExp(`"kind":"ended".*${id}`))).split('\n').filter((line) => line !== '')
      const told = lines.map((line) => JSON.parse(line) as { kind: string; session?: SessionView })
      assert.deepEqual(
        told.filter(({ session }) => session?.id === id).map(({ kind }) => kind),
        ['created', 'running', 'ended'],
      )
      for (const each of [plain, json]) {
        each.child.kill('SIGINT')
        assert.deepEqual((await each.exited)[1], 'SIGINT')
        assert.equal(each.shown.stderr, '')
      }
    })
  })

  test(`a service that is killed and comes back is waited for, and loses and repeats nothing, on ${engine}`, async () => {
    await using own = await Installation.make(engine)
    const daemon = await own.startDaemon()
    const id = await start(own, 'stty -echo; echo up; while read -r line; do echo "got $line"; done; exit 5')
    await untilShown(own, id, /up/)
    const waiting = spawnTelec(own, 'wait', id)
    const tail = spawnTelec(own, 'tail', id)
    const events = spawnTelec(own, 'events', '--json')
    await Promise.all([tail.until('up\n'), events.until('reset')])
    await own.telec(['send', id, 'one', '--enter'])
    await tail.until('got one\n')
    await kill(daemon)
    // It starts the service anew, and the runner comes back to that.
    const sent = await own.telec(['send', id, 'two', '--enter'])
    assert.equal(sent.code, 0, sent.stderr)
    await tail.until('got two\n')
    await own.telec(['send', id, '\u0004'])
    assert.deepEqual(await waiting.exited, [5, null], waiting.shown.stderr)
    assert.deepEqual(await tail.exited, [0, null], tail.shown.stderr)
    assert.equal(tail.shown.stdout, 'up\ngot one\ngot two\n')
    await events.until(new RegExp(`"kind":"ended".*${id}`))
    events.child.kill('SIGINT')
    await events.exited
  })
}

test('what is sent while the runner is away waits for it, and that is said', async () => {
  await using own = await Installation.make('sqlite')
  const daemon = await own.startDaemon()
  const id = await start(own, 'stty -echo; echo up; read -r line; echo "got $line"')
  await untilShown(own, id, /up/)
  const runner = runnerPid(id)
  process.kill(runner, 'SIGSTOP')
  try {
    await kill(daemon)
    await own.startDaemon()
    const sent = await own.telec(['send', id, 'it', '--enter'])
    assert.equal(sent.code, 0, sent.stderr)
    assert.equal(sent.stdout.toString(), `Sent: command 1 of ${id.slice(0, 8)}.\n`)
    assert.equal(sent.stderr, "It waits for up to 10 minutes for the session's runner.\n")
    assert.match((await own.telec(['show', id])).stdout.toString(), /^command 1 .*: queued \(until \S+Z\)$/m)
  } finally {
    process.kill(runner, 'SIGCONT')
  }
  assert.equal((await own.telec(['wait', id])).code, 0)
  assert.match((await own.telec(['transcript', id])).stdout.toString(), /^up\ngot it\n$/)
})
