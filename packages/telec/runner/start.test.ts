import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { closeCodes } from '@teleclaude/core/protocol.ts'
import { identify, isAlive } from '../recovery/process-identity.ts'
import { readSessionFile } from '../recovery/session-file.ts'
import type { Scope } from './scope.ts'
import { startRunner } from './start.ts'
import { startScriptedService } from './test-service.ts'

async function run(t: TestContext, scope: Scope) {
  const { directory, socketPath, asked } = await startScriptedService(t)
  const log = join(directory, 'log')
  const logFd = openSync(log, 'a')
  const sessionId = crypto.randomUUID()
  const task = {
    sessionId,
    socketPath,
    spoolDirectory: directory,
    refusedGraceMs: 60_000,
    file: '/bin/sh',
    args: ['-c', 'env; echo complete; read line'],
    cwd: directory,
    size: { cols: 80, rows: 24 },
  }
  const starting = startRunner(task, logFd, scope)
  const service = (await asked()).accept(0)
  assert.equal(await starting, 'ok')
  closeSync(logFd)
  let environment = ''
  while (!environment.includes('complete\r\n'))
    environment += Buffer.from((await service.chunk()).bytes).toString('utf8')
  const runner = readSessionFile(join(directory, sessionId))?.runner ?? assert.fail()
  const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${runner.pid}/status`, 'utf8'))?.[1])
  const guard = identify(parent) ?? assert.fail()
  service.say({ type: 'command', number: 1, request: { kind: 'stop', force: true } })
  for (let { kind } = await service.chunk(); kind !== 'exit'; ) kind = (await service.chunk()).kind
  service.socket.close(closeCodes.ended)
  // It ends with its runner, and hears of its end by itself.
  while (isAlive(guard)) await new Promise(setImmediate)
  return { environment, log: readFileSync(log, 'utf8') }
}

test('without a scope the guard runs the runner, and no setting of ours is left in the program’s environment', async (t) => {
  const { environment, log } = await run(t, { kind: 'none' })
  assert.match(environment, /^TELECLAUDE_SESSION_ID=[-0-9a-f]{36}\r$/m)
  assert.doesNotMatch(environment, /^NODE_COMPILE_CACHE/m)
  assert.equal(log, '')
})

test('what starts scopes passes on the task and the report', async (t) => {
  const { environment, log } = await run(t, { kind: 'available', command: ['env', 'IN_SCOPE=yes'] })
  assert.equal(log, '')
  assert.match(environment, /^IN_SCOPE=yes\r$/m)
})

test('where no scope can be had, the session starts without one, and the log says so', async (t) => {
  for (const command of [['false'], ['/nowhere/systemd-run'], ['env', '/nowhere/systemd-run']]) {
    const { log } = await run(t, { kind: 'available', command })
    assert.match(log, /^(env: .*\n)?session \S+ has no scope of its own: systemd-run has failed\n$/)
  }
  for (const kind of ['not-lingering', 'no-manager'] as const) {
    const { log } = await run(t, { kind, why: 'for a reason' })
    assert.match(log, /^session \S+ has no scope of its own: for a reason\n$/)
  }
})

test('what hangs instead of starting a scope is ended with all that it has started, and the session starts without one', async (t) => {
  // Each of them holds the report open.
  const { log } = await run(t, { kind: 'available', command: ['sh', '-c', 'sleep 1000 & wait'] })
  assert.match(log, /^session \S+ has no scope of its own: systemd-run has failed\n$/)
})
