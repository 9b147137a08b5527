// The runner with real programs, against a service that says what the test wants said.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import type { TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { isAlive } from '../recovery/process-identity.ts'
import { readSessionFile } from '../recovery/session-file.ts'
import { type RunnerTask, runSession } from './runner.ts'
import { Spool } from './spool.ts'
import { type Accepted, startScriptedService } from './test-service.ts'

const limits = { timeout: 30_000 }

async function make(t: TestContext, script: string, more: Partial<RunnerTask> = {}) {
  const { directory, socketPath, asked } = await startScriptedService(t)
  const sessionId = crypto.randomUUID()
  const task: RunnerTask = {
    sessionId,
    socketPath,
    spoolDirectory: directory,
    refusedGraceMs: 60_000,
    file: '/bin/sh',
    args: ['-c', script],
    cwd: directory,
    size: { cols: 80, rows: 24 },
    ...more,
  }
  const stop = new AbortController()
  const said = Promise.withResolvers<string | null>()
  const ended = runSession(task, said.resolve, stop.signal)
  return { directory, spool: join(directory, sessionId), asked, started: said.promise, ended, stop: () => stop.abort() }
}

const textOf = ({ bytes }: TranscriptChunk) => Buffer.from(bytes).toString('utf8')

/** Acknowledges and returns all that comes, up to the exit. */
async function takeAll(service: Accepted): Promise<TranscriptChunk[]> {
  const chunks: TranscriptChunk[] = []
  for (;;) {
    const chunk = await service.chunk()
    chunks.push(chunk)
    service.say({ type: 'ack', seq: chunk.seq })
    if (chunk.kind === 'exit') return chunks
  }
}

test('who drives is recorded when it changes, also after a break', limits, async (t) => {
  const own = await make(t, 'read line')
  const first = (await own.asked()).accept(0)
  const alice = { person: 'alice', uid: 1 }
  first.say({ type: 'driver', driver: null })
  first.say({ type: 'driver', driver: alice })
  first.say({ type: 'driver', driver: alice })
  const told = await first.chunk()
  assert.deepEqual([told.seq, told.kind, textOf(told)], [1, 'driver', JSON.stringify(alice)])
  first.socket.terminate()
  const second = (await own.asked()).accept(1)
  second.say({ type: 'driver', driver: alice })
  second.say({ type: 'driver', driver: null })
  second.say({ type: 'command', number: 1, request: { kind: 'send', text: 'x', enter: true } })
  const rest = await takeAll(second)
  assert.deepEqual(
    rest.filter(({ kind }) => kind !== 'output').map((chunk) => textOf(chunk)),
    ['null', '{"kind":"exited","code":0}'],
  )
  // Nothing follows the exit.
  second.say({ type: 'driver', driver: alice })
  second.say({ type: 'command', number: 2, request: { kind: 'interrupt' } })
  assert.deepEqual(await second.message(), { type: 'command-finished', number: 1, reason: null })
  assert.deepEqual(await second.message(), { type: 'command-finished', number: 2, reason: 'the program has ended' })
  second.socket.close(closeCodes.ended)
  await own.ended
  assert.ok(!existsSync(own.spool))
})

test('what somebody needs who takes over is on the disk before the program says anything', limits, async (t) => {
  const own = await make(t, 'echo $$; read line')
  const service = (await own.asked()).accept(0)
  const output = await service.chunk()
  const found = readSessionFile(own.spool)
  assert.equal(found?.runner.pid, process.pid)
  assert.equal(found?.program?.pid, Number(textOf(output)))
  service.say({ type: 'command', number: 1, request: { kind: 'stop', force: true } })
  await takeAll(service)
  service.socket.close(closeCodes.ended)
  await own.ended
})

