// Programs that print far more than anybody reads, in the terminal that they were started in: that is fed from the disk, and the
// service gets it all a little later.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { shellQuote } from '@teleclaude/config/shell-quote.ts'
import { engines, Installation, telecPath } from './support/installation.ts'

/** More than the service is given at once. */
const numbers = 'seq 10000001 13000000'
const allNumbers = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => `${index + 10_000_001}\r\n`).join(''))

for (const engine of engines) {
  describe(`on ${engine}`, () => {
    test('a flood comes out of a pipe whole, and the service has all of it soon after', async () => {
      await using own = await Installation.make(engine)
      await own.startDaemon()
      const ran = await own.telec(['run', '--', 'sh', '-c', `${numbers}; exit 3`])
      assert.equal(ran.code, 3, ran.stderr)
      assert.ok(ran.stdout.equals(allNumbers), `${ran.stdout.length} bytes`)
      const [session] = await own.list(['--limit', '1'])
      assert.ok(session !== undefined)
      const waited = await own.telec(['wait', session.id])
      assert.equal(waited.code, 3)
      const raw = await own.telec(['transcript', session.id, '--format', 'raw'])
      assert.ok(raw.stdout.equals(allNumbers), `${raw.stdout.length} bytes`)
    })
  })
}

test('what a program prints and how it ends is shown while the service is away, which has it when it is back', async () => {
  await using own = await Installation.make('sqlite')
  const service = await own.startDaemon()
  const child = spawn(
    process.execPath,
    [telecPath, 'run', '--', 'sh', '-c', 'echo up; while [ ! -e go ]; do sleep 0.02; done; echo after; exit 4'],
    { env: own.env, cwd: own.home, stdio: ['ignore', 'pipe', 'ignore'] },
  )
  let shown = ''
  const closed = once(child, 'close')
  const isUp = new Promise<void>((resolve) => {
    child.stdout.on('data', (part: Buffer) => {
      shown += part.toString()
      if (shown.includes('up')) resolve()
    })
  })
  await isUp
  const [session] = await own.list(['--limit', '1'])
  assert.ok(session !== undefined)
  service.kill('SIGKILL')
  await once(service, 'exit')
  writeFileSync(join(own.home, 'go'), '')
  const [code] = await closed
  assert.deepEqual([code, shown], [4, 'up\r\nafter\r\n'])
  await own.startDaemon()
  const ended = await own.until(session.id, ({ status }) => status === 'ended')
  assert.deepEqual(ended.exit, { kind: 'exited', code: 4 })
})

test('a terminal that takes a flood slowly is shown the screen as it is, and what follows', {
  timeout: 60_000,
}, async () => {
  await using own = await Installation.make('sqlite')
  await own.startDaemon()
  const program = `${numbers}; echo printed >printed; echo "the end"; read -r line; echo "read $line"`
  const words = [process.execPath, telecPath, 'run', '--', 'sh', '-c', program]
  const child = spawn('script', ['-qfc', words.map(shellQuote).join(' '), '/dev/null'], {
    env: { ...own.env, LC_ALL: 'C.UTF-8' },
    cwd: own.home,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  let taken = 0
  let last = ''
  let isSlow = true
  for await (const part of child.stdout) {
    taken += part.length
    last = (last + part.toString('latin1')).slice(-4_000)
    // A person at the other end of a thin line.
    if (isSlow) await delay(part.length / 2_000)
    if (isSlow && existsSync(join(own.home, 'printed')) && last.includes('the end')) {
      isSlow = false
      child.stdin.write('on\n')
    }
    if (last.includes('read on')) break
  }
  child.kill('SIGKILL')
  assert.ok(taken < allNumbers.length, `${taken} bytes were shown`)
})
