// Runners that are killed, alone or with all that is around them: what they had on the disk arrives, once, and the transcript says
// where it breaks off.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { viewerProtocol } from '@teleclaude/core/protocol.ts'
import { decodeChunk, type TranscriptChunk } from '@teleclaude/core/transcript.ts'
import { identify, isAlive, type ProcessIdentity } from '../packages/telec/recovery/process-identity.ts'
import { readSessionFile, type SessionFile } from '../packages/telec/recovery/session-file.ts'
import { Spool } from '../packages/telec/runner/spool.ts'
import { engines, Installation } from './support/installation.ts'

const processPath = fileURLToPath(new URL('../packages/telec/runner/process.mjs', import.meta.url))

/** 20 MB of numbered lines, with pauses, so that there is a middle to be killed in. */
const numbers =
  'i=0; while [ $i -lt 180 ]; do seq -f %09.0f $((i * 10000)) $((i * 10000 + 9999)); i=$((i + 1)); sleep 0.01; done'
const allNumbers = Buffer.from(
  Array.from({ length: 1_800_000 }, (_, index) => `${String(index).padStart(9, '0')}\r\n`).join(''),
)

const spoolOf = (own: Installation, id = '') => join(own.home, '.teleclaude', 'spool', id)
const runnerLog = (own: Installation) => readFileSync(join(own.home, '.teleclaude', 'log', 'runner.log'), 'utf8')

async function start(own: Installation, script: string): Promise<string> {
  const { stdout, stderr } = await own.telec(['run', '--detach', '--', 'sh', '-c', script])
  assert.match(stdout.toString(), /^\S+\n$/, stderr)
  return stdout.toString().trim()
}

function sessionFile(own: Installation, id: string): SessionFile {
  const found = readSessionFile(spoolOf(own, id))
  assert.ok(found !== null)
  return found
}

