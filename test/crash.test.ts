// Bad days: processes that are killed, and services that are away, in the middle of output.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { engines, Installation } from './support/installation.ts'
import { runnerPid } from './support/runner-process.ts'

const line = (index: number) => `${String(index).padStart(9, '0')}\r\n`
/** Some MB of numbered lines, with pauses, so that there is a middle to be killed in. */
const numbers =
  'i=0; while [ $i -lt 40 ]; do seq -f %09.0f $((i * 10000)) $((i * 10000 + 9999)); i=$((i + 1)); sleep 0.02; done'
const allNumbers = Buffer.from(Array.from({ length: 400_000 }, (_, index) => line(index)).join(''))

for (const engine of engines) {
  describe(`on ${engine}`, () => {
    test('the daemon is killed in the middle of output: the session goes on, and every byte is in the transcript once', async () => {
      await using own = await Installation.make(engine)
      const first = await own.startDaemon()
      const id = (await own.telec(['run', '--detach', '--', 'sh', '-c', numbers])).stdout.toString().trim()
      await own.until(id, (session) => session.transcriptBytes > 200_000)
      first.kill('SIGKILL')
      await once(first, 'exit')
      await own.startDaemon()
      const back = await own.client.readSession(id)
      assert.equal(back.status, 'running')
      assert.ok(back.transcriptBytes > 200_000, 'what was acknowledged is there')
      const ended = await own.until(id, (session) => session.status === 'ended')
      assert.equal(ended.transcriptBytes, allNumbers.length)
      const raw = await own.telec(['transcript', id, '--format', 'raw'])
      assert.ok(raw.stdout.equals(allNumbers))
      assert.deepEqual(
        readdirSync(join(own.home, '.teleclaude', 'spool')),
        [],
        'the spool is empty when all is recorded',
      )
    })

    test('a daemon that is stopped leaves sessions alone, and a terminal joined to one shows the rest when it is back', async () => {
      await using own = await Installation.make(engine)
      const first = await own.startDaemon()
      const running = own.telec(['run', '--', 'sh', '-c', numbers])
      const id = await newestId(own)
      await own.until(id, (session) => session.transcriptBytes > 200_000)
      first.kill('SIGTERM')
      const [code] = (await once(first, 'exit')) as [number | null]
      assert.equal(code, 0)
      await own.startDaemon()
      const ran = await running
      assert.equal(ran.code, 0, ran.stderr)
      assert.ok(ran.stdout.equals(allNumbers), `shown ${ran.stdout.length} of ${allNumbers.length} bytes`)
    })

    test('a session that ends while the daemon is away is ended when it is back', async () => {
      await using own = await Installation.make(engine)
      const first = await own.startDaemon()
      const ran = own.telec(['run', '--', 'sh', '-c', 'while [ ! -e go ]; do sleep 0.05; done; echo after; exit 3'])
      const id = await newestId(own)
      await own.until(id, (session) => session.status === 'running')
      first.kill('SIGKILL')
      await once(first, 'exit')
      writeFileSync(join(own.home, 'go'), '')
      await own.startDaemon()
      assert.partialDeepStrictEqual(await own.until(id, (session) => session.status === 'ended'), {
        exit: { kind: 'exited', code: 3 },
      })
      assert.equal((await ran).code, 3)
    })

    test('a session whose runner is killed is lost, with what was recorded', async () => {
      await using own = await Installation.make(engine)
      const id = (await own.telec(['run', '--detach', '--', 'sh', '-c', 'echo up; exec sleep 300'])).stdout
        .toString()
        .trim()
      await own.until(id, (session) => session.transcriptBytes > 0)
      process.kill(runnerPid(id), 'SIGKILL')
      const killedAt = performance.now()
      const lost = await own.until(id, (session) => session.status !== 'running')
      assert.equal(lost.status, 'lost')
      assert.ok(performance.now() - killedAt < 12_000)
      const stopped = await own.telec(['stop', id])
      assert.equal(stopped.code, 69)
      assert.match(stopped.stderr, /its runner is gone/)
      assert.equal((await own.telec(['transcript', id, '--format', 'raw'])).stdout.toString(), 'up\r\n')
    })

    test('a second daemon is refused, says who holds the lock, and harms nothing', async () => {
      await using own = await Installation.make(engine)
      const first = await own.startDaemon()
      const second = await own.telec(['daemon'])
      assert.equal(second.code, 69)
      assert.match(second.stderr, new RegExp(`\\b${first.pid}\\b`))
      assert.equal((await own.client.readiness()).status, 'ready')
    })

    test('ten commands at once start one daemon', async () => {
      await using own = await Installation.make(engine)
      const ran = await Promise.all(Array.from({ length: 10 }, () => own.telec(['whoami'])))
      for (const { code, stderr } of ran) assert.equal(code, 0, stderr)
    })
  })
}

async function newestId(own: Installation): Promise<string> {
  for (;;) {
    const [session] = (await own.client.listSessions({ limit: 1 })).sessions
    if (session !== undefined) return session.id
  }
}