test(
  'a program that says more than the service takes waits for it, and is not killed for a full spool',
  limits,
  async (t) => {
    const lines = 4_000_000
    const own = await make(t, `seq ${lines}`, {
      limits: { maxBytes: 24 * 1024 * 1024, paceAboveBytes: 8 * 1024 * 1024 },
    })
    const service = (await own.asked()).accept(0)
    // Nothing is acknowledged until the program has come to a halt, or to its end.
    for (let before = -1, now = 0; now !== before || now < 8 * 1024 * 1024; ) {
      before = now
      await delay(50)
      now = spooledBytes(own.spool)
    }
    const chunks = await takeAll(service)
    service.socket.close(closeCodes.ended)
    await own.ended
    assert.equal(textOf(chunks.at(-1) ?? assert.fail()), '{"kind":"exited","code":0}')
    const bytes = chunks.filter(({ kind }) => kind === 'output').reduce((sum, chunk) => sum + chunk.bytes.length, 0)
    // Nine numbers of one digit, ninety of two ...; each with CR and LF.
    assert.equal(bytes, 9 * 3 + 90 * 4 + 900 * 5 + 9_000 * 6 + 90_000 * 7 + 900_000 * 8 + (lines - 999_999) * 9)
  },
)

function spooledBytes(spool: string): number {
  const names = readdirSync(spool).filter((name) => name.endsWith('.chunks'))
  return names.reduce((sum, name) => sum + statSync(join(spool, name)).size, 0)
}

test(
  'while the service is away a program goes on to the limit of the spool, and is then stopped',
  limits,
  async (t) => {
    const spoolLimits = { maxBytes: 9 * 1024 * 1024, paceAboveBytes: 1024 * 1024 }
    const own = await make(t, 'echo go; read line; yes', { limits: spoolLimits })
    const first = (await own.asked()).accept(0)
    assert.equal(textOf(await first.chunk()), 'go\r\n')
    first.say({ type: 'command', number: 1, request: { kind: 'send', text: '', enter: true } })
    await first.message()
    first.socket.terminate()
    const { program } = readSessionFile(own.spool) ?? assert.fail()
    let asked = await own.asked()
    for (; program !== null && isAlive(program); asked = await own.asked()) asked.refuse('unavailable')
    const service = asked.accept(1)
    const chunks = await takeAll(service)
    service.socket.close(closeCodes.ended)
    await own.ended
    assert.match(textOf(chunks.at(-2) ?? assert.fail()), /stopped this session: cannot keep more output/)
    assert.equal(textOf(chunks.at(-1) ?? assert.fail()), '{"kind":"signalled","signal":"SIGKILL"}')
  },
)

test('being told to stop, the program is asked, and its end is recorded', limits, async (t) => {
  const own = await make(t, 'trap "echo bye; exit 4" HUP; echo up; while :; do sleep 0.05; done')
  const service = (await own.asked()).accept(0)
  assert.equal(textOf(await service.chunk()), 'up\r\n')
  own.stop()
  const chunks = await takeAll(service)
  assert.match(textOf(chunks.at(-2) ?? assert.fail()), /bye\r\n$/)
  assert.equal(textOf(chunks.at(-1) ?? assert.fail()), '{"kind":"exited","code":4}')
  service.socket.close(closeCodes.ended)
  await own.ended
})

test(
  'being told to stop while the service is away, it waits for nobody, and its end is on the disk',
  limits,
  async (t) => {
    const own = await make(t, 'trap "echo bye; exit 4" HUP; echo up; while :; do sleep 0.05; done')
    const service = (await own.asked()).accept(0)
    await service.chunk()
    service.socket.terminate()
    own.stop()
    await own.ended
    const { spool, last } = Spool.open(own.spool)
    spool.close()
    assert.equal(last?.kind, 'exit')
    // It has asked once more, and got no answer.
    const late = await own.asked()
    late.refuse('unavailable')
  },
)

test('a spool that can not be made is said, and nothing runs', limits, async (t) => {
  const own = await make(t, 'true', { spoolDirectory: '/dev/null' })
  assert.match((await own.started) ?? '', /^cannot make the spool \/dev\/null\//)
  await own.ended
})

test('what the service will not take any more stays on the disk', limits, async (t) => {
  const own = await make(t, 'echo up; sleep 100')
  const service = (await own.asked()).accept(0)
  await service.chunk()
  service.socket.close(closeCodes.replaced, 'another took over')
  await own.ended
  assert.ok(readdirSync(own.spool).some((name) => name.endsWith('.chunks')))
})