/** The shell that watches over the runner. */
function guardOf({ runner }: SessionFile): ProcessIdentity {
  const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${runner.pid}/status`, 'utf8'))?.[1])
  const guard = identify(parent)
  assert.ok(guard !== null)
  return guard
}

async function gone(wanted: ProcessIdentity): Promise<void> {
  while (isAlive(wanted)) await delay(10)
}

async function kill(wanted: ProcessIdentity): Promise<void> {
  process.kill(wanted.pid, 'SIGKILL')
  await gone(wanted)
}

/** Everything that is recorded, as it was. */
async function readChunks(own: Installation, id: string): Promise<readonly TranscriptChunk[]> {
  const stream = await own.client.openStream(`/v1/sessions/${id}/attach`, viewerProtocol, { afterSeq: 0 })
  const chunks: TranscriptChunk[] = []
  stream.on('message', (bytes: Buffer, isBinary) => {
    if (isBinary) chunks.push(decodeChunk(Uint8Array.from(bytes)))
  })
  stream.resume()
  await once(stream, 'close')
  return chunks
}

const outputOf = (chunks: readonly TranscriptChunk[]) =>
  Buffer.concat(chunks.filter(({ kind }) => kind === 'output').map(({ bytes }) => bytes))

/** What is on the disk now of output that the service may not have. */
function spooled(own: Installation, id: string): { readonly lastSeq: number; readonly bytes: number } {
  const { spool, last } = Spool.open(spoolOf(own, id))
  const reader = spool.reader()
  let bytes = 0
  for (let seq = 1; seq <= (last?.seq ?? 0); seq++) {
    const frame = reader.read(seq)
    if (frame !== null) bytes += decodeChunk(frame).bytes.length
  }
  spool.close()
  return { lastSeq: last?.seq ?? 0, bytes }
}

/** Until this much is on the disk that the service, which does not answer, has not acknowledged. */
async function untilSpooled(own: Installation, id: string, wantedBytes: number): Promise<void> {
  const sizes = () =>
    readdirSync(spoolOf(own, id))
      .filter((name) => name.endsWith('.chunks'))
      .map((name) => statSync(join(spoolOf(own, id), name)).size)
  while (sizes().reduce((sum, size) => sum + size, 0) < wantedBytes) await delay(10)
}

async function untilDelivered(own: Installation): Promise<void> {
  while (readdirSync(spoolOf(own)).length > 0) await delay(20)
}

function assertBrokenOff(chunks: readonly TranscriptChunk[], reason: RegExp): void {
  const last = chunks.at(-1)
  assert.equal(last?.kind, 'gap')
  assert.match(JSON.parse(Buffer.from(last?.bytes ?? []).toString('utf8')).reason, reason)
  const output = outputOf(chunks)
  assert.ok(output.equals(allNumbers.subarray(0, output.length)), 'what is recorded is what was shown, once')
}

async function recoverNow(own: Installation, ...session: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [processPath, 'recover', spoolOf(own), ...session], {
    env: own.env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  assert.deepEqual(await once(child, 'exit'), [0, null])
}

for (const engine of engines) {
  describe(`on ${engine}`, { timeout: 120_000 }, () => {
    test('a killed runner: its guard ends what ignores the hangup, and delivers all that was on the disk', async () => {
      await using own = await Installation.make(engine)
      const daemon = await own.startDaemon()
      const id = await start(own, `trap '' HUP; ${numbers}; sleep 300`)
      await own.until(id, ({ transcriptBytes }) => transcriptBytes > 200_000)
      const session = sessionFile(own, id)
      assert.ok(session.program !== null)
      daemon.kill('SIGSTOP')
      await untilSpooled(own, id, 6_000_000)
      await kill(session.runner)
      await gone(session.program)
      const { lastSeq, bytes } = spooled(own, id)
      assert.ok(bytes > 4_000_000)
      daemon.kill('SIGCONT')
      // Below what the service gives a runner to come back: it is the guard that says so.
      await own.until(id, ({ status }) => status === 'lost')
      const chunks = await readChunks(own, id)
      assertBrokenOff(chunks, /^the runner was killed$/)
      assert.equal(chunks.length, lastSeq + 1)
      await untilDelivered(own)
    })

    test('runner, guard and service killed together: the next command of telec delivers what is on the disk, once', async () => {
      await using own = await Installation.make(engine)
      const daemon = await own.startDaemon()
      const id = await start(own, numbers)
      await own.until(id, ({ transcriptBytes }) => transcriptBytes > 5_000_000)
      const session = sessionFile(own, id)
      const guard = guardOf(session)
      daemon.kill('SIGKILL')
      await untilSpooled(own, id, 4_000_000)
      process.kill(guard.pid, 'SIGKILL')
      await kill(session.runner)
      await gone(guard)
      const { lastSeq } = spooled(own, id)
      await own.startDaemon()
      const { number } = await own.client.enqueueCommand(id, { kind: 'interrupt' })
      assert.equal((await own.telec(['ls'])).code, 0)
      await untilDelivered(own)
      assert.equal((await own.client.readSession(id)).status, 'lost')
      const chunks = await readChunks(own, id)
      assertBrokenOff(chunks, /^the runner was killed$/)
      assert.equal(chunks.length, lastSeq + 1)
      const { commands } = await own.client.listCommands(id)
      assert.equal(
        commands.find((command) => command.number === number)?.state,
        'failed',
        'nobody is left to carry it out',
      )
      const raw = await own.telec(['transcript', id, '--format', 'raw'])
      assert.ok(raw.stdout.equals(outputOf(chunks)))
    })

    test('a torn tail after a crash costs what is torn, and the transcript says so', async () => {
      await using own = await Installation.make(engine)
      const daemon = await own.startDaemon()
      const id = await start(own, numbers)
      await own.until(id, ({ transcriptBytes }) => transcriptBytes > 200_000)
      const session = sessionFile(own, id)
      daemon.kill('SIGKILL')
      await untilSpooled(own, id, 4_000_000)
      await kill(guardOf(session))
      await kill(session.runner)
      const segment = join(
        spoolOf(own, id),
        readdirSync(spoolOf(own, id))
          .filter((name) => name.endsWith('.chunks'))
          .at(-1) ?? '',
      )
      truncateSync(segment, statSync(segment).size - 5)
      const { lastSeq } = spooled(own, id)
      await own.startDaemon()
      await untilDelivered(own)
      const chunks = await readChunks(own, id)
      assertBrokenOff(chunks, /^the runner was killed, and the last \d+ bytes that it had kept are damaged$/)
      assert.equal(chunks.length, lastSeq + 1)
    })

    test('an end that the service was never told of is told by the recovery', async () => {
      await using own = await Installation.make(engine)
      const daemon = await own.startDaemon()
      const id = await start(own, 'echo up; while [ ! -e go ]; do sleep 0.05; done; echo after; exit 3')
      await own.until(id, ({ transcriptBytes }) => transcriptBytes > 0)
      const session = sessionFile(own, id)
      assert.ok(session.program !== null)
      daemon.kill('SIGKILL')
      await once(daemon, 'exit')
      writeFileSync(join(own.home, 'go'), '')
      await gone(session.program)
      while (spooled(own, id).bytes < 'up\r\nafter\r\n{"kind":"exited","code":3}'.length) await delay(10)
      await kill(guardOf(session))
      await kill(session.runner)
      await own.startDaemon()
      assert.deepEqual((await own.until(id, ({ status }) => status === 'ended')).exit, { kind: 'exited', code: 3 })
      await untilDelivered(own)
    })
  })
}

describe('on sqlite alone', { timeout: 60_000 }, () => {
  test('several recoveries at once do the work of one', async () => {
    await using own = await Installation.make('sqlite')
    await own.startDaemon()
    const ids = await Promise.all(Array.from({ length: 3 }, () => start(own, 'echo up; exec sleep 300')))
    for (const id of ids) {
      await own.until(id, ({ transcriptBytes }) => transcriptBytes > 0)
      const session = sessionFile(own, id)
      await kill(guardOf(session))
      await kill(session.runner)
    }
    const children = Array.from({ length: 5 }, () =>
      spawn(process.execPath, [processPath, 'recover', spoolOf(own)], {
        env: own.env,
        stdio: ['ignore', 'ignore', 'pipe'],
      }),
    )
    const said: string[] = []
    for (const child of children) child.stderr.on('data', (part: Buffer) => said.push(part.toString()))
    for (const outcome of await Promise.all(children.map((child) => once(child, 'close'))))
      assert.deepEqual(outcome, [0, null])
    for (const id of ids) {
      assert.equal((await own.client.readSession(id)).status, 'lost')
      assert.deepEqual(
        (await readChunks(own, id)).map(({ kind }) => kind),
        ['output', 'gap'],
      )
      assert.equal(said.join('').split(`${id} recovered`).length, 2, said.join(''))
    }
    assert.deepEqual(readdirSync(spoolOf(own)), [])
  })

  test('a killed guard costs the session nothing', async () => {
    await using own = await Installation.make('sqlite')
    await own.startDaemon()
    const id = await start(own, 'echo up; while [ ! -e go ]; do sleep 0.05; done; echo after; exit 3')
    await own.until(id, ({ transcriptBytes }) => transcriptBytes > 0)
    await kill(guardOf(sessionFile(own, id)))
    writeFileSync(join(own.home, 'go'), '')
    assert.deepEqual((await own.until(id, ({ status }) => status === 'ended')).exit, { kind: 'exited', code: 3 })
    assert.equal(outputOf(await readChunks(own, id)).toString(), 'up\r\nafter\r\n')
    await untilDelivered(own)
  })

  test('what hangs up terminals and shuts down machines leaves the guard there', async () => {
    await using own = await Installation.make('sqlite')
    await own.startDaemon()
    const id = await start(own, 'trap "exit 7" HUP; echo up; while :; do sleep 0.05; done')
    await own.until(id, ({ transcriptBytes }) => transcriptBytes > 0)
    const session = sessionFile(own, id)
    const guard = guardOf(session)
    process.kill(-guard.pid, 'SIGHUP')
    for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT'] as const) process.kill(guard.pid, signal)
    // A shutdown asks the runner too: the program has its say.
    process.kill(session.runner.pid, 'SIGTERM')
    assert.deepEqual((await own.until(id, ({ status }) => status === 'ended')).exit, { kind: 'exited', code: 7 })
    await gone(guard)
  })

  test('what the service does not know is kept, not tried at every command, and goes after 30 days', async () => {
    await using own = await Installation.make('sqlite')
    await own.startDaemon()
    const id = await start(own, 'echo up; exec sleep 300')
    await own.until(id, ({ transcriptBytes }) => transcriptBytes > 0)
    const session = sessionFile(own, id)
    await kill(guardOf(session))
    await kill(session.runner)
    const directory = spoolOf(own, id)
    const file = join(directory, 'session.json')
    const stranger = crypto.randomUUID()
    const other = spoolOf(own, stranger)
    await rename(directory, other)
    writeFileSync(
      join(other, 'session.json'),
      readFileSync(join(other, 'session.json'), 'utf8').replaceAll(id, stranger),
    )
    assert.ok(!existsSync(file))
    await recoverNow(own)
    assert.match(readFileSync(join(other, 'undelivered'), 'utf8'), /^cannot find the session/)
    const claims = () => readdirSync(other).filter((name) => name.startsWith('claim-'))
    assert.deepEqual(claims(), ['claim-1'])
    await recoverNow(own)
    assert.deepEqual(claims(), ['claim-1'], 'it was tried just now')
    const hourAgo = new Date(Date.now() - 3_600_000)
    utimesSync(join(other, 'undelivered'), hourAgo, hourAgo)
    await recoverNow(own)
    assert.deepEqual(claims(), ['claim-2'])
    const longAgo = new Date(Date.now() - 31 * 24 * 3_600_000)
    for (const name of readdirSync(other)) utimesSync(join(other, name), longAgo, longAgo)
    await recoverNow(own)
    assert.deepEqual(readdirSync(spoolOf(own)), [])
  })

  test('binary output is recorded byte for byte', async () => {
    await using own = await Installation.make('sqlite')
    await own.startDaemon()
    const id = await start(own, 'stty raw -echo; head -c 5000000 /dev/urandom | tee shown')
    await own.until(id, ({ status }) => status === 'ended')
    assert.ok(outputOf(await readChunks(own, id)).equals(readFileSync(join(own.home, 'shown'))))
  })

  test('a spool that can not be made or that vanishes stops the session, and its person hears why', async () => {
    await using own = await Installation.make('sqlite')
    await own.startDaemon()
    const id = await start(own, 'echo up; while :; do echo on; sleep 0.05; done')
    await own.until(id, ({ transcriptBytes }) => transcriptBytes > 0)
    await rename(spoolOf(own, id), join(own.home, 'away'))
    await rm(join(own.home, 'away'), { recursive: true })
    assert.deepEqual((await own.until(id, ({ status }) => status === 'ended')).exit, {
      kind: 'signalled',
      signal: 'SIGKILL',
    })
    const shown = outputOf(await readChunks(own, id)).toString()
    assert.match(shown, /\[TeleClaude stopped this session: cannot write to the spool .*: somebody has removed it\]/)
    assert.match(runnerLog(own), new RegExp(`session ${id} stopped: cannot write to the spool`))
  })
})
